"""What a source that asks for commitment is told, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.aftercare.promise import REPORT_SECONDS, Reporter, Requests
from node.errors import UnreachableError
from node.spool.aftercare import Finding
from node.spool.commitment import Ruling
from node.spool.memory import MemoryLedger
from node.types import (
    Action,
    Decision,
    DeliveryState,
    Destination,
    EntryState,
    Event,
    Instance,
    Peer,
    Route,
    Source,
)

START = 1_700_000_000.0
DAY = 86400.0
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
SOURCE = Source("ct1", "CT1", ("10.0.0.0/8",), host="ct1", commitment_within=DAY)
COMMITS = Destination("pacs", "PACS", "h", 1, commitment=True)
READ_BACK = Destination("pacs", "PACS", "h", 1, readback=0.02)
PLAIN = Destination("pacs", "PACS", "h", 1)
PEER = Peer("CT1", "SEALNODE", "10.0.0.1", "ct1")


class World:
    """A ledger, a source that hears what it is told, and the loop that tells it."""

    def __init__(self):
        self.now = START
        self.heard = []
        self.answer = 0x0000
        self.ledger = MemoryLedger(clock=lambda: self.now)
        self.requests = Requests(ledger=self.ledger, pseudonym=lambda uid: f"P{uid}")
        self.reporter = Reporter(
            ledger=self.ledger, sources={"ct1": SOURCE}, destinations={"pacs": COMMITS},
            deliver=self.deliver, pseudonym=lambda uid: f"P{uid}", chance=lambda: 0.5,
            clock=lambda: self.now, monotonic=lambda: self.now,
        )  # fmt: skip

    def deliver(self, source, report):
        if isinstance(self.answer, Exception):
            raise self.answer
        self.heard.append((source.name, report))
        return self.answer

    def receive(self, uid, *, blob="a" * 64, peer=PEER):
        route = Route("ct", {}, Action.SEAL, ("pacs",))
        instance = Instance(CT, uid, "1.1", "1.2", "1.3", blob, 9, peer=peer)
        return self.ledger.accept(instance, Decision(route, Action.SEAL, ()), Event("a")).entry

    def send(self, **wanted):
        """Have what was received sealed and sent, under another UID."""
        for claim in self.ledger.claim_entries("p", limit=9, lease=60):
            self.ledger.ready(
                claim, "b" * 64, sop_class_uid=CT,
                sop_instance_uid=f"{claim.entry.instance.sop_instance_uid}.9",
                transfer_syntax_uid="1.3", event=Event("sealed"),
            )  # fmt: skip
        for claim in self.ledger.claim_deliveries("f", "pacs", limit=9, lease=60):
            self.ledger.settle(claim, DeliveryState.SENT, "", Event("sent"), **wanted)

    def commit(self, *uids):
        claims = self.ledger.claim_commitments("c", "pacs", limit=9, lease=60)
        self.ledger.asking(claims, "2.25.1", 60.0, Event("asked"))
        rulings = {f"{uid}.9": Ruling(Event("committed")) for uid in uids}
        assert self.ledger.rule("pacs", "2.25.1", rulings) == len(uids)

    def ask(self, *uids, transaction="7.7", sop_class=CT):
        return self.requests.take(PEER, transaction, tuple((sop_class, uid) for uid in uids))

    def told(self, seconds=0.0):
        """Return what the source hears in so many seconds: what is committed, what failed."""
        end, self.heard = self.now + seconds, []
        self.reporter.step()
        while not self.heard and self.now < end:
            self.now = min(self.now + 5, end)
            self.reporter.step()
        if not self.heard:
            return None
        [(_, report)] = self.heard
        failed = {uid: reason for _, uid, reason in report.failed}
        return [uid for _, uid in report.committed], failed

    def events(self):
        return [event.event for _, _, event in self.ledger.outbox(limit=1000)]


@pytest.fixture
def world():
    return World()


def test_a_source_hears_when_the_pacs_has_committed_to_all_under_the_uids_it_sent(world):
    world.receive("1.1")
    world.receive("1.2")
    assert world.ask("1.1", "1.2") == 0x0000
    assert world.told(60) is None, "not sent"
    world.send(commit_in=0.0)
    assert world.told(60) is None, "not committed"
    world.commit("1.1", "1.2")
    assert world.told(300) == (["1.1", "1.2"], {})
    assert world.told(DAY) is None, "once"
    assert world.events()[-1] == "commitment_answered"
    assert world.ledger.owed().unreported == {}


def test_after_a_day_it_hears_what_is_not_safe(world):
    world.receive("1.1")
    world.send(commit_in=0.0)
    world.commit("1.1")
    world.receive("1.2")
    world.ask("1.1", "1.2")
    assert world.told(DAY - 10) is None
    assert world.told(10) == (["1.1"], {"1.2": 0x0110})


def test_without_commitment_what_is_read_back_must_be_proved_at_once(world):
    world.reporter.destinations = {"pacs": READ_BACK}
    number = world.receive("1.1")
    world.send(readback_in=30 * DAY)
    world.ask("1.1")
    assert world.told() is None
    [claim] = world.ledger.claim_readbacks("v", "pacs", limit=1, lease=60)
    assert claim.delivery.entry == number
    finding = Finding("pacs", "CT", "INTACT")
    world.ledger.judge(claim, DeliveryState.VERIFIED, "", finding, Event("read_back"))
    assert world.told(60) == (["1.1"], {})


def test_without_either_delivery_is_enough(world):
    world.reporter.destinations = {"pacs": PLAIN}
    world.receive("1.1")
    world.send()
    world.ask("1.1")
    assert world.told() == (["1.1"], {})


def test_what_was_sent_before_commitment_was_wanted_need_not_wait_for_it(world):
    world.receive("1.1")
    world.send()
    world.ask("1.1")
    assert world.told() == (["1.1"], {})


def test_what_it_never_sent_does_not_exist_and_what_is_no_storage_is_not_supported(world):
    world.ask("1.1")
    assert world.told() == ([], {"1.1": 0x0112})
    world.ask("1.1", sop_class="1.2.3")
    assert world.told() == ([], {"1.1": 0x0122})


def test_another_class_than_it_was_sent_with_is_a_conflict(world):
    world.receive("1.1")
    world.send(commit_in=0.0)
    world.commit("1.1")
    world.ask("1.1", sop_class=MR)
    assert world.told() == ([], {"1.1": 0x0119})


def test_of_two_objects_under_one_uid_the_worse_counts_unless_it_was_thrown_away(world):
    world.receive("1.1")
    world.send(commit_in=0.0)
    world.commit("1.1")
    other = world.receive("1.1", blob="c" * 64)
    assert world.ledger.get(other)[0].state is EntryState.PARKED
    world.ask("1.1")
    assert world.told(3600) is None
    world.ledger.discard(other, "by_hand", Event("discarded"))
    assert world.told(3600) == (["1.1"], {})


def test_what_somebody_else_sent_under_its_uid_is_of_no_concern(world):
    world.receive("1.1")
    world.send(commit_in=0.0)
    world.commit("1.1")
    world.receive("1.1", blob="c" * 64, peer=replace(PEER, source="mr1"))
    world.ask("1.1")
    assert world.told() == (["1.1"], {})


def test_a_modality_may_ask_under_another_ae_title(world):
    world.receive("1.1", peer=replace(PEER, source="mr1"))
    world.send(commit_in=0.0)
    world.commit("1.1")
    world.ask("1.1")
    assert world.told() == (["1.1"], {})


def test_what_was_thrown_away_is_not_there(world):
    world.ledger.discard(world.receive("1.1"), "by_hand", Event("discarded"))
    world.ask("1.1")
    assert world.told() == ([], {"1.1": 0x0112})


def test_what_is_held_is_not_safe(world):
    instance = Instance(CT, "1.1", "1.1", "1.2", "1.3", "a" * 64, 9, peer=PEER)
    world.ledger.accept(instance, Decision(None, Action.HOLD, ()), Event("no route, no delivery"))
    world.ask("1.1")
    assert world.told(2 * DAY) == ([], {"1.1": 0x0110})


def test_the_same_request_again_is_one_and_another_under_its_uid_is_refused(world):
    world.receive("1.1")
    assert world.ask("1.1") == 0x0000
    assert world.ask("1.1") == 0x0000
    assert world.ask("1.2") == 0x0131
    world.send(commit_in=0.0)
    world.commit("1.1")
    assert world.told(60) == (["1.1"], {})
    assert world.ask("1.1") == 0x0000, "what is over may be asked anew"
    assert world.told() == (["1.1"], {})


@pytest.mark.parametrize("trouble", [UnreachableError("away"), 0x0110, 0x0211])
def test_a_report_is_tried_until_it_arrives(world, trouble):
    world.reporter.destinations = {"pacs": PLAIN}
    world.receive("1.1")
    world.send()
    world.ask("1.1")
    world.answer = trouble
    world.told()
    [promise] = world.ledger._promises.values()
    assert promise.promise.attempts == 1
    world.answer = 0x0000
    assert world.told(60) == (["1.1"], {})


def test_a_report_that_never_arrives_is_given_up_with_an_alarm(world):
    world.ask("1.1")
    world.answer = UnreachableError("away")
    world.told(REPORT_SECONDS)
    assert world.ledger.owed().unreported
    world.told(2 * DAY)
    assert not world.ledger.owed().unreported
    assert world.events()[-1] == "commitment_answer_given_up"


def test_a_source_that_is_gone_from_the_configuration_is_not_forgotten_at_once(world):
    world.ask("1.1")
    world.reporter.sources = {}
    assert world.told(DAY) is None
    world.reporter.sources = {"ct1": SOURCE}
    assert world.told(DAY) == ([], {"1.1": 0x0112})


def test_one_source_that_is_away_is_called_once_for_all_its_requests(world):
    for number in range(5):
        world.ask(f"1.{number}", transaction=f"7.{number}")
    world.answer = UnreachableError("away")
    calls = []
    world.reporter.deliver = lambda *given: (calls.append(given), world.deliver(*given))
    assert world.reporter.step() == 5
    assert len(calls) == 1
