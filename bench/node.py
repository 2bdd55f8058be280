"""Store-and-forward side by side: the node against Orthanc, same sender and sink, interleaved.

    scripts/bench node --count 200 --reps 3

Every object is received, made durable, sealed, proved and forwarded by the
node; Orthanc only receives and forwards. The sender is DCMTK's ``storescu``,
the sink DCMTK's ``storescp``, both with ``TCP_NODELAY=1`` (without it DCMTK
waits for a delayed ACK at each message, and that is all one would measure).
Writes ``bench/results/node.json`` and the table for ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import TUNED, program
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from running import RunningNode, free_ports, listening, wait_for

from bench.lab.circumstances import circumstances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESULTS = Path(__file__).with_name("results")
PATIENCE = 300.0  # seconds for one run
LUA = """
function OnStoredInstance(id, tags, metadata, origin)
  if origin["RequestOrigin"] == "DicomProtocol" then
    SendToModality(id, "sink")
    Delete(id)
  end
end
"""


def load(folder: Path, source: str, count: int, parts: int) -> list[Path]:
    """Write ``count`` distinct objects in as many folders as there are associations."""
    ds = dcmread(str(get_testdata_file(source, download=False)))
    folders = []
    for part in range(parts):
        place = folder / f"{source}-{parts}-{part}"
        place.mkdir(parents=True)
        folders.append(place)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
        for number in range(count // parts):
            uid = generate_uid()
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
            ds.InstanceNumber = number + 1
            ds.save_as(place / f"{number:05}.dcm")
    return folders


@contextlib.contextmanager
def sink(folder: Path) -> Iterator[int]:
    """Run ``storescp``; give its port."""
    (port,) = free_ports(1)
    folder.mkdir()
    command = [
        program("storescp"),
        "--fork",
        "+B",
        "-uf",
        "-aet",
        "PACS",
        "-od",
        str(folder),
        str(port),
    ]
    process = subprocess.Popen(
        command, env=TUNED, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: listening(port))
        yield port
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def the_node(folder: Path, sink_port: int) -> Iterator[tuple[int, Callable[[], float]]]:
    """The node, as ``nodectl init`` and ``nodectl serve`` make it."""
    node = RunningNode(folder, pacs=sink_port)
    with node:
        wait_for(lambda: len(node.children()) >= 5)
        time.sleep(2)  # the compiled kernel is loaded at start
        pids = node.children()
        yield node.port, lambda: sum(map(cpu, pids))


@contextlib.contextmanager
def orthanc(
    folder: Path, sink_port: int, *, poller: bool
) -> Iterator[tuple[int, Callable[[], float]]]:
    """Orthanc: its documented Lua forward, or its best (an outer program that sends batches)."""
    port, http = free_ports(2)
    folder.mkdir()
    (folder / "forward.lua").write_text(LUA)
    settings = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "Plugins": [],
        "DicomAet": "SEALNODE", "DicomPort": port, "HttpPort": http, "DicomAlwaysAllowStore": True,
        "DicomModalities": {"sink": ["PACS", "127.0.0.1", sink_port]},
        "LuaScripts": [] if poller else [str(folder / "forward.lua")],
    }  # fmt: skip
    if poller:
        settings |= {
            "MaximumPduLength": 131072, "OverwriteInstances": True, "SaveJobs": False,
            "StoreMD5ForAttachments": False,
        }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program("Orthanc"), str(folder / "orthanc.json")], env=TUNED, stdout=log, stderr=log
        )
    stop = threading.Event()
    thread = threading.Thread(target=poll, args=(http, stop), daemon=True)
    try:
        wait_for(lambda: listening(port))
        if poller:
            thread.start()
        yield port, lambda: cpu(process.pid)
    finally:
        stop.set()
        process.terminate()
        process.wait()


def poll(http: int, stop: threading.Event) -> None:
    """Send what is new in batches of at most 100, two jobs at a time."""
    base, since, waiting = f"http://127.0.0.1:{http}", 0, []
    gate = threading.Semaphore(2)

    def call(path: str, body: object = None) -> object:
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(
            urllib.request.Request(base + path, data), timeout=60
        ) as answer:
            return json.loads(answer.read() or b"null")

    def send(batch: list[str]) -> None:
        with gate:
            call("/modalities/sink/store", {"Resources": batch, "Synchronous": True})

    while not stop.is_set():
        with contextlib.suppress(OSError):
            found = call(f"/changes?since={since}&limit=1000")
            since = found["Last"]
            waiting += [c["ID"] for c in found["Changes"] if c["ChangeType"] == "NewInstance"]
        while waiting:
            batch, waiting = waiting[:100], waiting[100:]
            gate.acquire()
            gate.release()
            threading.Thread(target=send, args=(batch,), daemon=True).start()
        time.sleep(0.02)


SUTS = {
    "node": the_node,
    "orthanc-lua": lambda folder, port: orthanc(folder, port, poller=False),
    "orthanc-poller": lambda folder, port: orthanc(folder, port, poller=True),
}


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(name: str, folders: list[Path], count: int, work: Path) -> dict[str, float]:
    """Send everything through one system and return seconds and CPU seconds."""
    place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=work))
    out = Path(tempfile.mkdtemp(prefix="sink-", dir="/dev/shm")) / "files"
    try:
        with sink(out) as sink_port, SUTS[name](place / "sut", sink_port) as (port, used):
            before, begin = used(), time.perf_counter()
            senders = [
                subprocess.Popen(
                    [program("storescu"), "-aet", "DEMO", "-aec", "SEALNODE", "+sd",
                     "127.0.0.1", str(port), str(folder)],
                    env=TUNED, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )
                for folder in folders
            ]  # fmt: skip
            for sender in senders:
                assert sender.wait(PATIENCE) == 0, f"{name}: storescu failed"
            received = time.perf_counter() - begin
            wait_for(lambda: len(list(out.iterdir())) >= count, seconds=PATIENCE, why=name)
            ended = time.perf_counter() - begin
            return {
                "recv": count / received,
                "e2e": count / ended,
                "cpu": (used() - before) / count * 1e3,
            }
    finally:
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(out.parent, ignore_errors=True)


def main() -> int:
    """Run everything in turns and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="objects in one run")
    parser.add_argument("--reps", type=int, default=3, help="runs of each system, interleaved")
    parser.add_argument("--source", default="693_UNCR.dcm", help="a file of pydicom's")
    parser.add_argument("--associations", default="1,4")
    parser.add_argument("--systems", default=",".join(SUTS))
    args = parser.parse_args()
    systems = args.systems.split(",")
    about = circumstances()
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        for parts in map(int, args.associations.split(",")):
            folders = load(Path(work) / "load", args.source, args.count, parts)
            table = found.setdefault(f"x{parts}", {name: [] for name in systems})
            for rep in range(args.reps):
                for name in systems:
                    table[name].append(run(name, folders, args.count, Path(work)))
                    print(f"x{parts} rep {rep + 1} {name}: {table[name][-1]}", file=sys.stderr)
    report = {
        **about,
        "count": args.count, "source": args.source, "results": found,
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "node.json").write_text(json.dumps(report, indent=1) + "\n")
    print(markdown(report))
    return 0


def markdown(report: dict) -> str:
    """Return the tables, ratios against the first system."""
    lines = [
        f"{report['count']} x {report['source']}, {report['machine']}; medians, [min..max].", "",
        "| associations | system | end to end, images/s | received, images/s | CPU ms | node is |",
        "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for parts, table in report["results"].items():
        ours = statistics.median(r["e2e"] for r in table["node"]) if "node" in table else None
        for name, runs in table.items():
            cells = []
            for key in ("e2e", "recv", "cpu"):
                values = [r[key] for r in runs]
                low, high = min(values), max(values)
                cells.append(f"{statistics.median(values):.1f} [{low:.1f}..{high:.1f}]")
            theirs = statistics.median(r["e2e"] for r in runs)
            ratio = f"{ours / theirs:.2f}x" if ours and name != "node" else ""
            lines.append(f"| {parts[1:]} | {name} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(main())
