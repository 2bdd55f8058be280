"""What is told of one object, from a ledger and an audit log that outlives its rows."""

from __future__ import annotations

import pytest
from lives import PSEUDONYM, START, World

from node.accounts.trace import trace
from node.errors import AuditError, UsageError
from node.reap import drain


def life(world, uid):
    return trace(uid, world.ledger, world.history(), PSEUDONYM)


def steps(world, uid):
    return [step.step for step in life(world, uid).steps]


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

    found = life(world, "1.1")

    assert [s.step for s in found.steps] == ["received", "sealed", "delivered", "read back"]
    assert found.steps[2].peer == "pacs"
    assert found.steps[3].verdict == "INTACT"
    assert [step.at for step in found.steps] == [START + n for n in (1, 2, 3, 7)]
    assert [entry.id for entry, _ in found.rows] == [entry]


def test_an_event_that_is_drained_in_the_meantime_is_told_once(world):
    world.deliver("1.1")
    waiting = world.ledger.outbox

    def outbox(**limits):
        rows = waiting(**limits)
        world.ledger.outbox = waiting
        drain(world.ledger, world.log)
        world.ledger.outbox = outbox
        return rows

    world.ledger.outbox = outbox

    assert [told.seq for told in world.history().events()] == [1, 2, 3]


def test_what_the_spool_has_forgotten_is_still_told(world):
    world.forget(world.deliver("1.1"))

    found = life(world, "1.1")

    assert [s.step for s in found.steps] == ["received", "sealed", "delivered", "forgotten"]
    assert found.rows == ()


def test_an_object_is_found_by_the_uid_that_it_was_sent_under_too(world):
    world.forget(world.deliver("1.1", sent_as="9.9"))

    assert steps(world, "9.9") == ["received", "sealed", "delivered", "forgotten"]
    assert steps(world, "1.1") == steps(world, "9.9")


def test_who_retrieved_it_and_whether_it_was_restored_is_told(world):
    world.deliver("1.1")
    listed = f"{PSEUDONYM('1.7')}:INTACT,{PSEUDONYM('1.1')}:HEADER_COERCED:restored"
    world.ledger.record(world.event("objects_retrieved", objects=listed, workstation="viewer"))

    step = life(world, "1.1").steps[-1]

    assert (step.step, step.peer, step.verdict) == (
        "retrieved, restored", "viewer", "HEADER_COERCED",
    )  # fmt: skip


def test_a_number_that_was_given_twice_brings_no_other_object_in(world):
    entry = world.deliver("1.1")
    world.ledger.record(world.event("instance_accepted", "5.5", entry=entry, route="ct"))
    world.ledger.record(world.event("entry_sealed", "5.5", entry=entry))

    assert steps(world, "1.1") == ["received", "sealed", "delivered"]


def test_an_unknown_uid_is_said_to_be_one(world):
    world.deliver("1.1")

    with pytest.raises(UsageError, match="nothing is known"):
        life(world, "1.3")


def test_a_log_that_holds_something_else_is_broken(world):
    world.forget(world.deliver("1.1"))
    [path] = world.folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"facts"', b'"fakes"'))

    with pytest.raises(AuditError, match="no event"):
        life(world, "1.1")
