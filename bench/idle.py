"""What a node takes when nothing happens, and when an object is large.

    scripts/bench idle

Starts a node as ``nodectl init`` makes it (default poll), measures the CPU
time of all its processes with no association and with 50 idle ones, their
memory before and after some CT images were sealed and sent, and the peak of
the receiver's memory while it takes a small and a large object.
Writes ``bench/results/idle.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from archive import Archive
from modality import Modality, Sent, images
from network import CT, EXPLICIT_LE, associate_rq, connect, pdu, receive_pdu
from processes import cpu, family, reset_peaks, together, usage
from running import RunningNode, wait_for

from bench.lab.circumstances import circumstances
from node.types import EntryState

RESULTS = Path(__file__).with_name("results")
UID = "1.2.826.0.1.3680043.10.1234.98.{}"
ROUTES = """
[[route]]
name = "large"
match = { source = ["demo"], Modality = ["OT"] }
action = "hold"

[[route]]
name = "rest"
match = { source = ["demo"] }
action = "seal"
to = ["pacs-main"]
"""


def large(size: int, number: int) -> Sent:
    """Return an object whose pixel data has so many bytes; its route holds it."""
    uid = UID.format(number)
    elements = [
        (0x00080016, b"UI", CT.encode()), (0x00080018, b"UI", uid.encode()),
        (0x00080060, b"CS", b"OT"), (0x0020000D, b"UI", UID.format("1").encode()),
        (0x0020000E, b"UI", UID.format("2").encode()),
    ]  # fmt: skip
    parts = []
    for tag, vr, value in elements:
        padded = value + (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
        parts.append(struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(padded)) + padded)
    parts.append(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size) + bytes(size))
    return Sent(CT, uid, EXPLICIT_LE, b"".join(parts))


def idle(port: int, addresses: int, each: int, stack: contextlib.ExitStack) -> int:
    """Open associations from several addresses and leave them alone; return how many."""
    for number in range(addresses * each):
        sock = stack.enter_context(connect(port, source=f"127.0.0.{2 + number // each}"))
        sock.sendall(associate_rq(called=b"SEALNODE", calling=b"DEMO"))
        kind, _ = receive_pdu(sock)
        assert kind == 0x02, f"association {number} was not accepted: PDU type {kind}"
        stack.callback(sock.sendall, pdu(0x05, bytes(4)))
    return addresses * each


def share(pids: dict[int, str], seconds: float) -> dict[str, float]:
    """Return the CPU time of each stage in per cent of one core, and of all."""
    before = {pid: cpu(pid) for pid in pids}
    began = time.monotonic()
    time.sleep(seconds)
    wall = time.monotonic() - began
    found: dict[str, float] = {}
    for pid, command in pids.items():
        name = stage(command)
        found[name] = found.get(name, 0.0) + (cpu(pid) - before[pid]) / wall * 100
    return {name: round(value, 3) for name, value in found.items()} | {
        "all": round(sum(found.values()), 3)
    }


def stage(command: str) -> str:
    """Return what a process is for."""
    name, _, stage = command.partition(":")
    if name == "nodectl":
        return stage
    return "parent" if "serve" in command.split() else "codec"


def memory(pids: dict[int, str]) -> dict[str, Any]:
    """Return what each process and all together have in memory, in MiB."""
    each = {}
    for pid, command in sorted(pids.items()):
        found = usage(pid)
        each[f"{stage(command)} {pid}"] = {
            "pss": round(found.pss / 2**20, 1), "rss": round(found.rss / 2**20, 1)
        }  # fmt: skip
    whole = together(pids)
    return {"pss": round(whole.pss / 2**20), "rss": round(whole.rss / 2**20), "each": each}


def receiving(node: RunningNode, size: int, number: int) -> float:
    """Send one object and return by how many MiB the receiver's memory grew at its highest."""
    (receiver,) = node.children("receive")
    reset_peaks({receiver: ""})
    before = usage(receiver).rss
    sent = large(size, number)
    with Modality(node.port, [sent.pair]) as modality:
        answered = modality.store(sent)
    assert answered.status == 0, answered
    return round((usage(receiver).peak - before) / 2**20, 1)


def main() -> int:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement of CPU")
    parser.add_argument("--size", type=int, default=300, help="MiB of the large object")
    parser.add_argument("--images", type=int, default=50, help="CT images to seal and send")
    args = parser.parse_args()
    report: dict[str, Any] = circumstances() | {"seconds": args.seconds}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        archive = stack.enter_context(Archive(folder / "pacs", aet="PACS"))
        node = RunningNode(folder / "node", pacs=archive.port, routes=ROUTES)
        settings = node.config / "node.toml"
        settings.write_text(settings.read_text().replace('poll = "50ms"\n', ""))
        stack.enter_context(node)
        wait_for(lambda: len(family(node.pid)) >= 6)
        time.sleep(10)  # what is loaded at start is no cost of being idle
        report["memory_at_start"] = memory(family(node.pid))
        report["cpu_percent_alone"] = share(family(node.pid), args.seconds)
        with contextlib.ExitStack() as peers:
            report["associations"] = idle(node.port, 5, 10, peers)
            report["cpu_percent_idle"] = share(family(node.pid), args.seconds)
        report["receiver_grew"] = {
            f"{size} MiB": receiving(node, size << 20, 100 + size) for size in (1, args.size)
        }
        sent = images(args.images)
        with Modality(node.port, [sent[0].pair]) as modality:
            for one in sent:
                assert modality.store(one).status == 0
        wait_for(
            lambda: all(e.state in {EntryState.DONE, EntryState.HELD} for e in node.entries()),
            every=0.5,
        )
        report["memory_after_images"] = memory(family(node.pid))
        report["cpu_percent_after_images"] = share(family(node.pid), args.seconds)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "idle.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
