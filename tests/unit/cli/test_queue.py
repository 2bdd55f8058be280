"""``nodectl queue``, over a real ledger."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from node import wiring
from node.config.load import load
from node.routing import decide
from node.types import Action, Decision, DeliveryState, EntryState, Event, Instance, Peer

EVENT = Event("instance_accepted")
UID = "1.2.826.0.1.3680043.8.498."


@contextmanager
def ledger(site):
    opened = wiring.ledger(load(site))
    try:
        yield opened
    finally:
        opened.close()


def instance(number: int, source: str = "demo") -> Instance:
    return Instance(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=f"{UID}{number}",
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.4",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        blob=f"{number:064x}",
        size=524288,
        attributes={"Modality": "CT"},
        peer=Peer("DEMO", "SEALNODE", "127.0.0.1", source),
        received_at=1.8e9,
    )


@pytest.fixture
def spool(site):
    """A site whose entry 1 waits, 2 is held for want of a route, and 3 is parked."""
    routes = load(site).routes
    with ledger(site) as rows:
        for number, source in ((1, "demo"), (2, "unknown"), (3, "demo")):
            arrived = instance(number, source)
            rows.accept(arrived, decide(routes, arrived), EVENT)
        claims = rows.claim_entries("test", limit=10, lease=60.0)
        rows.set_aside(claims[-1], EntryState.PARKED, "does_not_fit", EVENT)
        rows.release_worker("test")
    return site


def rows_of(ended):
    return [json.loads(line) for line in ended.stdout.splitlines()]


def state(site, number):
    with ledger(site) as rows:
        return rows.get(number)[0].state


def events(site):
    with ledger(site) as rows:
        return [event for _seq, _ts, event in rows.outbox(limit=100)]


def test_ls_shows_every_entry_with_its_state_and_reason(nodectl, spool):
    ended = nodectl("--config", spool, "queue", "ls")

    lines = ended.stdout.splitlines()
    assert ended.status == 0
    assert lines[0].split() == [
        "ENTRY", "STATE", "ROUTE", "FROM", "AGE", "SIZE", "TRIES", "REASON"
    ]  # fmt: skip
    assert [line.split()[1] for line in lines[1:]] == ["received", "held", "parked"]
    assert "does_not_fit" in lines[3]
    assert "512.0 KiB" in lines[1]
    assert UID not in ended.stdout


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--state", "held"], [2]),
        (["--to", "pacs-main"], [1, 3]),
        (["--after", "1"], [2, 3]),
        (["--limit", "2"], [1, 2]),
        (["--state", "done"], []),
    ],
)
def test_ls_can_be_narrowed(nodectl, spool, options, numbers):
    ended = nodectl("--config", spool, "queue", "ls", "--json", *options)

    assert [row["entry"] for row in rows_of(ended)] == numbers
    assert ("nodectl" in ended.stderr or "may be more" in ended.stderr) is ("--limit" in options)


@pytest.mark.parametrize("word", ["3", f"{UID}3"])
def test_show_finds_an_entry_by_number_or_uid(nodectl, spool, word):
    shown = rows_of(nodectl("--config", spool, "queue", "show", word, "--json"))[0]

    assert shown["entry"] == 3
    assert shown["sop_instance_uid"] == f"{UID}3"
    assert [delivery["destination"] for delivery in shown["deliveries"]] == ["pacs-main"]
    assert nodectl("--config", spool, "queue", "show", word).stdout.startswith("entry:")


def test_retry_starts_a_parked_entry_again_and_says_who_did(nodectl, spool):
    ended = nodectl("--config", spool, "queue", "retry", "3")

    assert ended.status == 0
    assert ended.stdout == "entry 3 is received\n"
    last = events(spool)[-1]
    assert last.event == "entry_retried"
    assert last.actor
    assert last.object
    assert UID not in last.object


def test_retry_all_means_the_parked_ones_alone(nodectl, spool):
    ended = nodectl("--config", spool, "queue", "retry", "--all", "--json")

    assert [row["entry"] for row in rows_of(ended)] == [3]
    assert state(spool, 2) is EntryState.HELD


def test_release_takes_the_route_that_is_named(nodectl, spool):
    ended = nodectl("--config", spool, "queue", "release", "2", "--route", "default")

    assert ended.stdout == "entry 2 is received\n"
    with ledger(spool) as rows:
        entry, deliveries = rows.get(2)
    assert (entry.route, entry.action) == ("default", Action.SEAL)
    assert [delivery.state for delivery in deliveries] == [DeliveryState.WAITING]
    assert events(spool)[-1].facts["route"] == "default"


def test_release_decides_anew_where_there_was_no_route(nodectl, spool):
    routes = spool / "routes.d" / "10-default.toml"
    text = routes.read_text().replace('match = { source = ["demo"] }', "match = { Rows = 1 }", 1)
    refused = nodectl("--config", spool, "queue", "release", "2")
    routes.write_text(text.replace("Rows = 1", 'Modality = "CT"').partition("[[test]]")[0])
    released = nodectl("--config", spool, "queue", "release", "--all")

    assert refused.status == 14
    assert "entry 2: no route matches it" in refused.stderr
    assert released.stdout == "entry 2 is received\n"


def test_what_a_person_held_goes_on_by_the_route_that_it_had(nodectl, spool):
    held = nodectl("--config", spool, "queue", "hold", "1", "--reason", "asked by the ward")
    routes = spool / "routes.d" / "10-default.toml"
    text = routes.read_text().replace('match = { source = ["demo"] }', "match = { Rows = 1 }", 1)
    routes.write_text(text.partition("[[test]]")[0])
    released = nodectl("--config", spool, "queue", "release", "1")

    assert held.stdout == "entry 1 is held\n"
    assert released.stdout == "entry 1 is received\n"
    assert [event.event for event in events(spool)[-2:]] == ["entry_held", "entry_released"]


def test_a_route_that_holds_releases_nothing(nodectl, spool):
    with ledger(spool) as rows:
        rows.accept(instance(4), Decision(None, Action.HOLD, ()), EVENT)
    routes = spool / "routes.d" / "10-default.toml"
    text = routes.read_text().replace('action = "seal"', 'action = "hold"', 1)
    routes.write_text(text.partition("[[test]]")[0])

    ended = nodectl("--config", spool, "queue", "release", "4")

    assert ended.status == 14
    assert "entry 4: route default says hold" in ended.stderr


def test_discard_needs_a_reason_and_is_for_ever(nodectl, spool):
    silent = nodectl("--config", spool, "queue", "discard", "3")
    discarded = nodectl("--config", spool, "queue", "discard", "3", "--reason", "a test image")
    again = nodectl("--config", spool, "queue", "retry", "3")

    assert silent.status == 2
    assert discarded.stdout == "entry 3 is discarded\n"
    assert events(spool)[-1].facts["reason"] == "a test image"
    assert again.status == 2
    assert "entry 3 is discarded" in again.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["show", "99"], "there is no entry 99"),
        (["show", "1.2.3"], "no entry has this SOP Instance UID"),
        (["retry", "99"], "there is no entry 99"),
        (["retry"], "no entry is named"),
        (["release", "2", "--route", "defualt"], 'there is no route "defualt" (did you mean'),
    ],
)
def test_what_makes_no_sense_exits_2(nodectl, spool, argv, said):
    ended = nodectl("--config", spool, "queue", *argv)

    assert ended.status == 2
    assert ended.stderr.startswith(f"nodectl: error: {said}")
