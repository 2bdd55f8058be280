"""What follows from what a destination says, or does not say, about what it was sent."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from committing import Pacs, Said
from network import requestor, wait_until

from node.aftercare.commitment import LOST, TRIES, Commitment, Reports
from node.dicom.commitment import CommitmentScu, Report
from node.dicom.requestor import NoContextError
from node.errors import UnreachableError
from node.spool.memory import MemoryLedger
from node.types import (
    Action,
    Decision,
    DeliveryState,
    Destination,
    EntryState,
    Event,
    Instance,
    Route,
)

START = 1_700_000_000.0
DAY = 86400.0
CT = "1.2.840.10008.5.1.4.1.1.2"
PACS = Destination(
    "pacs", "PACS", "127.0.0.1", 104, give_up_after=7 * DAY, commitment=True,
    commitment_after=0.0, commitment_wait=0.0,
)  # fmt: skip


class World:
    """A ledger, a destination that says what the test wants, and the loop that asks it."""

    def __init__(self):
        self.now = START
        self.asked = []
        self.answers = {}  # by number of the request: a status, or what is raised
        self.ledger = MemoryLedger(clock=lambda: self.now)
        self.reports = Reports(
            ledger=self.ledger, pseudonym=lambda uid: f"P{uid}", chance=lambda: 0.5,
            clock=lambda: self.now,
        )  # fmt: skip
        numbers = count(1)
        self.stage = Commitment(
            ledger=self.ledger, destination=PACS, asker=self, reports=self.reports,
            transaction=lambda: f"2.25.{next(numbers)}", worker="c", monotonic=lambda: self.now,
        )  # fmt: skip

    def ask(self, transaction_uid, references, take):
        self.asked.append((transaction_uid, [uid for _, uid in references]))
        answer = self.answers.get(len(self.asked), 0x0000)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Report):
            take(answer)
            return 0x0000
        return answer

    def deliver(self, uid, commit_in=0.0):
        """Have one object received and sent; its UID there is its own with ``.9`` behind."""
        route = Route("ct", {}, Action.SEAL, ("pacs",))
        instance = Instance(CT, uid, "1.1", "1.2", "1.3", "a" * 64, 9)
        decided = Decision(route, Action.SEAL, ())
        number = self.ledger.accept(instance, decided, Event("accepted")).entry
        [claim] = self.ledger.claim_entries("p", limit=1, lease=60)
        self.ledger.ready(
            claim, "b" * 64, sop_class_uid=CT, sop_instance_uid=f"{uid}.9",
            transfer_syntax_uid="1.3", event=Event("sealed"),
        )  # fmt: skip
        self.send(commit_in)
        return number

    def send(self, commit_in=0.0):
        [claim] = self.ledger.claim_deliveries("f", "pacs", limit=1, lease=60)
        self.ledger.settle(claim, DeliveryState.SENT, "", Event("sent"), commit_in=commit_in)

    def say(self, transaction_uid, *committed, **failed):
        lost = tuple((CT, uid, code) for uid, code in failed.get("failed", {}).items())
        said = Report(transaction_uid, tuple((CT, uid) for uid in committed), lost)
        self.reports.take(PACS, said)

    def state(self, number):
        entry, [delivery] = self.ledger.get(number)
        return entry.state, delivery.state, delivery.committed_at is not None

    def events(self):
        return [event for _, _, event in self.ledger.outbox(limit=1000)]

    def wait(self, seconds):
        self.now += seconds
        return self.stage.step()


SENT = (EntryState.DONE, DeliveryState.SENT, False)
COMMITTED = (EntryState.DONE, DeliveryState.SENT, True)


@pytest.fixture
def world():
    return World()


def test_what_was_delivered_is_asked_about_together_and_committed(world):
    numbers = [world.deliver("1.1"), world.deliver("1.2")]
    assert world.stage.step() == 2
    assert world.stage.step() == 0
    assert world.asked == [("2.25.1", ["1.1.9", "1.2.9"])]
    world.now += 20
    world.say("2.25.1", "1.1.9", "1.2.9")
    assert [world.state(number) for number in numbers] == [COMMITTED, COMMITTED]
    [one, _] = [event for event in world.events() if event.event == "instance_committed"]
    assert (one.object, one.facts["destination"]) == ("P1.1.9", "pacs")
    assert world.wait(30 * DAY) == 0


def test_an_answer_on_the_same_association_counts_at_once(world):
    number = world.deliver("1.1")
    world.answers[1] = Report("2.25.1", ((CT, "1.1.9"),))
    world.stage.step()
    assert world.state(number) == COMMITTED


def test_a_report_about_another_transaction_or_from_elsewhere_changes_nothing(world):
    number = world.deliver("1.1")
    world.stage.step()
    world.say("2.25.77", "1.1.9")
    world.reports.take(replace(PACS, name="other"), Report("2.25.1", ((CT, "1.1.9"),)))
    world.say("2.25.1", "1.5.9")
    assert world.state(number) == SENT
    world.say("2.25.1", "1.1.9")
    world.say("2.25.1", failed={"1.1.9": 0x0112})
    assert world.state(number) == COMMITTED, "what is over is over"


def test_what_is_committed_and_failed_at_once_has_failed_and_what_is_neither_is_asked_again(world):
    both, neither = world.deliver("1.1"), world.deliver("1.2")
    world.stage.step()
    world.say("2.25.1", "1.1.9", failed={"1.1.9": 0x0119})
    assert world.state(both)[:2] == (EntryState.PARKED, DeliveryState.PARKED)
    assert world.state(neither) == SENT
    world.wait(PACS.commitment_within)
    assert world.asked[1:] == [("2.25.2", ["1.2.9"])]


def test_what_is_not_there_is_sent_again_until_a_person_must_look(world):
    number = world.deliver("1.1")
    for turn in range(1, LOST + 1):
        world.stage.step()
        world.say(f"2.25.{turn}", failed={"1.1.9": 0x0112})
        assert world.state(number)[:2] == (EntryState.READY, DeliveryState.PENDING)
        world.send()
    world.stage.step()
    world.say(f"2.25.{LOST + 1}", failed={"1.1.9": 0x0112})
    assert world.state(number)[:2] == (EntryState.PARKED, DeliveryState.PARKED)
    assert world.ledger.get(number)[0].reason == "commitment 0112H: no such object instance"
    names = [event.event for event in world.events() if event.outcome == "failure"]
    assert names == ["commitment_missing"] * LOST + ["commitment_refused"]


@pytest.mark.parametrize("code", [0x0110, 0x0131, 0x0213, 0x7777])
def test_what_it_cannot_keep_now_is_asked_about_again_and_parked_in_the_end(world, code):
    number = world.deliver("1.1")
    for turn in range(1, TRIES + 1):
        assert world.wait(turn * 100) == 1
        world.say(f"2.25.{turn}", failed={"1.1.9": code})
        assert world.state(number) == SENT
        assert f"{code:04X}H" in world.ledger.get(number)[1][0].reason
    world.wait(7 * DAY)
    assert len(world.asked) == TRIES
    assert world.state(number)[0] is EntryState.PARKED
    assert f"{code:04X}H" in world.ledger.get(number)[0].reason


def test_what_is_old_before_it_is_first_asked_about_is_asked_about_all_the_same(world):
    number = world.deliver("1.1")
    world.now += 30 * DAY
    for turn in range(1, TRIES + 1):
        assert world.wait(DAY) == 1
        assert len(world.asked) == turn
        assert world.state(number) == SENT
    world.wait(DAY)
    assert world.state(number)[0] is EntryState.PARKED


@pytest.mark.parametrize("code", [0x0119, 0x0122])
def test_what_it_never_will_keep_waits_for_a_person(world, code):
    number = world.deliver("1.1")
    world.stage.step()
    world.say("2.25.1", failed={"1.1.9": code})
    assert world.state(number)[0] is EntryState.PARKED


def test_silence_is_answered_by_asking_again_ever_more_rarely_then_by_an_alarm(world):
    number = world.deliver("1.1")
    world.stage.step()
    within, turns = PACS.commitment_within, 1
    gaps = []
    while world.state(number)[0] is EntryState.DONE:
        before = world.now
        while world.wait(60) == 0:
            pass
        gaps.append(world.now - before)
        turns += 1
    assert gaps[:4] == [within, 2 * within, 4 * within, 8 * within]
    assert max(gaps) <= DAY
    assert len(world.asked) == turns - 1, "the last time it was given up instead"
    assert world.ledger.get(number)[0].reason == "commitment unanswered"
    assert 7 * DAY <= world.now - START <= 8 * DAY
    assert world.events()[-1].event == "commitment_given_up"


@pytest.mark.parametrize(
    "trouble",
    [UnreachableError("away"), NoContextError("offers none"), 0x0213, 0x0122],
)
def test_a_destination_that_takes_no_request_gets_a_rest_and_another(world, trouble):
    number = world.deliver("1.1")
    world.answers = {1: trouble, 2: trouble}
    world.stage.step()
    assert world.wait(1) == 0
    assert world.wait(15) == 1
    assert world.wait(31) == 1
    assert [uid for uid, _ in world.asked] == ["2.25.1", "2.25.2", "2.25.3"]
    assert [e.event for e in world.events()].count("commitment_deferred") == 2
    world.say("2.25.3", "1.1.9")
    assert world.state(number) == COMMITTED


def test_a_late_report_counts_as_long_as_nobody_asked_again(world):
    number = world.deliver("1.1")
    world.stage.step()
    world.now += 10 * PACS.commitment_within
    world.say("2.25.1", "1.1.9")
    assert world.state(number) == COMMITTED


def test_a_process_that_died_while_it_asked_asks_again_soon(world):
    number = world.deliver("1.1")
    world.answers[1] = KeyboardInterrupt()

    def die(*_):
        raise KeyboardInterrupt

    world.ask, alive = die, world.ask
    with pytest.raises(KeyboardInterrupt):
        world.stage.step()
    world.ask = alive
    world.answers = {}
    assert world.wait(600) == 1
    world.say("2.25.2", "1.1.9")
    assert world.state(number) == COMMITTED


@pytest.mark.parametrize("reply", ["same", "new"])
def test_a_real_pacs_commits_in_part(world, reply):
    kept, lost = world.deliver("1.1"), world.deliver("1.2")
    with Pacs(reply=reply) as pacs:
        pacs.word = lambda asked: Said(asked.transaction_uid, 2, [(CT, "1.1.9")], {"1.2.9": 0x0112})
        pacs.report = lambda said: world.say(said.transaction_uid, "1.1.9", failed=said.failed)
        world.stage.asker = CommitmentScu(requestor(pacs.port, aet="PACS"), wait=0.5)
        assert world.stage.step() == 2
        wait_until(lambda: world.state(kept) == COMMITTED)
    assert world.state(lost)[:2] == (EntryState.READY, DeliveryState.PENDING)
