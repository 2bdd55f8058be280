"""Whatever was acknowledged is accounted for, or named."""

from __future__ import annotations

import json

import pytest
from lives import RULE, START, World

from node.accounts.reconcile import Sum, reconcile
from node.reap import drain
from node.spool.commitment import Ruling
from node.types import Action, Decision

NOBODY = Decision(None, Action.HOLD, ())
HOUR = 3600.0
KEY = ("2023-11-14", "ct", "pacs")


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.log.close()


def books(world, since=START, until=None):
    world.now += HOUR
    return reconcile(
        world.ledger, world.history(), since=since, until=until or world.now, now=world.now
    )


def states(found):
    return [(one.entry, one.state) for one in found.differences]


def test_what_is_delivered_and_forgotten_is_counted_and_no_difference(world):
    world.forget(world.deliver("1.1"))
    world.deliver("1.2")

    found = books(world)

    assert found.sums == {KEY: Sum(acked=2, sealed=2, delivered=2)}
    assert (found.differences, found.unaccounted) == ([], 0)


def test_what_waits_for_a_person_or_a_destination_is_listed_but_accounted_for(world):
    waiting, held = world.accept("1.1"), world.accept("1.2", NOBODY)
    parked = world.accept("1.3")
    world.ledger.park(parked, "proof", world.event("entry_parked", entry=parked))
    given_up = world.accept("1.4")
    world.ledger.discard(given_up, "test", world.event("entry_discarded", entry=given_up))
    drain(world.ledger, world.log)

    found = books(world)

    assert found.sums == {
        KEY: Sum(acked=3, waiting=1, parked=1, discarded=1),
        ("2023-11-14", "", ""): Sum(acked=1, held=1),
    }
    assert dict(states(found)) == {
        waiting: "waiting", held: "held", parked: "parked", given_up: "discarded",
    }  # fmt: skip
    assert found.unaccounted == 0


def test_what_was_given_up_stays_so_after_its_rows_are_gone(world):
    entry = world.accept("1.1")
    world.ledger.discard(entry, "test", world.event("entry_discarded", entry=entry))
    world.forget(entry, state="discarded")

    assert books(world).sums == {KEY: Sum(acked=1, discarded=1)}


def test_what_was_proved_or_is_still_to_be_is_told(world):
    entry = world.deliver("1.1", readback_in=7 * HOUR)
    assert states(books(world)) == [(entry, "unproved")]
    event = world.event("readback_verified", "1.1", entry=entry, destination="pacs")
    world.ledger.record(event)

    assert books(world).sums[KEY].verified == 1


def test_an_acknowledged_object_without_a_row_is_lost(world):
    world.deliver("1.1")
    world.ledger.record(world.event("instance_accepted", "1.2", entry=77, route="ct"))

    found = books(world)

    assert states(found) == [(77, "lost")]
    assert found.unaccounted == 1


def test_an_object_that_ended_without_a_delivery_on_record_is_lost(world):
    entry = world.accept("1.1")
    world.ledger.discard(entry, "test", world.event("entry_discarded", entry=entry))
    world.forget(entry, state="done")

    found = books(world)

    assert (states(found), found.unaccounted) == ([(entry, "lost")], 1)


@pytest.mark.parametrize(
    ("missing", "state"), [("instance_accepted", "untold"), ("delivery_sent", "lost")]
)
def test_a_row_that_says_more_than_the_audit_log_is_named(world, missing, state):
    entry = world.deliver("1.1")
    drain(world.ledger, world.log)
    [path] = world.folder.glob("*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if json.loads(line)["event"] != missing))

    found = books(world)

    assert (states(found), found.unaccounted) == ([(entry, state)], 1)


def test_a_row_given_back_by_a_backup_shows_what_it_replaced(world):
    first = world.accept("1.1")
    world.ledger.record(world.event("instance_accepted", "1.2", entry=first, route="ct", to="pacs"))

    assert states(books(world)) == [(first, "lost"), (first, "waiting")]


def test_only_the_time_that_is_asked_for_is_accounted_for(world):
    world.accept("1.1")
    world.now = START + 2 * HOUR
    second = world.accept("1.2")

    assert states(books(world, since=START + HOUR)) == [(second, "waiting")]
    assert len(books(world, until=START + HOUR).differences) == 1


def test_what_a_running_node_does_meanwhile_looks_like_no_loss(world):
    before = world.deliver("1.1")
    rows = world.ledger.query

    def query(**limits):
        page = rows(**limits)
        if not page:
            world.deliver("1.9")
            world.accept("1.8")
            world.forget(before)
        return page

    world.ledger.query = query
    world.now += HOUR

    found = reconcile(
        world.ledger, world.history(), since=START, until=world.now + HOUR, now=world.now
    )

    assert found.unaccounted == 0
    assert found.sums == {KEY: Sum(acked=3, sealed=2, delivered=2, waiting=1)}


def test_duplicates_are_no_second_object(world):
    world.deliver("1.1")
    again = world.event(
        "instance_accepted", "1.1", entry=1, kind="duplicate", route="ct", to="pacs"
    )
    world.ledger.record(again)

    assert books(world).sums[KEY].acked == 1


def test_another_decision_counts_where_it_sends(world):
    entry = world.accept("1.1", NOBODY)
    event = world.event("entry_released", "1.1", entry=entry, route="ct", to="pacs")
    world.ledger.requeue(entry, RULE, event)

    assert books(world).sums == {KEY: Sum(acked=1, waiting=1)}


def test_a_commitment_is_counted_while_there_are_rows_and_after(world):
    world.deliver("1.1", commit_in=1.0)
    assert [one.state for one in books(world).differences] == ["uncommitted"]
    claims = world.ledger.claim_commitments("c", "pacs", limit=9, lease=60)
    world.ledger.asking(claims, "9.9", 60.0, world.event("commitment_asked"))
    world.ledger.rule(
        "pacs", "9.9", {"1.1": Ruling(world.event("instance_committed", "1.1", entry=1))}
    )
    assert books(world).sums[KEY].committed == 1

    world.forget(world.deliver("1.2"), committed="pacs")
    assert [row.committed for row in books(world).sums.values()] == [1, 1]
