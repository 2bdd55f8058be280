"""What the reaper clears away, keeps, and says."""

from __future__ import annotations

import hashlib

import pytest
from structlog.testing import capture_logs

from node.audit.check import verify
from node.audit.log import JsonLog
from node.errors import AuditError, SpoolFullError
from node.reap import Reaper, drain, rejoin
from node.spool.disk import DiskBlobs
from node.spool.memory import MemoryBlobs
from node.spool.sqlite import SqliteLedger
from node.types import (
    Action,
    Decision,
    DeliveryState,
    EntryState,
    Event,
    Instance,
    Part,
    Route,
)

DAY = 86400.0
START = 1_700_000_000.0
RULE = Decision(Route("ct", {}, Action.SEAL, ("pacs",)), Action.SEAL, ())


class Clock:
    now = START

    def __call__(self):
        return self.now


class Sink:
    """An audit sink that remembers, and fails when it is told to."""

    def __init__(self):
        self.events = {}
        self.durable = {}
        self.failure = None

    def append(self, seq, ts, event):
        if self.failure:
            raise self.failure
        self.events.setdefault(seq, (ts, event.event))

    def last(self):
        return len(self.events)

    def flush(self):
        self.durable = dict(self.events)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path, clock):
    ledger = SqliteLedger(tmp_path / "ledger.db", clock=clock)
    yield ledger
    ledger.close()


@pytest.fixture
def blobs(clock):
    return MemoryBlobs(clock=clock)


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def reaper(ledger, blobs, sink, clock):
    return Reaper(ledger, blobs, sink, retention=30 * DAY, clock=clock)


def store(blobs, data):
    with blobs.put() as incoming:
        incoming.write(data)
        return incoming.commit()


def accept(ledger, blobs, uid="1", data=b"original"):
    instance = Instance("1", uid, "2", "3", "4", store(blobs, data), len(data))
    return ledger.accept(instance, RULE, Event("accepted")).entry


def seal(ledger, blobs, data=b"sealed"):
    [claim] = ledger.claim_entries("w", limit=1, lease=60)
    ledger.ready(
        claim,
        store(blobs, data),
        sop_class_uid="1",
        sop_instance_uid="2",
        transfer_syntax_uid="3",
        event=Event("sealed"),
    )


def send(ledger):
    [claim] = ledger.claim_deliveries("f", "pacs", limit=1, lease=60)
    ledger.settle(claim, DeliveryState.SENT, "", Event("sent"))


def held(blobs):
    return {blobs.read(name) for name, _ in blobs.walk()}


def test_leases_of_dead_workers_are_given_back(reaper, ledger, blobs, clock):
    accept(ledger, blobs)
    ledger.claim_entries("dead", limit=1, lease=60)
    clock.now += 60
    reaper.step()
    assert ledger.claim_entries("w", limit=1, lease=60)


def test_audit_events_are_durable_before_they_leave_the_ledger(reaper, ledger, sink):
    for number in range(5):
        ledger.record(Event(f"e{number}"))
    reaper.step()
    assert [name for _, name in sink.durable.values()] == ["e0", "e1", "e2", "e3", "e4"]
    assert ledger.outbox(limit=9) == []


def test_events_stay_in_the_ledger_while_the_sink_fails(reaper, ledger, sink):
    ledger.record(Event("e"))
    sink.failure = SpoolFullError("full")
    with pytest.raises(SpoolFullError):
        reaper.step()
    sink.failure = AuditError("broken")
    with capture_logs() as logs:
        reaper.step()
        reaper.step()
    assert [e["event"] for e in logs if e["log_level"] == "critical"] == ["audit_broken"]
    assert len(ledger.outbox(limit=9)) == 1
    sink.failure = None
    reaper.step()
    assert ledger.outbox(limit=9) == []


def test_a_drain_of_many_events_is_complete(ledger, sink):
    for number in range(2500):
        ledger._commit.run(lambda db, n=number: ledger._add(db, Event(str(n))))
    assert drain(ledger, sink) == 2500
    assert list(sink.durable) == list(range(1, 2501))


def test_what_is_done_is_kept_for_its_retention_then_deleted(reaper, ledger, blobs, clock):
    accept(ledger, blobs)
    seal(ledger, blobs)
    send(ledger)
    clock.now += 30 * DAY
    reaper.step()
    assert held(blobs) == {b"original", b"sealed"}
    clock.now += 1
    reaper.step()
    assert held(blobs) == set()
    assert ledger.query() == []
    assert ledger.garbage(limit=9) == []


def test_what_is_not_done_is_kept_for_ever(reaper, ledger, blobs, clock):
    accept(ledger, blobs, "1", b"a")
    accept(ledger, blobs, "2", b"b")
    accept(ledger, blobs, "3", b"c")
    ledger.hold(2, "", Event("held"))
    ledger.park(3, "", Event("parked"))
    clock.now += 10_000 * DAY
    for _ in range(5):
        reaper.step()
    assert held(blobs) == {b"a", b"b", b"c"}


def test_a_blob_that_another_row_names_is_kept(reaper, ledger, blobs, clock):
    accept(ledger, blobs, "1", b"same")
    ledger.discard(1, "", Event("discarded"))
    clock.now += 31 * DAY
    accept(ledger, blobs, "2", b"same")
    reaper.step()
    assert [entry.id for entry in ledger.query()] == [2]
    assert held(blobs) == {b"same"}
    assert ledger.garbage(limit=9) == []


def test_a_blob_being_committed_stays_garbage_until_it_is_clear(reaper, ledger, blobs, clock):
    accept(ledger, blobs)
    ledger.discard(1, "", Event("discarded"))
    clock.now += 31 * DAY
    with blobs.put() as incoming:
        incoming.write(b"original")
        name = incoming.commit()
        reaper.step()
        assert held(blobs) == {b"original"}
        assert ledger.garbage(limit=9) == [name]
        ledger.accept(Instance("1", "9", "2", "3", "4", name, 8), RULE, Event("accepted"))
    reaper.step()
    assert held(blobs) == {b"original"}
    assert ledger.garbage(limit=9) == []


def test_a_row_that_comes_at_the_last_moment_keeps_its_blob(
    reaper, ledger, blobs, clock, monkeypatch
):
    accept(ledger, blobs)
    ledger.discard(1, "", Event("discarded"))
    clock.now += 31 * DAY
    asked = ledger.references

    def ask_then_accept(sha256):
        monkeypatch.undo()
        number = asked(sha256)
        accept(ledger, blobs, "2")
        return number

    monkeypatch.setattr(ledger, "references", ask_then_accept)
    reaper.step()
    assert held(blobs) == {b"original"}
    assert ledger.query()[0].id == 2


def test_forgetting_is_audited(reaper, ledger, blobs, sink, clock):
    accept(ledger, blobs)
    ledger.discard(1, "", Event("discarded"))
    clock.now += 31 * DAY
    reaper.step()
    reaper.step()
    assert [name for _, name in sink.durable.values()] == [
        "accepted",
        "discarded",
        "entry_forgotten",
    ]


def scrub_all(reaper):
    for _ in range(4):
        reaper.step()


def test_an_entry_whose_original_is_missing_is_parked_once(reaper, ledger, blobs):
    accept(ledger, blobs)
    blobs.delete(hashlib.sha256(b"original").hexdigest())
    scrub_all(reaper)
    entry, _ = ledger.get(1)
    assert (entry.state, entry.reason) == (EntryState.PARKED, "blob_missing")
    assert [e.event for _, _, e in ledger.outbox(limit=9)].count("entry_parked") <= 1


def test_an_entry_whose_original_is_damaged_is_parked(tmp_path, ledger, sink, clock):
    blobs = DiskBlobs(tmp_path / "blobs")
    accept(ledger, blobs)
    [path] = [p for p in (tmp_path / "blobs/objects").rglob("*") if p.is_file()]
    path.write_bytes(b"0riginal")
    scrub_all(Reaper(ledger, blobs, sink, retention=DAY, clock=clock))
    entry, _ = ledger.get(1)
    assert (entry.state, entry.reason) == (EntryState.PARKED, "blob_damaged")


def test_an_entry_whose_sealed_copy_is_missing_is_sealed_again(reaper, ledger, blobs):
    accept(ledger, blobs)
    seal(ledger, blobs)
    blobs.delete(hashlib.sha256(b"sealed").hexdigest())
    scrub_all(reaper)
    assert ledger.get(1)[0].state is EntryState.RECEIVED
    seal(ledger, blobs)
    send(ledger)
    assert ledger.get(1)[0].state is EntryState.DONE


def test_an_entry_that_lost_a_share_is_divided_again_and_its_shares_go_with_it(
    reaper, ledger, blobs, clock
):
    rule = Decision(Route("r", {}, Action.SEAL, ("pacs", "cloud"), threshold=2), Action.SEAL, ())
    instance = Instance("1", "1", "2", "3", "4", store(blobs, b"original"), 8)
    ledger.accept(instance, rule, Event("accepted"))

    def divide():
        [claim] = ledger.claim_entries("w", limit=1, lease=60)
        parts = [Part(n, store(blobs, b"share %d" % n), "1", f"2.{n}", "3", Event("made"))
                 for n in (1, 2)]  # fmt: skip
        ledger.ready(
            claim, store(blobs, b"sealed"), sop_class_uid="1", sop_instance_uid="2",
            transfer_syntax_uid="3", event=Event("sealed"), parts=parts,
        )  # fmt: skip

    divide()
    blobs.delete(hashlib.sha256(b"share 2").hexdigest())
    scrub_all(reaper)
    assert ledger.get(1)[0].state is EntryState.RECEIVED
    divide()
    scrub_all(reaper)
    assert ledger.get(1)[0].state is EntryState.READY
    for destination in ("pacs", "cloud"):
        [claim] = ledger.claim_deliveries("f", destination, limit=1, lease=60)
        ledger.settle(claim, DeliveryState.SENT, "", Event("sent"))
    assert len(list(blobs.walk())) == 4
    clock.now += 31 * DAY
    scrub_all(reaper)
    assert list(blobs.walk()) == []


def test_scrubbing_comes_to_every_entry(reaper, ledger, blobs):
    for number in range(30):
        accept(ledger, blobs, str(number), str(number).encode())
        blobs.delete(hashlib.sha256(str(number).encode()).hexdigest())
    for _ in range(20):
        reaper.step()
    assert ledger.stats().entries == {"parked": 30}


def test_after_a_large_blob_scrubbing_rests_and_holds_it_in_memory_at_no_time(
    tmp_path, ledger, sink, clock, monkeypatch
):
    blobs = DiskBlobs(tmp_path / "blobs")
    accept(ledger, blobs, data=bytes(9 << 20))
    opened = []
    real = blobs.open
    monkeypatch.setattr(blobs, "open", lambda sha256: opened.append(clock.now) or real(sha256))
    monkeypatch.delattr(DiskBlobs, "read")
    reaper = Reaper(ledger, blobs, sink, retention=DAY, clock=clock)
    start = clock.now
    for _ in range(20):
        reaper.step()
        clock.now += 0.25
    assert [round(at - start, 1) for at in opened] == [0.0, 2.0, 4.0]
    clock.now -= DAY
    reaper.step()
    assert len(opened) == 4


def test_orphans_are_kept_and_counted(reaper, blobs, clock):
    store(blobs, b"orphan")
    store(blobs, b"another")
    with capture_logs() as logs:
        clock.now += 3600
        reaper.step()
        assert logs == []
        clock.now += 3600
        reaper.step()
    assert [(e["event"], e["count"]) for e in logs] == [("orphans_found", 2)]
    assert held(blobs) == {b"orphan", b"another"}


def test_a_person_is_told_what_waits(reaper, ledger, blobs, clock):
    accept(ledger, blobs, "1", b"a")
    accept(ledger, blobs, "2", b"b")
    accept(ledger, blobs, "3", b"c")
    ledger.hold(1, "", Event("held"))
    ledger.park(2, "", Event("parked"))
    with capture_logs() as logs:
        reaper.step()
        reaper.step()
        clock.now += 901
        reaper.step()
    told = [(e["event"], e.get("kind"), e["count"]) for e in logs]
    waits = [("entries_wait_for_person", "held", 1), ("entries_wait_for_person", "parked", 1)]
    assert told == [*waits, *waits, ("queue_stands", None, 1)]


def test_an_alarm_comes_even_if_the_clock_is_set_back(reaper, ledger, blobs, clock):
    accept(ledger, blobs)
    ledger.hold(1, "", Event("held"))
    with capture_logs() as logs:
        reaper.step()
        clock.now -= 365 * DAY
        reaper.step()
    assert [e["event"] for e in logs] == ["entries_wait_for_person"] * 2


@pytest.mark.parametrize("lost", ["ledger", "log"])
def test_a_restored_ledger_and_its_log_are_joined_by_a_person(tmp_path, clock, lost):
    first = SqliteLedger(tmp_path / "first.db", clock=clock)
    sink = JsonLog(tmp_path / "audit", clock=clock)
    for name in "abc":
        first.record(Event(name))
    drain(first, sink)
    if lost == "ledger":
        ledger = SqliteLedger(tmp_path / "second.db", clock=clock)
        first.close()
    else:
        ledger = first
        sink.close()
        sink = JsonLog(tmp_path / "new", clock=clock)
    clock.now += 5
    ledger.record(Event("later"))
    with pytest.raises(AuditError):
        drain(ledger, sink)
    rejoin(ledger, sink, "admin")
    ledger.record(Event("last"))
    assert drain(ledger, sink) == 1
    assert sink.last() == (6 if lost == "ledger" else 3)
    sink.close()
    assert verify(tmp_path / ("audit" if lost == "ledger" else "new")).problem == ""
    ledger.close()


def test_the_real_log_takes_what_the_reaper_drains(tmp_path, ledger, blobs, clock):
    sink = JsonLog(tmp_path / "audit", clock=clock)
    reaper = Reaper(ledger, blobs, sink, retention=DAY, clock=clock)
    accept(ledger, blobs)
    reaper.step()
    sink.close()
    assert (tmp_path / "audit/2023-11-14.jsonl").read_text().count("\n") == 1
