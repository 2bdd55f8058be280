"""Store-and-forward side by side: the node against Orthanc, same sender and sink, interleaved.

    scripts/bench node                      every section, some minutes
    scripts/bench node --only ct --count 1000 --reps 5

Every object is received, made durable, sealed, proved and forwarded by the
node; Orthanc only receives and forwards. The sender is DCMTK's ``storescu``,
the sink DCMTK's ``storescp``, both with ``TCP_NODELAY=1`` (without it DCMTK
waits for a delayed ACK at each message, and that is all one would measure),
but in the section ``factory``, where every DCMTK-based process runs as it is
shipped. In the section ``receive`` nothing is sent on. The section ``latency``
times each C-STORE from its last byte to its answer, with a sender of our own.
Writes ``bench/results/node.json`` and prints what ``docs/benchmarks.md`` will say.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from modality import Modality, Sent
from peers import TUNED, program
from processes import family, together
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from running import RunningNode, free_ports, listening, wait_for

from bench.lab import page
from bench.lab.circumstances import circumstances
from node.dicom import reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.dataset import FileDataset

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


HOLD = """
[[route]]
name = "hold"
match = { source = ["demo"] }
action = "hold"
"""
FACTORY = {name: value for name, value in TUNED.items() if name != "TCP_NODELAY"}


@dataclass(frozen=True)
class Section:
    """One question, asked of some systems.

    :param source: a file of pydicom's.
    :param tiles: the image so many times beside and below itself.
    :param share: of ``--count`` objects.
    :param forward: every object goes on to the sink; else it is only received.
    :param tuned: DCMTK-based processes run with ``TCP_NODELAY=1``.
    :param goals: what the node shall be, in times of another system.
    """

    systems: tuple[str, ...]
    goals: tuple[tuple[str, float], ...]
    source: str = "693_UNCR.dcm"
    tiles: int = 1
    share: float = 1.0
    forward: bool = True
    tuned: bool = True

    @property
    def environment(self) -> dict[str, str]:
        """What DCMTK-based processes find in their environment."""
        return TUNED if self.tuned else FACTORY


EVERY = ("node", "orthanc-lua", "orthanc-poller")
WHOLE = (("orthanc-lua", 4.0), ("orthanc-poller", 1.0))
SECTIONS = {
    "ct": Section(EVERY, WHOLE),
    "mr": Section(EVERY, WHOLE, source="MR_small.dcm", tiles=4),
    "large": Section(("node", "orthanc-poller"), (("orthanc-poller", 1.5),), tiles=7, share=0.04),
    "receive": Section(("node", "orthanc-receive"), (("orthanc-receive", 1.3),), forward=False),
    "factory": Section(("node", "orthanc-lua"), (("orthanc-lua", 10.0),), share=0.3, tuned=False),
}


def image(source: str, tiles: int) -> FileDataset:
    """Return an image of pydicom's, tiled, uncompressed."""
    ds = dcmread(str(get_testdata_file(source, download=False)))
    if tiles > 1:
        pixels = np.tile(ds.pixel_array, (tiles, tiles))
        ds.Rows, ds.Columns = pixels.shape
        ds.PixelData = pixels.tobytes()
    return ds


def load(folder: Path, ds: FileDataset, count: int, parts: int) -> list[Path]:
    """Write ``count`` distinct objects in as many folders as there are associations."""
    folders = []
    for part in range(parts):
        place = folder / f"{parts}-{part}"
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
def sink(folder: Path, environment: dict[str, str]) -> Iterator[int]:
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
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: listening(port))
        yield port
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def the_node(folder: Path, sink_port: int, section: Section) -> Iterator[tuple[int, int]]:
    """The node, as ``nodectl init`` and ``nodectl serve`` make it."""
    routes = None if section.forward else HOLD
    node = RunningNode(folder, pacs=sink_port, routes=routes)
    settings = node.config / "node.toml"
    settings.write_text(settings.read_text().replace('poll = "50ms"\n', ""))
    with node:
        time.sleep(1)  # until it is at rest
        yield node.port, node.pid


@contextlib.contextmanager
def orthanc(
    folder: Path, sink_port: int, section: Section, *, poller: bool
) -> Iterator[tuple[int, int]]:
    """Orthanc: its documented Lua forward, or its best (an outer program that sends batches)."""
    port, http = free_ports(2)
    folder.mkdir()
    (folder / "forward.lua").write_text(LUA)
    settings = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "Plugins": [],
        "DicomAet": "SEALNODE", "DicomPort": port, "HttpPort": http, "DicomAlwaysAllowStore": True,
        "DicomModalities": {"sink": ["PACS", "127.0.0.1", sink_port]},
        "LuaScripts": [] if poller or not section.forward else [str(folder / "forward.lua")],
    }  # fmt: skip
    if poller:
        settings |= {
            "MaximumPduLength": 131072, "OverwriteInstances": True, "SaveJobs": False,
            "StoreMD5ForAttachments": False,
        }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program("Orthanc"), str(folder / "orthanc.json")],
            env=section.environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=poll, args=(http, stop), daemon=True)
    try:
        wait_for(lambda: listening(port))
        if poller and section.forward:
            thread.start()
        yield port, process.pid
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


def plain(folder: Path, port: int, section: Section) -> contextlib.AbstractContextManager:
    """Orthanc with its documented forward, or with none."""
    return orthanc(folder, port, section, poller=False)


def batches(folder: Path, port: int, section: Section) -> contextlib.AbstractContextManager:
    """Orthanc at its best."""
    return orthanc(folder, port, section, poller=True)


SYSTEMS: dict[str, Callable] = {
    "node": the_node, "orthanc-lua": plain, "orthanc-poller": batches, "orthanc-receive": plain
}  # fmt: skip


@contextlib.contextmanager
def place_in(work: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """Give a folder on the disk and one in memory; both are gone in the end."""
    place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=work))
    out = Path(tempfile.mkdtemp(prefix="sink-", dir="/dev/shm"))
    try:
        yield place / "sut", out / "files"
    finally:
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)


def run(
    name: str, section: Section, folders: list[Path], count: int, work: Path
) -> dict[str, float]:
    """Send everything through one system: objects a second, CPU ms each, MiB in the end."""
    environment = section.environment
    with (
        place_in(work, name) as (place, out),
        sink(out, environment) as sink_port,
        SYSTEMS[name](place, sink_port, section) as (port, leader),
    ):
        before, begin = together(family(leader)).cpu, time.perf_counter()
        senders = [
            subprocess.Popen(
                [program("storescu"), "-aet", "DEMO", "-aec", "SEALNODE", "+sd",
                 "127.0.0.1", str(port), str(folder)],
                env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for folder in folders
        ]  # fmt: skip
        for sender in senders:
            assert sender.wait(PATIENCE) == 0, f"{name}: storescu failed"
        received = time.perf_counter() - begin
        if section.forward:
            wait_for(lambda: len(list(out.iterdir())) >= count, seconds=PATIENCE, why=name)
        ended = time.perf_counter() - begin
        used = together(family(leader))
        return {
            "recv": count / received, "e2e": count / ended,
            "cpu": (used.cpu - before) / count * 1e3,
            "pss": used.pss / 2**20, "rss": used.rss / 2**20,
        }  # fmt: skip


def answer_times(port: int, objects: list[Sent], took: list[float]) -> None:
    """Store objects on one association; note for each the seconds from last byte to answer."""
    with Modality(port, [objects[0].pair]) as modality:
        for sent in objects:
            assert modality.store(sent).status == 0
            took.append(modality.waited)


def latency(count: int, associations: int, work: Path) -> dict[str, float]:
    """Return median and 99th percentile of the time until a C-STORE is answered, in ms."""
    ds = image("693_UNCR.dcm", 1)
    took: list[list[float]] = [[] for _ in range(associations)]
    loads = []
    for _ in took:
        objects = []
        for _ in range(count // associations):
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            written = io.BytesIO()
            ds.save_as(written, enforce_file_format=True)
            data = reader.read(written.getvalue()).dataset
            syntax = str(ds.file_meta.TransferSyntaxUID)
            objects.append(Sent(ds.SOPClassUID, ds.SOPInstanceUID, syntax, data))
        loads.append(objects)
    with (
        place_in(work, "latency") as (place, out),
        sink(out, TUNED) as sink_port,
        the_node(place, sink_port, SECTIONS["ct"]) as (port, leader),
    ):
        threads = [
            threading.Thread(target=answer_times, args=(port, objects, times))
            for objects, times in zip(loads, took, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        used = together(family(leader))
    every = sorted(one for times in took for one in times)
    assert len(every) == count // associations * associations
    return {
        "p50": every[len(every) // 2] * 1e3, "p99": every[len(every) * 99 // 100] * 1e3,
        "pss": used.pss / 2**20, "rss": used.rss / 2**20,
    }  # fmt: skip


def main() -> int:
    """Run everything in turns and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="CT or MR objects in one run")
    parser.add_argument("--reps", type=int, default=3, help="runs of each system, interleaved")
    parser.add_argument("--associations", default="1,4", help="senders at once")
    parser.add_argument(
        "--only", default=",".join([*SECTIONS, "latency"]), help="sections, of %(default)s"
    )
    args = parser.parse_args()
    report: dict = circumstances() | {"count": args.count, "results": {}}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder)
        for name in args.only.split(","):
            if name == "latency":
                report["latency"] = [latency(args.count, 4, work) for _ in range(args.reps)]
                continue
            section = SECTIONS[name]
            count = max(4, int(args.count * section.share) // 4 * 4)
            ds = image(section.source, section.tiles)
            found = report["results"][name] = {
                "bytes": len(ds.PixelData), "count": count, "forward": section.forward,
                "goals": dict(section.goals), "runs": {},
            }  # fmt: skip
            for parts in map(int, args.associations.split(",")):
                folders = load(work / name, ds, count, parts)
                table = found["runs"][str(parts)] = {system: [] for system in section.systems}
                for rep in range(args.reps):
                    for system in section.systems:
                        row = run(system, section, folders, count, work)
                        table[system].append(row)
                        print(f"{name} x{parts} rep {rep + 1} {system}: {row}", file=sys.stderr)
            shutil.rmtree(work / name)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "node.json").write_text(json.dumps(report, indent=1) + "\n")
    print(page.node(report))
    return 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(main())
