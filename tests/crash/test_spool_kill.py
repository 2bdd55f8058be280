"""kill -9 at every named place, and anywhere: nothing that was acknowledged is lost."""

from __future__ import annotations

import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node.audit.check import verify
from node.audit.checkpoint import Signer, generate
from node.audit.log import JsonLog
from node.reap import Reaper
from node.spool.disk import DiskBlobs
from node.spool.sqlite import SqliteLedger
from node.types import EntryState, Event

ROOT = Path(__file__).resolve().parents[2]
PRIVATE, PUBLIC = generate("crash")

RECEIVER = """
import os, sys, threading
from pathlib import Path
from node.failpoint import VARIABLE
from node.spool.disk import DiskBlobs
from node.spool.sqlite import SqliteLedger
from node.types import Action, Decision, Event, Instance, Route

root, name, armed, threads, durable = (
    Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] == "durable"
)
rule = Decision(Route("ct", {}, Action.SEAL, ("pacs",)), Action.SEAL, ())
blobs = DiskBlobs(root / "blobs")
ledger = SqliteLedger(root / "ledger.db")

def receive(thread):
    for number in range(10_000):
        if number == 5 and armed:
            os.environ[VARIABLE] = armed
        uid = f"{name}.{thread}.{number}"
        with blobs.put() as incoming:
            incoming.write(uid.encode() * 100)
            sha256 = incoming.commit(durable=durable)
            ledger.accept(Instance("1", uid, "2", "3", "4", sha256, 9), rule, Event("accepted"))
        os.write(1, f"{uid}\\n".encode())

for thread in range(threads):
    threading.Thread(target=receive, args=(thread,)).start()
"""

REAPER = """
import os, sys, time
from pathlib import Path
from node.audit.checkpoint import Signer
from node.audit.log import JsonLog
from node.failpoint import VARIABLE
from node.reap import Reaper
from node.spool.disk import DiskBlobs
from node.spool.sqlite import SqliteLedger
from node.types import Event

root, key = Path(sys.argv[1]), sys.argv[2]
ledger = SqliteLedger(root / "ledger.db", clock=lambda: 1e9 + time.monotonic())
sink = JsonLog(root / "audit", signer=Signer(key), clock=lambda: 1e9 + 100 * time.monotonic())
reaper = Reaper(
    ledger, DiskBlobs(root / "blobs"), sink, retention=0, clock=lambda: 2e9 + time.monotonic()
)
for entry in ledger.query(limit=1000)[::2]:
    if entry.state.value == "received":
        ledger.discard(entry.id, "unwanted", Event("discarded"))
os.environ[VARIABLE] = sys.argv[3]
while True:
    ledger.record(Event("tick"))
    reaper.step()
"""


def places(*files):
    """Return the failpoints that source files name."""
    text = "".join((ROOT / "node" / file).read_text() for file in files)
    return set(re.findall(r'reach\("([\w.]+)"\)', text))


DELETING = {"blob.deleting", "blob.deleted"}
RECEIVING = places("spool/disk.py", "spool/commit.py") - DELETING
REAPING = places("audit/log.py", "reap.py", "spool/commit.py") | DELETING


def start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )


def finish(process, *, after=None):
    """Wait until a process dies, or kill it after a time; return what it acknowledged."""
    output = b""
    end = time.monotonic() + (60 if after is None else after)
    died = False
    descriptor = process.stdout.fileno()
    while (left := end - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left)[0]:
            continue
        data = os.read(descriptor, 1 << 16)
        if not data:
            died = True
            break
        output += data
    assert died or after is not None, "it never came to the place where it was to die"
    process.send_signal(signal.SIGKILL)
    output += process.stdout.read()
    process.stdout.close()
    assert process.wait(30) == -signal.SIGKILL
    return output.decode().splitlines()


def sound(root, acknowledged):
    """Open what is left and see that every acknowledged object is whole and on its way."""
    blobs = DiskBlobs(root / "blobs")
    blobs.sweep()
    ledger = SqliteLedger(root / "ledger.db")
    [(answer,)] = ledger._reader.execute("PRAGMA integrity_check")
    assert answer == "ok"
    entries = {entry.instance.sop_instance_uid: entry for entry in ledger.query(limit=100_000)}
    assert set(acknowledged) - set(entries) == set()
    for uid, entry in entries.items():
        assert blobs.read(entry.instance.blob) == uid.encode() * 100
        assert entry.state is EntryState.RECEIVED
        assert [delivery.destination for delivery in ledger.get(entry.id)[1]] == ["pacs"]
    sequence = [seq for seq, _, _ in ledger.outbox(limit=1_000_000)]
    assert sequence == list(range(1, len(entries) + 1))
    assert list((root / "blobs/incoming").iterdir()) == []
    ledger.close()


@pytest.mark.parametrize("name", sorted(RECEIVING))
def test_nothing_acknowledged_is_lost_when_receiving_dies_at(tmp_path, name):
    durable = "made" if name == "blob.linked" else "durable"
    acknowledged = finish(start(RECEIVER, tmp_path, "1", name, 1, durable))
    assert len(acknowledged) >= 5
    sound(tmp_path, acknowledged)
    again = finish(start(RECEIVER, tmp_path, "2", name, 3, durable))
    sound(tmp_path, acknowledged + again)


def test_nothing_acknowledged_is_lost_when_receiving_dies_anywhere(tmp_path):
    rng = random.Random(1)
    acknowledged = []
    for turn in range(3):
        delay = 0.4 + rng.random() * 0.5
        acknowledged += finish(start(RECEIVER, tmp_path, turn, "", 3, "durable"), after=delay)
    assert acknowledged
    sound(tmp_path, acknowledged)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_in_many_deaths(tmp_path):
    rng = random.Random(2)
    acknowledged = []
    for turn in range(60):
        writers = [start(RECEIVER, tmp_path, f"{turn}.{n}", "", 2, "durable") for n in range(2)]
        delay = 0.3 + rng.random() * 0.7
        for writer in writers:
            acknowledged += finish(writer, after=delay)
    sound(tmp_path, acknowledged)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REAPING))
def test_no_event_is_lost_or_doubled_and_no_named_blob_deleted_when_the_reaper_dies_at(
    tmp_path, name
):
    acknowledged = finish(start(RECEIVER, tmp_path, "1", "blob.created", 1, "durable"))
    for turn in range(3):
        finish(start(REAPER, tmp_path, PRIVATE, name))
        if turn == 1:
            acknowledged += finish(start(RECEIVER, tmp_path, "2", "blob.created", 1, "durable"))

    now = [3e9]
    blobs, ledger = DiskBlobs(tmp_path / "blobs"), SqliteLedger(tmp_path / "ledger.db")
    sink = JsonLog(tmp_path / "audit", signer=Signer(PRIVATE), clock=lambda: now[0])
    reaper = Reaper(ledger, blobs, sink, retention=0, clock=lambda: now[0])
    for _ in range(3):
        reaper.step()
        now[0] += 100
    sink.close()

    report = verify(tmp_path / "audit", PUBLIC)
    assert report.problem == ""
    assert report.signed == report.events
    assert ledger.outbox(limit=9) == []
    ledger.record(Event("next"))
    [(seq, _, event)] = ledger.outbox(limit=9)
    assert (seq, event) == (report.events + 1, Event("next"))

    entries = ledger.query(limit=1000)
    kept = {entry.instance.blob for entry in entries}
    assert {name for name, _ in blobs.walk()} == kept
    for entry in entries:
        assert blobs.read(entry.instance.blob) == entry.instance.sop_instance_uid.encode() * 100
    assert ledger.garbage(limit=9) == []
    assert 0 < len(entries) < len(acknowledged)
    ledger.close()
