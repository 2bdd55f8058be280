"""Retrieving through the node against the PACS's own C-MOVE, and false alarms on untouched objects.

    scripts/bench retrieve --count 100 --reps 3
    scripts/bench retrieve --untouched 10000

Orthanc holds sealed objects. A C-MOVE brings them to DCMTK's ``storescp``: once
straight from Orthanc, once through the node, which verifies each, once through
the node, which verifies and restores each; in turns, all with ``TCP_NODELAY=1``.
With ``--untouched`` so many different objects are sealed and judged as what a
PACS gives back: nothing but INTACT is right. Writes
``bench/results/retrieve.json``, of which ``scripts/docs`` makes a section of
``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import peers
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from running import RunningNode, free_ports, listening, wait_for

from bench.lab.circumstances import circumstances
from bench.lab.page import retrieve
from node import wiring
from node.aftercare.judge import Judge, Known
from node.sealing.order import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESULTS = Path(__file__).with_name("results") / "retrieve.json"
STUDY = "1.2.826.0.1.3680043.10.1234.77"
SOURCES = ("CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "693_UNCR.dcm")
GOALS = {"verified": 0.8, "restored": 0.6}  # of the PACS's own throughput
ROUTES = """
[[route]]
name = "all"
match = {{ source = ["demo"] }}
action = "seal"
to = ["pacs-main"]

[workstation.restored]
aet = "RESTORED"
addresses = ["127.0.0.0/8"]
pacs = "pacs-main"
restore = true
host = "127.0.0.1"
port = {sink}

[workstation.verified]
aet = "VERIFIED"
addresses = ["127.0.0.0/8"]
pacs = "pacs-main"
host = "127.0.0.1"
port = {sink}
"""


def load(folder: Path, source: str, count: int) -> None:
    """Write a study of distinct objects."""
    ds = dcmread(get_testdata_file(source, download=False))
    folder.mkdir()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, f"{STUDY}.1"
    for number in range(count):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.InstanceNumber = number + 1
        ds.save_as(folder / f"{number:05}.dcm")


@contextlib.contextmanager
def sink(folder: Path, port: int) -> Iterator[None]:
    """Run ``storescp``, which forgets what it gets."""
    folder.mkdir()
    command = [peers.program("storescp"), "--fork", "--ignore", "-od", str(folder), str(port)]
    process = subprocess.Popen(
        command, env=peers.TUNED, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: listening(port))
        yield
    finally:
        process.terminate()
        process.wait()


def move(port: int, aet: str, called: str, to: str) -> None:
    """Ask for the study; wait until all has arrived."""
    done = subprocess.run(
        [peers.program("movescu"), "-v", "-S", "-aet", aet, "-aec", called, "-aem", to,
         "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}",
         "127.0.0.1", str(port)],
        capture_output=True, text=True, env=peers.TUNED, timeout=600, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "Received Final Move Response (Success)" in said, said[-2000:]


def cpu(pids: list[int]) -> float:
    """Return the CPU seconds of processes so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def throughput(source: str, count: int, reps: int, work: Path) -> dict[str, list[dict[str, float]]]:
    """Return for each way (images a second, CPU ms an image of ours) of each run."""
    port, sink_port = free_ports(2)
    load(work / "study", source, count)
    node = RunningNode(work / "node", pacs=port, routes=ROUTES.format(sink=sink_port))
    (work / "node" / "config").mkdir(exist_ok=True)
    with (
        peers.orthanc(work / "pacs", port=port, fetch_port=node.fetch_port) as pacs,
        node,
        sink(work / "sink", sink_port),
    ):
        modality = {"AET": "SINK", "Host": "127.0.0.1", "Port": sink_port}
        pacs.rest("PUT", "/modalities/sink", modality)
        subprocess.run(
            [peers.program("storescu"), "-aet", "DEMO", "-aec", "SEALNODE", "+sd",
             "127.0.0.1", str(node.port), str(work / "study")],
            env=peers.TUNED, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for(
            lambda: json.loads(pacs.rest("GET", "/statistics"))["CountInstances"] >= count,
            every=0.5, seconds=600, why=f"the PACS to be filled; see {node.log}",
        )  # fmt: skip
        ways: dict[str, Callable[[], None]] = {
            "direct": lambda: move(port, "SINK", "PACS", "SINK"),
            "verified": lambda: move(node.port, "VERIFIED", "SEALNODE", "VERIFIED"),
            "restored": lambda: move(node.port, "RESTORED", "SEALNODE", "RESTORED"),
        }
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        pids = node.children()
        for rep in range(reps + 1):  # the first warms up
            for name, way in ways.items():
                used, begin = cpu(pids), time.perf_counter()
                way()
                seconds = time.perf_counter() - begin
                run = {"rate": count / seconds, "cpu": (cpu(pids) - used) / count * 1e3}
                print(f"rep {rep} {name}: {run}", file=sys.stderr)
                if rep:
                    found[name].append(run)
    return found


def untouched(count: int, work: Path) -> dict[str, Any]:
    """Seal so many different objects and judge each as it is; return the verdicts."""
    node = RunningNode(work / "quiet", pacs=1)
    rng = np.random.default_rng(1)
    verdicts: Counter[str] = Counter()
    seconds = 0.0
    sources = [dcmread(get_testdata_file(name, download=False)) for name in SOURCES]
    with wiring.codec() as codec:
        marker = wiring.marker(node.settings, codec)
        judge = Judge(wiring.examiner(node.settings, codec))
        for number in range(count):
            original = variation(sources[number % len(sources)], number, rng)
            marked = marker.mark(original, Order(received_at=time.time(), carrier="auto"))
            begin = time.process_time()
            found = judge.judge(marked.data, Known(marked.data, original, sealed=True))
            seconds += time.process_time() - begin
            verdicts[found.verdict] += 1
            if number % 1000 == 999:
                print(f"untouched: {number + 1} of {count}: {dict(verdicts)}", file=sys.stderr)
    return {"verdicts": dict(verdicts), "cpu": seconds / count * 1e3}


def variation(ds: Any, number: int, rng: np.random.Generator) -> bytes:
    """Return an object of a patient of its own, whose pixels differ from all others."""
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.PatientName, ds.PatientID = f"Patient^{number}", f"P{number}"
    before = ds.PixelData
    words = ds.pixel_array.copy()
    words = np.roll(words, rng.integers(0, words.shape[0]), axis=0)
    words = np.roll(words, rng.integers(0, words.shape[1]), axis=1)
    words ^= (rng.random(words.shape) < rng.choice([0, 0.01, 0.5])).astype(words.dtype)
    ds.PixelData = words.tobytes()
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    ds.PixelData = before
    return out.getvalue()


def main() -> int:
    """Run what is asked for, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="objects in one run")
    parser.add_argument("--reps", type=int, default=3, help="runs of each way, in turns")
    parser.add_argument("--source", default="693_UNCR.dcm", help="a file of pydicom's")
    parser.add_argument("--untouched", type=int, default=0, help="objects to judge instead")
    args = parser.parse_args()
    where, found = circumstances(), {}
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        if args.untouched:
            found["untouched"] = where | untouched(args.untouched, work)
        else:
            runs = throughput(args.source, args.count, args.reps, work)
            size = Path(get_testdata_file(args.source, download=False)).stat().st_size
            facts = {"count": args.count, "bytes": size, "goals": GOALS, "runs": runs}
            found["throughput"] = where | facts
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    RESULTS.write_text(json.dumps(report | found, indent=1) + "\n")
    print(retrieve(report | found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
