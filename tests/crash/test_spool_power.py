"""Power cuts: only what was fsynced is left, and nothing acknowledged is missing from it.

The disk here is a model that is harsher than a real one: bytes are kept only
by an fsync of their file, names only by an fsync of their folder.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from pathlib import Path

import apsw
import pytest

from node.audit.check import verify
from node.audit.checkpoint import Signer, generate
from node.audit.log import JsonLog
from node.reap import Reaper, drain
from node.spool.disk import DiskBlobs
from node.spool.sqlite import SqliteLedger
from node.types import Action, Decision, EntryState, Event, Instance, Route

PRIVATE, PUBLIC = generate("power")
RULE = Decision(Route("ct", {}, Action.SEAL, ("pacs",)), Action.SEAL, ())


class Disk:
    """Notes what a file system has promised to keep."""

    def __init__(self, root):
        self.root = root
        self.bytes = {}  # inode -> content at its last fsync
        self.names = {root: {}}  # folder -> {name: inode} at its last fsync
        self.deaf_to = set()

    def sync(self, path):
        if path.is_dir():
            if "folder" not in self.deaf_to:
                self.names[path] = {item.name: item.stat().st_ino for item in path.iterdir()}
        elif "file" not in self.deaf_to:
            self.bytes[path.stat().st_ino] = path.read_bytes()

    def sync_database(self, path):
        """SQLite syncs the folder itself when it has made a file."""
        self.sync(path)
        self.names.setdefault(path.parent, {})[path.name] = path.stat().st_ino

    def cut(self, target):
        """Write what is left after a power cut into another folder."""
        target.mkdir(mode=0o700)
        self._leave(self.root, target)
        return target

    def _leave(self, folder, place):
        for name, inode in self.names.get(folder, {}).items():
            if (folder / name).is_dir():
                (place / name).mkdir(mode=0o700)
                self._leave(folder / name, place / name)
            else:
                (place / name).write_bytes(self.bytes.get(inode, b""))


@pytest.fixture
def disk(tmp_path, monkeypatch):
    disk = Disk(tmp_path / "live")
    real = os.fsync

    def sync(descriptor):
        disk.sync(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    class File(apsw.VFSFile):
        def __init__(self, name, flags):
            super().__init__("unix", name, flags)
            self._name = name if isinstance(name, str) else name and name.filename()

        def xSync(self, flags):  # noqa: N802 SQLite's name
            super().xSync(flags)
            if self._name:  # a temporary file has none
                disk.sync_database(Path(self._name))

    class FileSystem(apsw.VFS):
        def __init__(self):
            super().__init__("model", "unix", makedefault=True)

        def xOpen(self, name, flags):  # noqa: N802 SQLite's name
            return File(name, flags)

    system = FileSystem()
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "fdatasync", sync)
    disk.root.mkdir()
    yield disk
    system.unregister()
    apsw.set_default_vfs("unix")


def receive(root, *, number=40):
    """Accept objects; yield what was acknowledged after each one."""
    blobs, ledger = DiskBlobs(root / "blobs"), SqliteLedger(root / "ledger.db")
    acknowledged = []
    for item in range(number):
        with blobs.put() as incoming:
            incoming.write(f"object {item}".encode() * 200)
            sha256 = incoming.commit()
            instance = Instance("1", f"1.{item}", "2", "3", "4", sha256, 9)
            ledger.accept(instance, RULE, Event("accepted"))
        acknowledged.append(instance)
        yield acknowledged
    ledger.close()


def missing(root, acknowledged):
    """Return what of the acknowledged is not on the disk, whole and waiting."""
    blobs, ledger = DiskBlobs(root / "blobs"), SqliteLedger(root / "ledger.db")
    lost = []
    for instance in acknowledged:
        try:
            whole = hashlib.sha256(blobs.read(instance.blob)).hexdigest() == instance.blob
        except Exception:  # noqa: BLE001 whatever it is, the object is lost
            whole = False
        entries = ledger.find(instance.sop_instance_uid)
        if not whole or [entry.state for entry in entries] != [EntryState.RECEIVED]:
            lost.append(instance)
    ledger.close()
    return lost


def test_a_power_cut_after_any_acknowledgement_loses_nothing(disk, tmp_path):
    for number, acknowledged in enumerate(receive(disk.root)):
        if number % 5 == 0:
            left = disk.cut(tmp_path / f"left{number}")
            assert missing(left, acknowledged) == []


@pytest.mark.parametrize("mutant", ["file", "folder"])
def test_without_an_fsync_the_model_does_lose(disk, tmp_path, mutant):
    """The test above can fail: each fsync is needed."""
    made = receive(disk.root)
    next(made)
    disk.deaf_to = {mutant}
    databases = disk.sync_database

    def sync_database(path):
        disk.deaf_to = set()
        databases(path)
        disk.deaf_to = {mutant}

    disk.sync_database = sync_database
    *_, acknowledged = itertools.islice(made, 5)
    left = disk.cut(tmp_path / "left")
    assert len(missing(left, acknowledged)) == 5


def test_without_synchronous_full_the_model_does_lose(disk, tmp_path):
    blobs, ledger = DiskBlobs(disk.root / "blobs"), SqliteLedger(disk.root / "ledger.db")
    ledger._writer.pragma("synchronous", "NORMAL")
    instance = Instance("1", "1.2", "2", "3", "4", hashlib.sha256(b"x").hexdigest(), 1)
    with blobs.put() as incoming:
        incoming.write(b"x")
        incoming.commit()
        ledger.accept(instance, RULE, Event("accepted"))
    left = disk.cut(tmp_path / "left")
    assert missing(left, [instance]) == [instance]
    ledger.close()


def test_an_object_to_send_that_a_power_cut_took_is_sealed_again(disk, tmp_path):
    list(itertools.islice(receive(disk.root), 3))
    blobs, ledger = DiskBlobs(disk.root / "blobs"), SqliteLedger(disk.root / "ledger.db")

    def seal(blobs, ledger, claim):
        with blobs.put() as incoming:
            incoming.write(b"sealed " + claim.entry.instance.blob.encode())
            ledger.ready(
                claim,
                incoming.commit(durable=False),
                sop_class_uid="1",
                sop_instance_uid="2",
                transfer_syntax_uid="3",
                event=Event("sealed"),
            )

    for claim in ledger.claim_entries("w", limit=3, lease=60):
        seal(blobs, ledger, claim)
    ledger.close()
    left = disk.cut(tmp_path / "left")

    blobs, ledger = DiskBlobs(left / "blobs"), SqliteLedger(left / "ledger.db")
    assert ledger.stats().entries == {"ready": 3}
    sink = JsonLog(left / "audit")
    Reaper(ledger, blobs, sink, retention=0, clock=lambda: 0.0).step()
    assert ledger.stats().entries == {"received": 3}
    for claim in ledger.claim_entries("w", limit=3, lease=60):
        seal(blobs, ledger, claim)
    for claim in ledger.claim_deliveries("f", "pacs", limit=3, lease=60):
        assert blobs.read(claim.delivery.blob).startswith(b"sealed ")
    sink.close()
    ledger.close()


def test_no_audit_event_is_lost_or_doubled_by_power_cuts(disk, tmp_path):
    ledger = SqliteLedger(disk.root / "ledger.db")
    now = [1e9]
    sink = JsonLog(disk.root / "audit", signer=Signer(PRIVATE), clock=lambda: now[0])
    for number in range(30):
        ledger.record(Event(f"e{number}"))
        now[0] += 20
        if number % 3 == 0:
            drain(ledger, sink)
        if number % 7 == 0:
            left = disk.cut(tmp_path / f"left{number}")
            rest = SqliteLedger(left / "ledger.db")
            log = JsonLog(left / "audit", signer=Signer(PRIVATE), clock=lambda: now[0])
            drain(rest, log)
            log.close()
            rest.close()
            report = verify(left / "audit", PUBLIC)
            assert (report.events, report.problem) == (number + 1, "")
    sink.close()
    ledger.close()
