"""The whole product at work: a scanner, the node, a PACS, and somebody who tampers.

Run by ``scripts/demo``. Everything happens on the loopback interface and in
one folder; Ctrl-C at any point leaves nothing running.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom import AE, _config
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
NODECTL = Path(sys.executable).with_name("nodectl")
IMAGES = (
    "CT_small.dcm",
    "693_UNCR.dcm",
    "examples_overlay.dcm",
    "MR2_UNCR.dcm",
    "RG3_UNCR.dcm",
    "US1_UNCR.dcm",
    "examples_rgb_color.dcm",
    "examples_jpeg2k.dcm",
)
TAMPERED = "693_UNCR.dcm"
PATIENCE = 90  # seconds until the demo says that something is wrong

console = Console()


def main() -> int:
    """Run the demonstration and return an exit status."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "demo-out")
    folder = parser.parse_args().folder.resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / ".sealnode-demo").exists():
        console.print(f"[red]{folder} holds other things; name an empty folder[/red]")
        return 2
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / ".sealnode-demo").touch()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with ExitStack() as stack:
            Demonstration(folder, stack).run()
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left running")
        return 130
    return 0


class Demonstration:
    """One run, in its folder."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.config = folder / "config"
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.port, self.pacs_port, self.fetch_port = free_ports(3)

    def run(self) -> None:
        """Do everything, in order."""
        self.configure()
        self.start()
        images = [Path(str(get_testdata_file(name, download=False))) for name in IMAGES]
        self.send(images)
        self.wait(len(images))
        self.compare(images)
        self.tamper()
        self.explain()

    def configure(self) -> None:
        """Write a configuration."""
        console.rule("1  a configuration, keys and a logo: nodectl init")
        self.nodectl(
            "init", str(self.config), "--port", str(self.port),
            "--pacs", f"PACS@127.0.0.1:{self.pacs_port}", configured=False,
        )  # fmt: skip
        settings = self.config / "node.toml"
        text = settings.read_text()
        marker = "[node]\n"
        settings.write_text(text.replace(marker, f"{marker}fetch_port = {self.fetch_port}\n", 1))
        self.nodectl("check")

    def start(self) -> None:
        """Start the PACS and the node."""
        console.rule("2  a stand-in PACS and the node: nodectl serve")
        archive = [
            sys.executable, str(ROOT / "tests" / "archive.py"), "--aet", "PACS",
            "--port", str(self.pacs_port), "--dir", str(self.folder / "pacs"),
            "--move-dest", f"SEALNODE=127.0.0.1:{self.fetch_port}",
        ]  # fmt: skip
        self.background("pacs", archive)
        self.background("node", [str(NODECTL), "--config", str(self.config), "serve"])
        for port, name in ((self.pacs_port, "PACS"), (self.port, "node")):
            wait_for_port(port, name)
        console.print(f"the PACS listens on port {self.pacs_port}, the node on {self.port}")

    def send(self, images: list[Path]) -> None:
        """Send the images to the node."""
        console.rule("3  a scanner sends to the node")
        _config.STORE_SEND_CHUNKED_DATASET = True  # the file's bytes, not a re-encoding
        ae = AE(ae_title="DEMO")
        for path in images:
            ds = dcmread(path, stop_before_pixels=True)
            ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
        assoc = ae.associate("127.0.0.1", self.port, ae_title="SEALNODE")
        if not assoc.is_established:
            raise SystemExit(f"the node did not accept the association; see {self.logs}/node.log")
        with Progress(console=console) as progress:
            for path in progress.track(images, description="C-STORE"):
                status = assoc.send_c_store(path)
                if status.get("Status") != 0:
                    raise SystemExit(f"the node answered {status}; see {self.logs}/node.log")
        assoc.release()
        console.print(f"{len(images)} images answered 0x0000: each is durable in the node's spool")

    def wait(self, count: int) -> None:
        """Wait until the PACS has them."""
        deadline = time.monotonic() + PATIENCE
        with Progress(console=console) as progress:
            task = progress.add_task("seal, prove, forward", total=count)
            while (done := self.delivered()) < count:
                progress.update(task, completed=done)
                if time.monotonic() > deadline:
                    raise SystemExit(f"not delivered in time; see {self.logs}/node.log")
                time.sleep(0.2)
            progress.update(task, completed=count)

    def delivered(self) -> int:
        """Return how many objects the PACS holds."""
        return len(list((self.folder / "pacs").glob("*.dcm")))

    def compare(self, images: list[Path]) -> None:
        """Fetch every image back and compare it."""
        console.rule("4  fetched back from the PACS, verified and restored")
        restored = self.folder / "restored"
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for title in ("image", "pixels", "payload", "PSNR", "max", "verdict", "restored"):
            table.add_column(title, no_wrap=True)
        for path in images:
            ds = dcmread(path)
            found = self.nodectl_json(
                "restore", "--from", "pacs-main", "--study", ds.StudyInstanceUID,
                "--sop", ds.SOPInstanceUID, "-o", str(restored / path.name),
            )  # fmt: skip
            same = same_object(path, Path(found["restored"]))
            table.add_row(
                path.stem,
                f"{ds.Modality} {ds.Columns}x{ds.Rows}x{ds.BitsStored}",
                f"{found['payload_bytes']} B",
                f"{found['psnr']:.1f} dB",
                f"±{found['max_change']}",
                f"[green]{found['verdict']}[/green]",
                "[green]identical[/green]" if same else "[red]DIFFERENT[/red]",
            )
            if not same:
                raise SystemExit(f"{path.name} came back different; this is a bug")
        console.print(table)

    def tamper(self) -> None:
        """Change an image inside the PACS and let it be found."""
        console.rule("5  somebody changes an image inside the PACS")
        uid = dcmread(get_testdata_file(TAMPERED, download=False)).SOPInstanceUID
        victim = next(
            p for p in (self.folder / "pacs").glob("*.dcm") if dcmread(p).SOPInstanceUID == uid
        )
        ds = dcmread(victim)
        samples = np.frombuffer(ds.PixelData, "<i2" if ds.PixelRepresentation else "<u2").copy()
        image = samples.reshape(ds.Rows, ds.Columns)
        image[200:230, 300:330] = image[200:230, 260:290]  # a lesion painted over by healthy tissue
        ds.PixelData = samples.tobytes()
        ds.save_as(victim)
        picture = self.folder / "tampered.png"
        found = self.nodectl_json(
            "verify", "--from", "pacs-main", "--study", ds.StudyInstanceUID, "--sop", uid,
            "--picture", str(picture), expect=10,
        )  # fmt: skip
        console.print(f"verdict: [red]{found['verdict']}[/red], {found['reason']}")
        for region in found["regions"]:
            console.print(
                "  changed: rows {row}..{end_row}, columns {column}..{end_column}".format(**region)
            )
        console.print(f"the heat map beside original, marked image and difference: {picture}")

    def explain(self) -> None:
        """Say where everything is."""
        console.rule("Done")
        console.print(
            f"pictures, restored files  {self.folder}\n"
            f"what the PACS holds       {self.folder / 'pacs'}\n"
            f"the node's log            {self.logs / 'node.log'}\n"
            f"the audit log             {self.config / 'state' / 'audit'}\n\n"
            "next: nodectl --help, README.md, docs/configure.md"
        )

    def background(self, name: str, command: list[str]) -> None:
        """Start a process that ends with the demo."""
        log = self.stack.enter_context((self.logs / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self.stack.callback(stop, process)

    def nodectl(self, *arguments: str, configured: bool = True) -> None:
        """Show a command and run it."""
        before = ("--config", str(self.config)) if configured else ()
        console.print(f"[dim]$ nodectl {' '.join(before + arguments)}[/dim]")
        subprocess.run([NODECTL, *before, *arguments], check=True)

    def nodectl_json(self, *arguments: str, expect: int = 0) -> dict:
        """Run a command and return the first line of its answer."""
        command = [NODECTL, "--config", str(self.config), "--json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != expect:
            raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout.splitlines()[0])


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a background process, kindly first."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_ports(count: int) -> list[int]:
    """Return TCP ports of the loopback interface that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def wait_for_port(port: int, name: str) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit(f"the {name} did not start") from None
            time.sleep(0.1)
        else:
            return


def same_object(original: Path, restored: Path) -> bool:
    """Compare two files behind their meta information; pixels by value where compressed."""
    a, b = dcmread(original), dcmread(restored)
    if a.file_meta.TransferSyntaxUID.is_encapsulated:
        same_pixels = np.array_equal(a.pixel_array, b.pixel_array)
        del a.PixelData, b.PixelData
        return same_pixels and a == b
    return data_set(original) == data_set(restored)


def data_set(path: Path) -> bytes:
    """Return the bytes of a Part 10 file behind its meta information."""
    data = path.read_bytes()
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]


if __name__ == "__main__":
    sys.exit(main())
