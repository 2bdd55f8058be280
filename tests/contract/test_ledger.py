"""What every ledger promises."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from node.errors import StaleClaimError, UsageError
from node.spool.aftercare import Finding, Found
from node.spool.base import Accepted, Sent
from node.spool.commitment import CONFLICT, NEW, REPEATED, Open, Ruling
from node.spool.memory import MemoryLedger
from node.spool.sqlite import SqliteLedger
from node.types import (
    Action,
    Decision,
    DeliveryState,
    EntryState,
    Event,
    Instance,
    Part,
    Peer,
    Route,
    Tried,
)

BLOB, OTHER, SEALED = "a" * 64, "b" * 64, "c" * 64
START = 1_700_000_000.0
HOUR = 3600.0


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["sqlite", "memory"])
def ledger(request, tmp_path, clock):
    if request.param == "sqlite":
        ledger = SqliteLedger(tmp_path / "ledger.db", clock=clock)
    else:
        ledger = MemoryLedger(clock=clock)
    yield ledger
    ledger.close()


def instance(uid="1.2.3", blob=BLOB):
    return Instance(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=uid,
        study_instance_uid="1.2.1",
        series_instance_uid="1.2.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        blob=blob,
        size=12345,
        attributes={"Modality": "CT", "ImageType": ("ORIGINAL", "PRIMARY")},
        peer=Peer("CT1", "SEALNODE", "10.0.1.7", "ct1"),
        received_at=START - 1,
    )


def decision(*to, action=Action.SEAL, priority=0, name="ct"):
    route = Route(name, {"Modality": ("CT",)}, action, to or ("pacs",), priority=priority)
    return Decision(route, action, (Tried(name, matched=True, reason="matches"),))


NO_ROUTE = Decision(None, Action.HOLD, ())


def event(name="it_happened", **facts):
    return Event(name, "PSEUDONYM", "test", "success", facts)


def accept(ledger, uid="1.2.3", blob=BLOB, rule=None):
    return ledger.accept(instance(uid, blob), rule or decision(), event("accepted")).entry


def claim_entry(ledger, worker="w"):
    [claim] = ledger.claim_entries(worker, limit=1, lease=60)
    return claim


def make_ready(ledger, claim, sealed=SEALED):
    ledger.ready(
        claim,
        sealed,
        sop_class_uid="1.1",
        sop_instance_uid="2.2",
        transfer_syntax_uid="3.3",
        event=event("sealed"),
    )


def sealed_entry(ledger, uid="1.2.3", blob=BLOB, rule=None, sealed=SEALED):
    number = accept(ledger, uid, blob, rule)
    make_ready(ledger, claim_entry(ledger), sealed)
    return number


def claim_delivery(ledger, destination="pacs", worker="f"):
    [claim] = ledger.claim_deliveries(worker, destination, limit=1, lease=60)
    return claim


def settle(ledger, state=DeliveryState.SENT, destination="pacs", reason=""):
    ledger.settle(claim_delivery(ledger, destination), state, reason, event("sent"))


def state_of(ledger, number):
    entry, deliveries = ledger.get(number)
    return entry.state, [delivery.state for delivery in deliveries]


def names(ledger):
    return [event.event for _, _, event in ledger.outbox(limit=1000)]


# What arrives


def test_an_accepted_instance_is_there_as_it_was_given(ledger):
    accepted = ledger.accept(instance(), decision("pacs", "research", priority=2), event())

    entry, deliveries = ledger.get(accepted.entry)
    assert accepted.kind == "new"
    assert entry.instance == instance()
    assert entry.state is EntryState.RECEIVED
    assert (entry.route, entry.action, entry.priority) == ("ct", Action.SEAL, 2)
    assert (entry.sealed, entry.attempts, entry.not_before, entry.reason) == ("", 0, 0.0, "")
    assert [delivery.destination for delivery in deliveries] == ["pacs", "research"]
    assert {delivery.state for delivery in deliveries} == {DeliveryState.WAITING}
    assert {delivery.entry for delivery in deliveries} == {entry.id}


def test_a_destination_named_twice_gets_one_delivery(ledger):
    _, deliveries = ledger.get(accept(ledger, rule=decision("pacs", "pacs")))
    assert len(deliveries) == 1


def test_the_same_bytes_again_are_a_duplicate(ledger):
    first = accept(ledger)
    again = ledger.accept(instance(), decision("elsewhere"), event("again"))

    assert again == Accepted(first, "duplicate")
    assert len(ledger.find("1.2.3")) == 1
    assert len(ledger.get(first)[1]) == 1
    assert names(ledger) == ["accepted", "again"]


def test_a_duplicate_of_what_is_done_is_still_a_duplicate(ledger):
    first = sealed_entry(ledger)
    settle(ledger)
    assert ledger.accept(instance(), decision(), event()) == Accepted(first, "duplicate")
    assert state_of(ledger, first)[0] is EntryState.DONE


def test_other_bytes_under_the_same_uid_are_kept_and_parked(ledger):
    first = accept(ledger)
    second = ledger.accept(instance(blob=OTHER), decision(), event())

    assert second.kind == "conflict"
    assert ledger.get(first)[0].state is EntryState.RECEIVED
    entry = ledger.get(second.entry)[0]
    assert (entry.state, entry.reason) == (EntryState.PARKED, "conflict")
    assert ledger.accept(instance(blob=OTHER), decision(), event()).kind == "duplicate"
    assert [e.id for e in ledger.find("1.2.3")] == [second.entry, first]


def test_what_was_sealed_under_another_uid_is_found_by_both(ledger):
    entry = accept(ledger)
    (claim,) = ledger.claim_entries("w", limit=1, lease=60)
    uids = {"sop_class_uid": "1.2", "sop_instance_uid": "2.25.7", "transfer_syntax_uid": "1.2.1"}
    ledger.ready(claim, OTHER, event=event(), **uids)

    assert [e.id for e in ledger.find("1.2.3")] == [entry]
    assert [e.id for e in ledger.find("2.25.7")] == [entry]
    assert ledger.find("") == []


def test_a_conflict_that_a_person_releases_goes_its_way(ledger):
    accept(ledger)
    make_ready(ledger, claim_entry(ledger))
    number = accept(ledger, blob=OTHER)
    ledger.requeue(number, None, event())
    assert claim_entry(ledger).entry.id == number


def test_what_a_person_discarded_may_arrive_anew(ledger):
    first = accept(ledger)
    ledger.discard(first, "unwanted", event())
    again = ledger.accept(instance(), decision(), event())
    assert again.kind == "new"
    assert again.entry != first


@pytest.mark.parametrize(
    ("rule", "reason"),
    [(NO_ROUTE, "no_route"), (decision(action=Action.HOLD), "rule")],
)
def test_what_is_to_be_held_is_held(ledger, rule, reason):
    entry = ledger.get(accept(ledger, rule=rule))[0]
    assert (entry.state, entry.reason) == (EntryState.HELD, reason)
    assert ledger.claim_entries("w", limit=9, lease=60) == []


def test_the_event_of_an_arrival_names_entry_and_kind(ledger):
    number = accept(ledger)
    accept(ledger, blob=OTHER)
    facts = [event.facts for _, _, event in ledger.outbox(limit=9)]
    assert facts[0] == {"entry": number, "kind": "new"}
    assert facts[1]["kind"] == "conflict"


# Claims and leases


def test_a_claim_is_on_lease_and_counted(ledger):
    number = accept(ledger)
    claim = claim_entry(ledger)
    assert claim.entry.id == number
    assert (claim.entry.attempts, claim.crashes) == (1, 0)
    assert ledger.claim_entries("x", limit=9, lease=60) == []
    assert ledger.get(number)[0].attempts == 1


def test_the_most_urgent_is_claimed_first_then_the_oldest(ledger):
    for uid, priority in [("1", 0), ("2", 1), ("3", 0), ("4", 2), ("5", 1)]:
        accept(ledger, uid, rule=decision(priority=priority))
    claims = ledger.claim_entries("w", limit=4, lease=60)
    assert [claim.entry.instance.sop_instance_uid for claim in claims] == ["4", "2", "5", "1"]
    for claim in claims:
        make_ready(ledger, claim)
    claims = ledger.claim_deliveries("f", "pacs", limit=9, lease=60)
    assert [claim.delivery.priority for claim in claims] == [2, 1, 1, 0]


def test_a_delivery_names_the_object_to_send(ledger, clock):
    accept(ledger)
    clock.now += 5
    make_ready(ledger, claim_entry(ledger))
    delivery = claim_delivery(ledger).delivery
    assert delivery.blob == SEALED
    assert delivery.sop_class_uid == "1.1"
    assert delivery.sop_instance_uid == "2.2"
    assert delivery.transfer_syntax_uid == "3.3"
    assert delivery.created_at == START + 5
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 1)


def test_deliveries_that_arrived_are_settled_together_but_for_those_whose_lease_was_lost(
    ledger, clock
):
    entries = [sealed_entry(ledger, uid) for uid in ("1", "2")]
    lost = claim_delivery(ledger)
    (held,) = ledger.claim_deliveries("f", "pacs", limit=1, lease=600)
    clock.now += 61
    ledger.release_expired()
    again = claim_delivery(ledger, worker="g")
    arrived = [Sent(lost, "", event("sent")), Sent(held, "warning", event("sent"), readback_in=5)]

    assert ledger.settle_sent(arrived) == [lost]
    assert state_of(ledger, entries[0])[1] == [DeliveryState.PENDING]
    assert state_of(ledger, entries[1]) == (EntryState.DONE, [DeliveryState.SENT])
    assert ledger.get(entries[1])[1][0].reason == "warning"
    assert names(ledger).count("sent") == 1
    assert ledger.settle_sent([Sent(again, "", event("sent"))]) == []
    assert ledger.settle_sent([]) == []


def test_one_destination_does_not_see_the_deliveries_of_another(ledger):
    sealed_entry(ledger, rule=decision("a", "b"))
    assert [
        c.delivery.destination for c in ledger.claim_deliveries("f", "b", limit=9, lease=9)
    ] == ["b"]
    assert ledger.claim_deliveries("f", "c", limit=9, lease=9) == []


def test_a_lease_that_ran_out_is_given_back_and_the_old_claim_is_stale(ledger, clock):
    accept(ledger)
    old = claim_entry(ledger)
    clock.now += 59
    assert ledger.release_expired() == 0
    clock.now += 1
    assert ledger.release_expired() == 1
    with pytest.raises(StaleClaimError):
        make_ready(ledger, old)
    new = claim_entry(ledger)
    assert new.token > old.token
    assert (new.entry.attempts, new.crashes) == (2, 1)
    with pytest.raises(StaleClaimError):
        make_ready(ledger, old)
    make_ready(ledger, new)


def test_a_late_worker_may_end_its_work_if_nobody_took_it(ledger, clock):
    accept(ledger)
    claim = claim_entry(ledger)
    clock.now += 999
    make_ready(ledger, claim)


def test_a_claim_can_be_used_once(ledger):
    sealed_entry(ledger)
    claim = claim_delivery(ledger)
    ledger.settle(claim, DeliveryState.SENT, "", event())
    for again in (
        lambda: ledger.settle(claim, DeliveryState.SENT, "", event()),
        lambda: ledger.retry_delivery(claim, 1, "", event()),
        lambda: ledger.extend([claim], 60),
    ):
        with pytest.raises(StaleClaimError):
            again()


def test_a_stale_claim_leaves_no_event(ledger):
    sealed_entry(ledger)
    claim = claim_delivery(ledger)
    ledger.settle(claim, DeliveryState.SENT, "", event("sent"))
    before = names(ledger)
    with pytest.raises(StaleClaimError):
        ledger.settle(claim, DeliveryState.SENT, "", event("sent_twice"))
    assert names(ledger) == before


def test_extending_a_lease_keeps_it(ledger, clock):
    sealed_entry(ledger)
    accept(ledger, "9")
    claims = [claim_entry(ledger), claim_delivery(ledger)]
    clock.now += 50
    ledger.extend(claims, 60)
    clock.now += 50
    assert ledger.release_expired() == 0
    clock.now += 10
    assert ledger.release_expired() == 2


def test_extending_is_all_or_nothing(ledger, clock):
    accept(ledger, "1")
    accept(ledger, "2")
    claims = ledger.claim_entries("w", limit=2, lease=60)
    make_ready(ledger, claims[1])
    with pytest.raises(StaleClaimError):
        ledger.extend(claims, 600)
    clock.now += 60
    assert ledger.release_expired() == 1


def test_what_one_worker_held_is_given_back_at_once(ledger):
    accept(ledger, "1")
    accept(ledger, "2")
    claim_entry(ledger, "dead")
    claim_entry(ledger, "living")
    assert ledger.release_worker("dead") == 1
    assert ledger.release_worker("dead") == 0
    assert claim_entry(ledger).entry.instance.sop_instance_uid == "1"


def test_what_was_not_begun_is_given_back_as_if_never_claimed(ledger):
    accept(ledger, "1")
    accept(ledger, "2")
    claims = ledger.claim_entries("w", limit=2, lease=60)
    make_ready(ledger, claims[0])
    ledger.release(claims)  # the first is lost, which is no error
    again = claim_entry(ledger)
    assert again.entry.id == claims[1].entry.id
    assert (again.entry.attempts, again.crashes) == (1, 0)
    assert again.token > claims[1].token


def test_what_crashed_is_claimed_alone(ledger):
    for uid in "1234":
        accept(ledger, uid)
    ledger.claim_entries("dead", limit=2, lease=60)
    ledger.release_worker("dead")
    seen = []
    while claims := ledger.claim_entries("w", limit=9, lease=60):
        seen.append([claim.entry.instance.sop_instance_uid for claim in claims])
    assert seen == [["1"], ["2"], ["3", "4"]]


def test_crashes_are_counted_until_a_word_is_given(ledger):
    accept(ledger)
    for crashes in range(3):
        claim = claim_entry(ledger)
        assert claim.crashes == crashes
        ledger.release_worker("w")
    ledger.retry_entry(claim_entry(ledger), 0, "busy", event())
    assert claim_entry(ledger).crashes == 0
    ledger.release_worker("w")
    ledger.retry_entry(claim_entry(ledger), 0, "bug", event(), crash=True)
    claim = claim_entry(ledger)
    assert (claim.crashes, claim.entry.attempts) == (2, 7)


# Deferral


def test_a_deferred_entry_comes_back_when_it_is_due(ledger, clock):
    number = accept(ledger)
    ledger.retry_entry(claim_entry(ledger), 30, "codec_busy", event("deferred"))
    entry = ledger.get(number)[0]
    assert (entry.state, entry.reason) == (EntryState.RECEIVED, "codec_busy")
    assert entry.not_before == START + 30
    clock.now += 29.9
    assert ledger.claim_entries("w", limit=9, lease=60) == []
    clock.now += 0.1
    assert claim_entry(ledger).entry.attempts == 2


def test_a_deferred_delivery_comes_back_when_it_is_due(ledger, clock):
    sealed_entry(ledger)
    ledger.retry_delivery(claim_delivery(ledger), 30, "unreachable", event("deferred"))
    clock.now += 29.9
    assert ledger.claim_deliveries("w", "pacs", limit=9, lease=60) == []
    clock.now += 0.1
    claim = claim_delivery(ledger)
    assert (claim.delivery.attempts, claim.delivery.reason) == (2, "unreachable")


def test_what_fell_due_takes_its_old_place_in_the_queue(ledger, clock):
    accept(ledger, "1")
    accept(ledger, "2")
    ledger.retry_entry(claim_entry(ledger), 30, "", event())
    clock.now += 30
    claims = ledger.claim_entries("w", limit=2, lease=60)
    assert [claim.entry.instance.sop_instance_uid for claim in claims] == ["1", "2"]


@pytest.mark.parametrize("jump", [-365 * 86400.0, -HOUR, HOUR, 365 * 86400.0])
def test_a_clock_that_jumps_strands_nothing_for_more_than_an_hour(ledger, clock, jump):
    sealed_entry(ledger, "1")
    sealed_entry(ledger, "2")
    ledger.retry_delivery(claim_delivery(ledger), 900, "", event())
    claim_delivery(ledger)
    clock.now += jump
    ledger.release_expired()
    ledger.claim_deliveries("w", "pacs", limit=9, lease=60)
    clock.now += HOUR
    ledger.release_expired()
    found = ledger.claim_deliveries("w", "pacs", limit=1, lease=60)
    found += ledger.claim_deliveries("w", "pacs", limit=9, lease=60)
    assert len(found) == 2


def test_no_delay_and_no_lease_is_longer_than_an_hour(ledger, clock):
    accept(ledger)
    ledger.retry_entry(claim_entry(ledger), 1e9, "", event())
    clock.now += HOUR
    ledger.claim_entries("w", limit=1, lease=1e9)
    clock.now += HOUR
    assert ledger.release_expired() == 1


# Ends


def test_the_last_delivery_ends_the_entry(ledger):
    number = sealed_entry(ledger, rule=decision("a", "b"))
    settle(ledger, DeliveryState.SENT, "a")
    assert state_of(ledger, number) == (
        EntryState.READY,
        [DeliveryState.SENT, DeliveryState.PENDING],
    )
    settle(ledger, DeliveryState.VERIFIED, "b")
    assert state_of(ledger, number) == (
        EntryState.DONE,
        [DeliveryState.SENT, DeliveryState.VERIFIED],
    )


def test_a_parked_delivery_parks_its_entry_when_the_others_have_ended(ledger):
    number = sealed_entry(ledger, rule=decision("a", "b"))
    settle(ledger, DeliveryState.PARKED, "a", "refused_0122")
    assert state_of(ledger, number)[0] is EntryState.READY
    settle(ledger, DeliveryState.SENT, "b")
    entry = ledger.get(number)[0]
    assert (entry.state, entry.reason) == (EntryState.PARKED, "refused_0122")


def test_an_entry_with_nowhere_to_go_is_done_when_it_is_ready(ledger):
    rule = decision()
    rule = replace(rule, route=replace(rule.route, to=()))
    assert state_of(ledger, sealed_entry(ledger, rule=rule)) == (EntryState.DONE, [])


@pytest.mark.parametrize("state", [EntryState.HELD, EntryState.PARKED])
def test_an_entry_set_aside_waits_for_a_person(ledger, state):
    number = accept(ledger)
    ledger.set_aside(claim_entry(ledger), state, "lossy", event())
    entry = ledger.get(number)[0]
    assert (entry.state, entry.reason) == (state, "lossy")
    assert ledger.claim_entries("w", limit=9, lease=60) == []
    ledger.requeue(number, None, event())
    claim = claim_entry(ledger)
    assert (claim.entry.attempts, claim.crashes, claim.entry.reason) == (1, 0, "")


def test_parked_deliveries_are_started_again(ledger):
    number = sealed_entry(ledger, rule=decision("a", "b"))
    settle(ledger, DeliveryState.PARKED, "a", "refused")
    settle(ledger, DeliveryState.SENT, "b")
    ledger.requeue(number, None, event())
    assert state_of(ledger, number) == (
        EntryState.READY,
        [DeliveryState.PENDING, DeliveryState.SENT],
    )
    claim = claim_delivery(ledger, "a")
    assert (claim.delivery.attempts, claim.delivery.reason) == (1, "")
    ledger.settle(claim, DeliveryState.SENT, "", event())
    assert state_of(ledger, number)[0] is EntryState.DONE


def test_requeueing_makes_what_is_deferred_due(ledger):
    number = sealed_entry(ledger)
    ledger.retry_delivery(claim_delivery(ledger), 900, "unreachable", event())
    ledger.requeue(number, None, event())
    assert claim_delivery(ledger).delivery.attempts == 1


# What a person does


@pytest.mark.parametrize("stop", ["hold", "park"])
def test_a_stopped_entry_sends_nothing_until_it_is_released(ledger, stop):
    number = sealed_entry(ledger, rule=decision("a", "b"))
    settle(ledger, destination="a")
    at_work = claim_delivery(ledger, "b")
    getattr(ledger, stop)(number, "by_hand", event())

    entry, deliveries = ledger.get(number)
    assert entry.state is (EntryState.HELD if stop == "hold" else EntryState.PARKED)
    assert entry.reason == "by_hand"
    assert [d.state for d in deliveries] == [DeliveryState.SENT, DeliveryState.WAITING]
    with pytest.raises(StaleClaimError):
        ledger.settle(at_work, DeliveryState.SENT, "", event())
    assert ledger.claim_deliveries("f", "b", limit=9, lease=60) == []

    ledger.requeue(number, None, event())
    settle(ledger, destination="b")
    assert state_of(ledger, number)[0] is EntryState.DONE


def test_holding_an_entry_that_is_being_sealed_makes_the_claim_stale(ledger):
    number = accept(ledger)
    claim = claim_entry(ledger)
    ledger.hold(number, "by_hand", event())
    with pytest.raises(StaleClaimError):
        make_ready(ledger, claim)


def test_a_new_decision_takes_the_place_of_the_old(ledger):
    number = accept(ledger, rule=NO_ROUTE)
    ledger.requeue(number, decision("x", "y", priority=2, name="later"), event())
    entry, deliveries = ledger.get(number)
    assert entry.state is EntryState.RECEIVED
    assert (entry.route, entry.action, entry.priority) == ("later", Action.SEAL, 2)
    assert [d.destination for d in deliveries] == ["x", "y"]
    make_ready(ledger, claim_entry(ledger))
    settle(ledger, destination="x")
    settle(ledger, destination="y")
    assert state_of(ledger, number)[0] is EntryState.DONE


def test_a_new_decision_leaves_alone_what_was_sent(ledger):
    number = sealed_entry(ledger, rule=decision("a", "b"))
    settle(ledger, destination="a")
    ledger.hold(number, "by_hand", event())
    ledger.requeue(number, decision("a", "c"), event())
    entry, deliveries = ledger.get(number)
    assert (entry.state, entry.sealed) == (EntryState.RECEIVED, "")
    assert [(d.destination, d.state) for d in deliveries] == [
        ("a", DeliveryState.SENT),
        ("c", DeliveryState.WAITING),
    ]
    assert ledger.garbage(limit=9) == [SEALED]


def test_what_is_only_to_be_held_cannot_be_released(ledger):
    for uid, rule in (("1", NO_ROUTE), ("2", decision(action=Action.HOLD))):
        number = accept(ledger, uid, rule=rule)
        with pytest.raises(UsageError):
            ledger.requeue(number, None, event())
        with pytest.raises(UsageError):
            ledger.requeue(number, NO_ROUTE, event())
        assert state_of(ledger, number)[0] is EntryState.HELD


def test_a_lost_copy_is_sealed_again(ledger):
    number = sealed_entry(ledger, rule=decision("a", "b"))
    settle(ledger, destination="a")
    at_work = claim_delivery(ledger, "b")
    ledger.remake(number, event())
    assert state_of(ledger, number) == (
        EntryState.RECEIVED,
        [DeliveryState.SENT, DeliveryState.WAITING],
    )
    with pytest.raises(StaleClaimError):
        ledger.settle(at_work, DeliveryState.SENT, "", event())
    make_ready(ledger, claim_entry(ledger))
    settle(ledger, destination="b")
    assert state_of(ledger, number)[0] is EntryState.DONE


def test_a_lost_original_cannot_be_made_again(ledger):
    number = sealed_entry(ledger, rule=decision(action=Action.RELAY), sealed=BLOB)
    ledger.remake(number, event("remade"))
    entry, [delivery] = ledger.get(number)
    assert (entry.state, entry.reason) == (EntryState.PARKED, "original_lost")
    assert delivery.state is DeliveryState.WAITING
    assert names(ledger)[-1] == "remade"


def test_what_was_let_pass_can_be_sealed_after_all(ledger):
    number = sealed_entry(ledger, sealed=BLOB)
    ledger.remake(number, event("remade"), intact=True)
    entry, [delivery] = ledger.get(number)
    assert (entry.state, entry.sealed, delivery.state) == (
        EntryState.RECEIVED, "", DeliveryState.WAITING,
    )  # fmt: skip
    assert ledger.references(BLOB) == 1
    make_ready(ledger, claim_entry(ledger))
    settle(ledger)
    assert state_of(ledger, number)[0] is EntryState.DONE


def test_only_what_is_ready_can_be_sealed_again(ledger):
    number = accept(ledger)
    with pytest.raises(UsageError):
        ledger.remake(number, event())


def test_a_discarded_entry_is_discarded_with_all_that_is_unsent(ledger):
    number = sealed_entry(ledger, rule=decision("a", "b", "c"))
    settle(ledger, destination="a")
    settle(ledger, DeliveryState.PARKED, "b", "refused")
    ledger.discard(number, "unwanted", event())
    entry, deliveries = ledger.get(number)
    assert (entry.state, entry.reason) == (EntryState.DISCARDED, "unwanted")
    assert [d.state for d in deliveries] == [
        DeliveryState.SENT,
        DeliveryState.DISCARDED,
        DeliveryState.DISCARDED,
    ]


@pytest.mark.parametrize("end", ["done", "discarded"])
def test_what_has_ended_cannot_be_changed(ledger, end):
    number = sealed_entry(ledger)
    if end == "done":
        settle(ledger)
    else:
        ledger.discard(number, "", event())
    before = ledger.get(number), names(ledger)
    for change in (
        lambda: ledger.hold(number, "", event()),
        lambda: ledger.park(number, "", event()),
        lambda: ledger.discard(number, "", event()),
        lambda: ledger.remake(number, event()),
        lambda: ledger.requeue(number, None, event()),
        lambda: ledger.requeue(number, decision(), event()),
    ):
        with pytest.raises(UsageError):
            change()
    assert (ledger.get(number), names(ledger)) == before


def test_what_is_not_there_is_a_key_error(ledger):
    for ask in (
        lambda: ledger.get(7),
        lambda: ledger.hold(7, "", event()),
        lambda: ledger.park(7, "", event()),
        lambda: ledger.discard(7, "", event()),
        lambda: ledger.remake(7, event()),
        lambda: ledger.requeue(7, None, event()),
        lambda: ledger.forget(7, event()),
    ):
        with pytest.raises(KeyError):
            ask()
    assert names(ledger) == []


# Asking


def test_query_pages_by_id_and_filters(ledger):
    numbers = [accept(ledger, str(n), rule=decision("a" if n % 2 else "b")) for n in range(6)]
    ledger.hold(numbers[1], "", event())
    ledger.hold(numbers[2], "", event())

    def found(**where):
        return [entry.id for entry in ledger.query(**where)]

    assert found() == numbers
    assert found(limit=2) == numbers[:2]
    assert found(after=numbers[3]) == numbers[4:]
    assert found(state=EntryState.HELD) == numbers[1:3]
    assert found(destination="a") == numbers[1::2]
    assert found(destination="a", state=EntryState.HELD) == [numbers[1]]
    assert found(destination="a", after=numbers[1], limit=1) == [numbers[3]]
    assert found(state=EntryState.DONE) == found(destination="nowhere") == []


def test_stats_count_by_state_and_tell_the_oldest(ledger, clock):
    assert ledger.stats().entries == {}
    sealed_entry(ledger, "1", rule=decision("a", "b"))
    settle(ledger, destination="b")
    clock.now += 10
    sealed_entry(ledger, "2", rule=decision("a"))
    accept(ledger, "3")
    accept(ledger, "4", rule=NO_ROUTE)
    clock.now += 5

    stats = ledger.stats()
    assert stats.entries == {"ready": 2, "received": 1, "held": 1}
    assert stats.deliveries == {
        "a": {"pending": 2},
        "b": {"sent": 1},
        "pacs": {"waiting": 1},
    }
    assert stats.pending == {"": 1, "a": 2}
    assert stats.oldest == {"": 5.0, "a": 15.0}


def test_the_age_of_the_oldest_is_never_negative(ledger, clock):
    accept(ledger)
    clock.now -= 99
    assert ledger.stats().oldest == {"": 0.0}


# Forgetting


def test_what_ended_long_ago_is_listed_and_forgotten(ledger, clock):
    first = sealed_entry(ledger, "1")
    settle(ledger)
    clock.now += 100
    second = accept(ledger, "2", blob=OTHER)
    ledger.discard(second, "", event())
    accept(ledger, "3", blob="d" * 64)

    assert ledger.finished(before=START, limit=9) == []
    assert [e.id for e in ledger.finished(before=START + 1, limit=9)] == [first]
    assert [e.id for e in ledger.finished(before=START + 101, limit=9)] == [first, second]
    assert len(ledger.finished(before=START + 101, limit=1)) == 1

    ledger.forget(first, event("forgotten"))
    with pytest.raises(KeyError):
        ledger.get(first)
    assert ledger.garbage(limit=9) == [BLOB, SEALED]
    assert ledger.garbage(limit=1) == [BLOB]
    assert "pacs" in ledger.stats().deliveries
    ledger.cleared([BLOB, SEALED, OTHER])
    assert ledger.garbage(limit=9) == []
    assert names(ledger)[-1] == "forgotten"


def test_what_has_not_ended_is_not_forgotten(ledger):
    number = accept(ledger)
    with pytest.raises(UsageError):
        ledger.forget(number, event())
    assert ledger.get(number)


def test_an_id_is_never_given_twice(ledger):
    number = sealed_entry(ledger)
    settle(ledger)
    ledger.forget(number, event())
    assert accept(ledger) > number


def test_references_count_the_entries_that_name_a_blob(ledger):
    assert ledger.references(BLOB) == ledger.references("") == 0
    sealed_entry(ledger, "1", sealed=BLOB)
    accept(ledger, "2")
    assert ledger.references(BLOB) == 2
    assert ledger.references(SEALED) == 0


# Audit


def test_events_are_numbered_without_gaps_and_drained_in_order(ledger, clock):
    ledger.record(event("one", psnr=81.5, tiles=64, route="ct"))
    clock.now += 1
    accept(ledger)
    with pytest.raises(KeyError):
        ledger.hold(99, "", event("never"))
    ledger.record(event("three"))

    rows = ledger.outbox(limit=9)
    assert [seq for seq, _, _ in rows] == [1, 2, 3]
    assert [at for _, at, _ in rows] == [START, START + 1, START + 1]
    assert rows[0][2] == event("one", psnr=81.5, tiles=64, route="ct")
    assert len(ledger.outbox(limit=2)) == 2

    ledger.drained(2)
    assert [e.event for _, _, e in ledger.outbox(limit=9)] == ["three"]
    ledger.drained(3)
    ledger.drained(3)
    ledger.record(event("four"))
    assert [seq for seq, _, _ in ledger.outbox(limit=9)] == [4]


@pytest.mark.parametrize("last", [0, 1, 500])
def test_waiting_events_can_be_numbered_anew(ledger, clock, last):
    for name in "abcd":
        ledger.record(event(name))
    ledger.drained(1)
    clock.now += 9
    ledger.renumber(last, event("joined"))
    rows = [(seq, at - START, e.event) for seq, at, e in ledger.outbox(limit=9)]
    assert rows == [
        (last + 1, 0, "b"),
        (last + 2, 0, "c"),
        (last + 3, 0, "d"),
        (last + 4, 9, "joined"),
    ]
    ledger.drained(last + 4)
    ledger.record(event("next"))
    assert ledger.outbox(limit=9)[0][0] == last + 5


# Many at once


def test_each_row_is_claimed_once_however_many_ask(ledger):
    for number in range(60):
        accept(ledger, str(number))
    seen = []

    def work(name):
        while claims := ledger.claim_entries(name, limit=3, lease=60):
            seen.extend(claim.entry.id for claim in claims)
            for claim in claims:
                make_ready(ledger, claim)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(seen) == [entry.id for entry in ledger.query(limit=99)]


def test_the_same_object_from_many_associations_is_one_entry(ledger):
    kinds = []

    def work():
        kinds.extend(ledger.accept(instance(), decision(), event()).kind for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(kinds) == ["duplicate"] * 39 + ["new"]
    assert len(ledger.outbox(limit=99)) == 40


# Reading back ----------------------------------------------------------------

INTACT = Finding("pacs", "CT", "INTACT")


def sent_entry(ledger, readback_in=100.0, rule=None, *, uid="1.2.3", blob=BLOB):
    """An entry whose delivery was sent and is to be read back."""
    number = sealed_entry(ledger, uid, blob, rule)
    claim = claim_delivery(ledger)
    ledger.settle(claim, DeliveryState.SENT, "", event("sent"), readback_in=readback_in)
    return number


def claim_readbacks(ledger, limit=5, destination="pacs"):
    return ledger.claim_readbacks("v", destination, limit=limit, lease=60)


def judge(ledger, claim, state, finding=INTACT, reason=""):
    ledger.judge(claim, state, reason, finding, event("read_back"))


def test_what_was_sent_is_read_back_when_it_is_due_and_not_before(ledger, clock):
    sent_entry(ledger)
    clock.now += 99
    assert claim_readbacks(ledger) == []
    clock.now += 1
    [claim] = claim_readbacks(ledger)
    assert claim.delivery.state is DeliveryState.SENT
    assert claim.delivery.blob == SEALED
    assert claim.delivery.readback_at == START + 100
    assert claim_readbacks(ledger) == []


def test_what_was_not_chosen_is_never_read_back(ledger, clock):
    sent_entry(ledger, readback_in=None)
    clock.now += 10 * HOUR
    assert claim_readbacks(ledger) == []


def test_what_is_due_longest_is_read_back_first(ledger, clock):
    for number, delay in enumerate([30, 10, 20]):
        sent_entry(ledger, delay, uid=f"1.{number}", blob=str(number) * 64)
    clock.now += 30
    assert [c.delivery.readback_at - START for c in claim_readbacks(ledger)] == [10, 20, 30]


def test_a_destination_reads_back_only_its_own(ledger, clock):
    sent_entry(ledger, rule=decision("pacs", "research"))
    clock.now += 100
    assert claim_readbacks(ledger, destination="research") == []
    assert len(claim_readbacks(ledger)) == 1


def test_an_entry_ends_only_when_it_was_read_back(ledger, clock):
    number = sent_entry(ledger)
    assert state_of(ledger, number)[0] is EntryState.DONE
    clock.now += 100 * HOUR
    assert ledger.finished(before=clock.now, limit=5) == []
    with pytest.raises(UsageError):
        ledger.forget(number, event())
    [claim] = claim_readbacks(ledger)
    judge(ledger, claim, DeliveryState.VERIFIED)
    assert state_of(ledger, number) == (EntryState.DONE, [DeliveryState.VERIFIED])
    assert [e.id for e in ledger.finished(before=clock.now + 1, limit=5)] == [number]
    ledger.forget(number, event())


def test_what_was_lost_is_sent_again(ledger, clock):
    number = sent_entry(ledger)
    clock.now += 100
    [claim] = claim_readbacks(ledger)
    judge(ledger, claim, DeliveryState.PENDING, Finding("pacs", "CT", "MISSING"), "missing")
    assert state_of(ledger, number) == (EntryState.READY, [DeliveryState.PENDING])
    again = claim_delivery(ledger).delivery
    assert (again.lost, again.attempts, again.blob) == (1, 1, SEALED)
    assert again.created_at == clock.now


def test_what_was_changed_waits_for_a_person_who_may_send_it_again(ledger, clock):
    number = sent_entry(ledger)
    clock.now += 100
    [claim] = claim_readbacks(ledger)
    judge(ledger, claim, DeliveryState.PARKED, Finding("pacs", "CT", "TAMPERED"), "tampered")
    assert state_of(ledger, number) == (EntryState.PARKED, [DeliveryState.PARKED])
    assert ledger.get(number)[0].reason == "tampered"
    clock.now += 100 * HOUR
    assert ledger.finished(before=clock.now, limit=5) == []
    ledger.requeue(number, None, event())
    assert claim_delivery(ledger).delivery.blob == SEALED


def test_what_was_lost_waits_while_its_entry_is_stopped(ledger, clock):
    number = sent_entry(ledger, rule=decision("pacs", "research"))
    ledger.hold(number, "by_hand", event())
    clock.now += 100
    [claim] = claim_readbacks(ledger)
    judge(ledger, claim, DeliveryState.PENDING)
    assert state_of(ledger, number) == (EntryState.HELD, [DeliveryState.WAITING] * 2)
    ledger.requeue(number, None, event())
    assert state_of(ledger, number) == (EntryState.READY, [DeliveryState.PENDING] * 2)


def test_what_is_discarded_is_not_read_back(ledger, clock):
    number = sent_entry(ledger, rule=decision("pacs", "research"))
    clock.now += 100
    [claim] = claim_readbacks(ledger)
    ledger.discard(number, "by_hand", event())
    with pytest.raises(StaleClaimError):
        judge(ledger, claim, DeliveryState.PENDING)
    assert claim_readbacks(ledger) == []
    assert [e.id for e in ledger.finished(before=clock.now + 1, limit=5)] == [number]


def test_a_read_back_that_must_wait_comes_back(ledger, clock):
    number = sent_entry(ledger)
    clock.now += 100
    [claim] = claim_readbacks(ledger)
    ledger.retry_delivery(claim, 50.0, "unreachable", event())
    assert claim_readbacks(ledger) == []
    assert ledger.claim_deliveries("f", "pacs", limit=5, lease=60) == []
    clock.now += 50
    [claim] = claim_readbacks(ledger)
    assert (claim.delivery.entry, claim.delivery.reason) == (number, "unreachable")


def test_a_dead_reader_back_loses_its_claim(ledger, clock):
    sent_entry(ledger)
    clock.now += 100
    [claim] = claim_readbacks(ledger)
    clock.now += 61
    assert ledger.release_expired() == 1
    with pytest.raises(StaleClaimError):
        judge(ledger, claim, DeliveryState.VERIFIED)
    [claim] = claim_readbacks(ledger)
    assert claim.crashes == 1
    judge(ledger, claim, DeliveryState.VERIFIED)


def test_a_delivery_that_is_being_sent_cannot_be_judged(ledger):
    sealed_entry(ledger)
    with pytest.raises(StaleClaimError):
        judge(ledger, claim_delivery(ledger), DeliveryState.VERIFIED)


def test_a_clock_that_jumped_does_not_put_reading_back_out_of_reach(ledger, clock):
    clock.now += 1e9
    sent_entry(ledger)
    clock.now -= 1e9
    assert len(claim_readbacks(ledger)) == 1


def test_findings_are_counted_by_day(ledger, clock):
    sent_entry(ledger)
    clock.now += 100
    [claim] = claim_readbacks(ledger)
    judge(ledger, claim, DeliveryState.VERIFIED)
    ledger.count({INTACT: 3}, event("seen"))
    clock.now += 24 * HOUR
    other = Finding("pacs", "MR", "TAMPERED")
    ledger.count({other: 1}, event("seen"))
    day = int(START // 86400)
    assert ledger.found(since=START) == [Found(day, INTACT, 4), Found(day + 1, other, 1)]
    assert ledger.found(since=clock.now) == [Found(day + 1, other, 1)]
    assert [e.event for _, _, e in ledger.outbox(limit=99)][-3:] == ["read_back", "seen", "seen"]


# Storage Commitment ----------------------------------------------------------

WANTED = (("1.1", "2.2"), ("1.1", "2.3"))


def wanted_entry(ledger, commit_in=100.0, rule=None, readback_in=None):
    """An entry whose delivery was sent and is to be committed."""
    number = sealed_entry(ledger, rule=rule)
    ledger.settle(
        claim_delivery(ledger), DeliveryState.SENT, "", event("sent"),
        commit_in=commit_in, readback_in=readback_in,
    )  # fmt: skip
    return number


def ask(ledger, transaction="9.9", again_in=60.0):
    claims = ledger.claim_commitments("c", "pacs", limit=5, lease=60)
    ledger.asking(claims, transaction, again_in, event("asked"))
    return claims


def rule(ledger, transaction="9.9", **ruling):
    word = {"2.2": Ruling(event("ruled"), **ruling)}
    return ledger.rule("pacs", transaction, word)


def test_commitment_is_asked_for_when_it_is_due_and_again_without_a_word(ledger, clock):
    wanted_entry(ledger)
    assert ledger.claim_commitments("c", "pacs", limit=5, lease=60) == []
    clock.now += 100
    [claim] = ask(ledger)
    assert claim.delivery.sop_instance_uid == "2.2"
    [delivery] = ledger.transaction("pacs", "9.9")
    assert (delivery.sop_instance_uid, delivery.asked, delivery.attempts) == ("2.2", 1, 1)
    assert delivery.commit_at == clock.now + 60
    assert ledger.transaction("pacs", "9.8") == []
    assert ledger.transaction("research", "9.9") == []
    assert ledger.owed().uncommitted == {"pacs": Open(1, START)}
    assert ledger.claim_commitments("c", "pacs", limit=5, lease=60) == []
    clock.now += 60
    assert len(ledger.claim_commitments("c", "pacs", limit=5, lease=60)) == 1


def test_a_report_is_awaited_as_long_as_is_said(ledger, clock):
    wanted_entry(ledger, 0.0)
    ask(ledger)
    ledger.await_report("9.9", 1000.0)
    ledger.await_report("9.8", 1.0)
    clock.now += 999
    assert ledger.claim_commitments("c", "pacs", limit=5, lease=60) == []
    clock.now += 1
    assert len(ledger.claim_commitments("c", "pacs", limit=5, lease=60)) == 1


def test_an_entry_ends_only_when_the_destination_has_committed(ledger, clock):
    number = wanted_entry(ledger, 0.0)
    assert state_of(ledger, number)[0] is EntryState.DONE
    with pytest.raises(UsageError):
        ledger.forget(number, event())
    ask(ledger)
    assert ledger.finished(before=clock.now + HOUR, limit=5) == []
    clock.now += 5
    assert rule(ledger) == 1
    [delivery] = ledger.get(number)[1]
    assert (delivery.state, delivery.committed_at) == (DeliveryState.SENT, clock.now)
    assert [e.id for e in ledger.finished(before=clock.now + 1, limit=5)] == [number]
    assert rule(ledger) == 0, "the transaction is over"
    assert ledger.owed().uncommitted == {}
    assert [e.event for _, _, e in ledger.outbox(limit=99)][-2:] == ["asked", "ruled"]


def test_what_the_destination_does_not_have_is_sent_again(ledger):
    number = wanted_entry(ledger, 0.0, readback_in=5.0)
    ask(ledger)
    rule(ledger, state=DeliveryState.PENDING, reason="not there")
    assert state_of(ledger, number) == (EntryState.READY, [DeliveryState.PENDING])
    delivery = claim_delivery(ledger).delivery
    assert (delivery.lost, delivery.readback_at, delivery.committed_at) == (1, None, None)


def test_what_the_destination_will_not_keep_waits_for_a_person(ledger):
    number = wanted_entry(ledger, 0.0)
    ask(ledger)
    rule(ledger, state=DeliveryState.PARKED, reason="class")
    assert state_of(ledger, number) == (EntryState.PARKED, [DeliveryState.PARKED])
    assert ledger.get(number)[0].reason == "class"


def test_a_destination_that_cannot_commit_now_is_asked_later(ledger, clock):
    number = wanted_entry(ledger, 0.0)
    ask(ledger)
    rule(ledger, state=DeliveryState.SENT, reason="commitment 0213H", delay=50.0)
    assert ledger.get(number)[1][0].reason == "commitment 0213H"
    assert state_of(ledger, number) == (EntryState.DONE, [DeliveryState.SENT])
    assert ledger.transaction("pacs", "9.9") == []
    clock.now += 50
    assert len(ask(ledger, "9.10")) == 1
    rule(ledger, "9.10")
    assert ledger.get(number)[1][0].reason == ""


def test_a_lost_lease_asks_nothing(ledger, clock):
    wanted_entry(ledger, 0.0)
    claims = ledger.claim_commitments("c", "pacs", limit=5, lease=60)
    clock.now += 61
    ledger.release_expired()
    with pytest.raises(StaleClaimError):
        ledger.asking(claims, "9.9", 60.0, event())
    assert ledger.transaction("pacs", "9.9") == []


def test_a_commitment_survives_being_read_back(ledger, clock):
    number = wanted_entry(ledger, 0.0, readback_in=10.0)
    ask(ledger)
    rule(ledger)
    clock.now += 10
    [claim] = claim_readbacks(ledger)
    judge(ledger, claim, DeliveryState.VERIFIED)
    [delivery] = ledger.get(number)[1]
    assert (delivery.state, delivery.committed_at) == (DeliveryState.VERIFIED, clock.now - 10)


def test_what_is_discarded_needs_no_commitment(ledger, clock):
    number = wanted_entry(ledger, 0.0, decision("pacs", "research"))
    ledger.discard(number, "by_hand", event())
    assert ledger.claim_commitments("c", "pacs", limit=5, lease=60) == []
    assert len(ledger.finished(before=clock.now + 1, limit=5)) == 1


def test_what_a_source_asks_is_kept_until_it_is_reported(ledger, clock):
    assert ledger.promise("ct1", "7.7", WANTED, event("asked")) == NEW
    assert ledger.promise("ct1", "7.7", WANTED[::-1], event("again")) == REPEATED
    assert ledger.promise("ct1", "7.7", WANTED[:1], event("other")) == CONFLICT
    assert ledger.promise("mr1", "7.7", WANTED[:1], event("asked")) == NEW
    assert ledger.owed().unreported == {"ct1": Open(1, START), "mr1": Open(1, START)}
    first, second = ledger.promises(limit=5)
    assert (first.source, first.transaction_uid, first.references) == ("ct1", "7.7", WANTED)
    assert (second.source, second.references, second.since) == ("mr1", WANTED[:1], START)
    ledger.put_off(first.id, 30.0)
    ledger.put_off(second.id, 60.0, tried=True)
    assert ledger.promises(limit=5) == []
    clock.now += 60
    assert [p.attempts for p in ledger.promises(limit=5)] == [0, 1]
    ledger.keep_promise(first.id, event("reported"))
    assert [p.source for p in ledger.promises(limit=5)] == ["mr1"]
    assert [e.event for _, _, e in ledger.outbox(limit=99)] == ["asked", "asked", "reported"]


def test_the_same_instance_asked_for_twice_counts_once(ledger):
    ledger.promise("ct1", "7.7", [*WANTED, ("1.9", "2.2")], event())
    assert ledger.promises(limit=1)[0].references == WANTED


def test_reading_back_can_be_hastened(ledger, clock):
    number = sealed_entry(ledger)
    settle(ledger)
    [delivery] = ledger.get(number)[1]
    ledger.hasten(delivery.id)
    assert ledger.finished(before=clock.now + 1, limit=5) == []
    [claim] = claim_readbacks(ledger)
    judge(ledger, claim, DeliveryState.VERIFIED)
    ledger.hasten(delivery.id)
    ledger.hasten(99)
    assert claim_readbacks(ledger) == []
    assert len(ledger.finished(before=clock.now + 1, limit=5)) == 1


def test_a_commitment_that_is_no_longer_wanted_keeps_nothing_from_ending(ledger, clock):
    number = wanted_entry(ledger)
    assert ledger.forgo_commitments("research") == 0
    assert ledger.forgo_commitments("pacs") == 1
    assert ledger.get(number)[1][0].commit_at is None
    assert [e.id for e in ledger.finished(before=clock.now + 1, limit=5)] == [number]


def test_what_a_source_waits_to_hear_of_is_not_forgotten(ledger, clock):
    number = sealed_entry(ledger)
    settle(ledger)
    uid = ledger.get(number)[0].instance.sop_instance_uid
    ledger.promise("ct1", "7.7", [("1.1", uid)], event())
    assert ledger.finished(before=clock.now + 1, limit=5) == []
    with pytest.raises(UsageError):
        ledger.forget(number, event())
    [promise] = ledger.promises(limit=5)
    ledger.keep_promise(promise.id, event())
    assert [e.id for e in ledger.finished(before=clock.now + 1, limit=5)] == [number]


def test_a_clock_that_jumped_strands_no_commitment_and_no_promise(ledger, clock):
    wanted_entry(ledger)
    ledger.promise("ct1", "7.7", WANTED, event())
    ledger.put_off(ledger.promises(limit=1)[0].id, 60.0)
    clock.now -= 366 * 86400
    assert len(ask(ledger)) == 1
    assert len(ledger.promises(limit=5)) == 1


# Shares -------------------------------------------------------------------------

KEEPERS = ("a", "b", "c")


def shared_rule(*to, name="shared", k=2):
    route = Route(name, {}, Action.SEAL, to or KEEPERS, threshold=k)
    return Decision(route, Action.SEAL, ())


def parts(version="1", count=3):
    return [
        Part(n, f"{version}{n}".ljust(64, "0"), "4.4", f"5.5.{version}.{n}", "6.6",
             event(f"share_{n}"))
        for n in range(1, count + 1)
    ]  # fmt: skip


def ready_shares(ledger, made):
    ledger.ready(
        claim_entry(ledger), SEALED, sop_class_uid="1.1", sop_instance_uid="2.2",
        transfer_syntax_uid="3.3", event=event("sealed"), parts=made,
    )  # fmt: skip


def shared_entry(ledger, made=None):
    number = accept(ledger, rule=shared_rule())
    ready_shares(ledger, made or parts())
    return number


def test_each_destination_of_a_shared_object_has_its_share_and_none_the_whole(ledger):
    number = accept(ledger, rule=shared_rule())
    entry, deliveries = ledger.get(number)
    assert entry.threshold == 2
    assert [(d.destination, d.share) for d in deliveries] == [("a", 1), ("b", 2), ("c", 3)]
    assert {d.blob for d in deliveries} == {""}, "what is not made yet must not be the original"

    ready_shares(ledger, parts())

    entry, deliveries = ledger.get(number)
    assert entry.sealed == SEALED
    assert [d.blob for d in deliveries] == [part.blob for part in parts()]
    assert claim_delivery(ledger, "b").delivery.sop_instance_uid == "5.5.1.2"
    assert (deliveries[2].sop_class_uid, deliveries[2].transfer_syntax_uid) == ("4.4", "6.6")
    assert names(ledger)[-4:] == ["sealed", "share_1", "share_2", "share_3"]


@pytest.mark.parametrize("made", [[], parts(count=2), parts(count=4)], ids=len)
def test_shares_that_do_not_fit_the_deliveries_change_nothing(ledger, made):
    number = accept(ledger, rule=shared_rule())
    with pytest.raises(UsageError):
        ready_shares(ledger, made)
    entry, deliveries = ledger.get(number)
    assert (entry.state, entry.sealed) == (EntryState.RECEIVED, "")
    assert {d.state for d in deliveries} == {DeliveryState.WAITING}
    assert names(ledger) == ["accepted"]


def test_what_is_sent_whole_takes_no_shares(ledger):
    accept(ledger)
    with pytest.raises(UsageError):
        ready_shares(ledger, parts(count=1))


def test_a_share_made_again_alike_is_not_sent_twice(ledger):
    number = shared_entry(ledger)
    settle(ledger, destination="a")
    ledger.remake(number, event())
    assert ledger.garbage(limit=9) == [SEALED]
    ready_shares(ledger, parts())
    assert state_of(ledger, number)[1] == [
        DeliveryState.SENT, DeliveryState.PENDING, DeliveryState.PENDING,
    ]  # fmt: skip


def test_a_share_of_another_set_takes_the_place_of_what_was_sent(ledger, clock):
    number = shared_entry(ledger)
    claim = claim_delivery(ledger, "a")
    ledger.settle(claim, DeliveryState.SENT, "", event("sent"), readback_in=9.0, commit_in=9.0)
    clock.now += 9
    [reading] = claim_readbacks(ledger, destination="a")
    ledger.remake(number, event())
    ready_shares(ledger, parts("2"))

    assert state_of(ledger, number)[1] == [DeliveryState.PENDING] * 3
    assert claim_delivery(ledger, "a").delivery.blob == parts("2")[0].blob
    with pytest.raises(StaleClaimError):
        judge(ledger, reading, DeliveryState.VERIFIED)
    assert set(ledger.garbage(limit=9)) == {SEALED, *(part.blob for part in parts())}


def test_the_shares_of_a_forgotten_entry_are_garbage_unless_another_names_them(ledger):
    number = shared_entry(ledger)
    assert ledger.references(parts()[1].blob) == 1
    for destination in KEEPERS:
        settle(ledger, destination=destination)
    ledger.forget(number, event())
    assert ledger.references(parts()[1].blob) == 0
    assert set(ledger.garbage(limit=9)) == {BLOB, SEALED, *(part.blob for part in parts())}


@pytest.mark.parametrize("rules", [(shared_rule(), decision("a", "b")),
                                   (decision("a", "b"), shared_rule()),
                                   (shared_rule(), shared_rule("c", "a", name="other"))],
                         ids=["to whole", "to shares", "to other shares"])  # fmt: skip
def test_a_new_decision_on_shares_starts_every_delivery_anew(ledger, rules):
    before, after = rules
    number = accept(ledger, rule=before)
    ready_shares(ledger, parts() if before.route.threshold else [])
    settle(ledger, destination="a")
    ledger.requeue(number, after, event())
    entry, deliveries = ledger.get(number)
    assert entry.threshold == after.route.threshold
    assert [d.destination for d in deliveries] == list(after.route.to)
    numbers = range(1, 4) if after.route.threshold else [0, 0, 0]
    assert [d.share for d in deliveries] == list(numbers)[: len(deliveries)]
    assert {(d.state, d.blob) for d in deliveries} == {(DeliveryState.WAITING, "")}


def test_a_destination_commits_to_its_share_by_the_name_of_that(ledger):
    number = shared_entry(ledger)
    claim = claim_delivery(ledger, "b")
    ledger.settle(claim, DeliveryState.SENT, "", event("sent"), commit_in=0.0)
    claims = ledger.claim_commitments("c", "b", limit=5, lease=60)
    ledger.asking(claims, "8.8", 50.0, event())
    assert ledger.rule("b", "8.8", {"2.2": Ruling(event()), "5.5.1.2": Ruling(event())}) == 1
    assert ledger.get(number)[1][1].committed_at == START
