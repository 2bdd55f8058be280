"""What is told of one object, from a ledger and an audit log that outlives its rows."""

from __future__ import annotations

import pytest

from node.audit.log import JsonLog
from node.crypto.pseudonym import Pseudonymizer
from node.errors import AuditError, UsageError
from node.history import History
from node.reap import drain
from node.spool.memory import MemoryLedger
from node.trace import trace
from node.types import Action, Decision, DeliveryState, Event, Instance, Route

START = 1_700_000_000.0
RULE = Decision(Route("ct", {}, Action.SEAL, ("pacs",)), Action.SEAL, ())
PSEUDONYM = Pseudonymizer(b"p" * 32).pseudonym


class World:
    """A ledger, an audit log, and objects that go through them."""

    def __init__(self, folder):
        self.now = START
        self.ledger = MemoryLedger(clock=lambda: self.now)
        self.folder = folder / "audit"
        self.log = JsonLog(self.folder, clock=lambda: self.now)

    def event(self, name, uid="", outcome="success", **facts):
        self.now += 1
        return Event(name, PSEUDONYM(uid) if uid else "", "CT1", outcome, facts)

    def deliver(self, uid, sent_as=""):
        instance = Instance("1.2", uid, "2", "3", "1.2.840.10008.1.2.1", f"blob{uid}", 5)
        entry = self.ledger.accept(
            instance, RULE, self.event("instance_accepted", uid, route="ct")
        ).entry
        [claim] = self.ledger.claim_entries("p", limit=1, lease=60)
        self.ledger.ready(
            claim,
            f"sealed{uid}",
            sop_class_uid="1.2",
            sop_instance_uid=sent_as or uid,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            event=self.event("entry_sealed", uid, entry=entry),
        )
        [claim] = self.ledger.claim_deliveries("f", "pacs", limit=1, lease=60)
        event = self.event("delivery_sent", sent_as or uid, entry=entry, destination="pacs")
        self.ledger.settle(claim, DeliveryState.SENT, "", event)
        return entry

    def forget(self, entry):
        self.ledger.forget(entry, self.event("entry_forgotten", entry=entry, state="done"))
        drain(self.ledger, self.log)

    def steps(self, uid):
        return [step.step for step in self.life(uid).steps]

    def life(self, uid):
        return trace(uid, self.ledger, History(self.ledger, self.folder), PSEUDONYM)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.log.close()


def test_a_life_is_told_from_its_rows_and_from_events_drained_or_not(world):
    entry = world.deliver("1.1")
    world.deliver("1.2")
    drain(world.ledger, world.log)
    world.ledger.record(world.event("readback_verified", "1.1", entry=entry, verdict="INTACT"))

    life = world.life("1.1")

    assert [s.step for s in life.steps] == ["received", "sealed", "delivered", "read back"]
    assert life.steps[2].peer == "pacs"
    assert life.steps[3].verdict == "INTACT"
    assert [step.at for step in life.steps] == [START + n for n in (1, 2, 3, 7)]
    assert [entry.id for entry, _ in life.rows] == [entry]


def test_what_the_spool_has_forgotten_is_still_told(world):
    world.forget(world.deliver("1.1"))

    life = world.life("1.1")

    assert [s.step for s in life.steps] == ["received", "sealed", "delivered", "forgotten"]
    assert life.rows == ()


def test_an_object_is_found_by_the_uid_that_it_was_sent_under_too(world):
    world.forget(world.deliver("1.1", sent_as="9.9"))

    assert world.steps("9.9") == ["received", "sealed", "delivered", "forgotten"]
    assert world.steps("1.1") == world.steps("9.9")


def test_who_retrieved_it_and_whether_it_was_restored_is_told(world):
    world.deliver("1.1")
    listed = f"{PSEUDONYM('1.7')}:INTACT,{PSEUDONYM('1.1')}:HEADER_COERCED:restored"
    world.ledger.record(world.event("objects_retrieved", objects=listed, workstation="viewer"))

    step = world.life("1.1").steps[-1]

    assert (step.step, step.peer, step.verdict) == (
        "retrieved, restored", "viewer", "HEADER_COERCED",
    )  # fmt: skip


def test_a_number_that_was_given_twice_brings_no_other_object_in(world):
    entry = world.deliver("1.1")
    world.ledger.record(world.event("instance_accepted", "5.5", entry=entry, route="ct"))
    world.ledger.record(world.event("entry_sealed", "5.5", entry=entry))

    assert world.steps("1.1") == ["received", "sealed", "delivered"]


def test_an_unknown_uid_is_said_to_be_one(world):
    world.deliver("1.1")

    with pytest.raises(UsageError, match="nothing is known"):
        world.life("1.3")


def test_a_log_that_holds_something_else_is_broken(world):
    world.forget(world.deliver("1.1"))
    [path] = world.folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"facts"', b'"fakes"'))

    with pytest.raises(AuditError, match="no event"):
        world.life("1.1")
