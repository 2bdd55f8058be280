"""Stage 3: what becomes of a delivery."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import replace

import pytest
from archive import Archive
from network import CT, EXPLICIT_LE, dataset_bytes, requestor, sample
from structlog.testing import capture_logs

from node import retry
from node.dicom.reader import part10_header
from node.dicom.requestor import PeerRejectedError
from node.dicom.scu import StorageScu, UnansweredError
from node.errors import ProofError, UnreachableError, UnsealedError
from node.forward import TROUBLES, Forwarder
from node.spool.buffers import MemoryBlobs
from node.spool.memory import MemoryLedger
from node.types import (
    Action,
    Decision,
    Deferred,
    Delivered,
    DeliveryState,
    Destination,
    EntryState,
    Event,
    Instance,
    Peer,
    Refused,
    Route,
)

PACS = Destination("pacs", "ARCHIVE", "127.0.0.1", 1, give_up_after=7 * 86400.0)
BACKUP = replace(PACS, name="backup")
START = 1_700_000_000.0


class Script:
    """A sender that does what it is told to: outcomes, or errors to raise."""

    def __init__(self, *acts: object) -> None:
        self.acts = deque(acts)
        self.sent: list[bytes] = []
        self.expected: list[tuple[str, str]] = []
        self.idled = self.closed = 0
        self.during = lambda _: None

    def expect(self, pairs):
        self.expected = list(pairs)

    def send(self, item, *, alive=lambda: None):
        act = self.acts.popleft() if self.acts else Delivered()
        if isinstance(act, UnansweredError) or not isinstance(act, Exception):
            with item.open() as file:
                self.sent.append(file.read())
            self.during(alive)
        if isinstance(act, Exception):
            raise act
        return act

    def idle(self):
        self.idled += 1

    def close(self):
        self.closed += 1


class Node:
    """A ledger with deliveries that are due, and a forwarder that sends them by script."""

    def __init__(self, *acts: object, **settings: object) -> None:
        self.now = START
        self.ledger = MemoryLedger(clock=lambda: self.now)
        self.blobs = MemoryBlobs()
        self.pacs, self.backup = Script(*acts), Script()
        self.proved = []
        self.forwarder = Forwarder(
            ledger=self.ledger,
            blobs=self.blobs,
            destinations={"pacs": PACS, "backup": BACKUP, "off": replace(PACS, enabled=False)},
            senders=lambda there: self.pacs if there.name == "pacs" else self.backup,
            proved=lambda delivery: self.proved.append(delivery.id),
            pseudonym=lambda uid: "p" + uid[-4:],
            worker="w",
            chance=lambda: 0.5,
            clock=lambda: self.now,
            monotonic=lambda: self.now,
            **settings,
        )

    def add(self, number: int, *to: str, data: bytes = b"") -> int:
        """Spool an object that is ready to be sent."""
        uid = f"1.2.3.{number}"
        sealed = part10_header(CT, uid, EXPLICIT_LE) + (data or f"object {number}".encode())
        with self.blobs.put() as incoming:
            incoming.write(sealed)
            blob = incoming.commit()
        route = Route("r", {}, Action.SEAL, to or ("pacs",))
        instance = Instance(
            CT, uid, "1.2.1", "1.2.2", EXPLICIT_LE, "f" * 64, 1, {}, Peer("", "", "")
        )
        accepted = self.ledger.accept(instance, Decision(route, Action.SEAL, ()), Event("x"))
        claim = self.ledger.claim_entries("p", limit=1, lease=60)[0]
        self.ledger.ready(
            claim,
            blob,
            sop_class_uid=CT,
            sop_instance_uid=uid,
            transfer_syntax_uid=EXPLICIT_LE,
            event=Event("ready"),
        )
        return accepted.entry

    def delivery(self, entry: int, destination: str = "pacs"):
        found = self.ledger.get(entry)[1]
        return next(delivery for delivery in found if delivery.destination == destination)

    @property
    def events(self) -> list[Event]:
        return [e for _, _, e in self.ledger.outbox(limit=1000) if e.event.startswith("delivery")]


def test_what_is_due_is_sent_byte_for_byte_and_settled():
    node = Node()
    entries = [node.add(n) for n in range(3)]
    assert node.forwarder.step("pacs") == 3
    assert [data[-8:] for data in node.pacs.sent] == [b"object 0", b"object 1", b"object 2"]
    for entry in entries:
        assert node.delivery(entry).state is DeliveryState.SENT
        assert node.ledger.get(entry)[0].state is EntryState.DONE
    assert node.pacs.expected == [(CT, EXPLICIT_LE)] * 3
    assert node.forwarder.step("pacs") == 0
    assert node.pacs.idled == 1


def test_what_arrives_in_a_moment_is_settled_together():
    node = Node()
    entries = [node.add(n) for n in range(3)]
    together = []
    settle = node.ledger.settle_sent
    node.ledger.settle_sent = lambda arrived: together.append(len(arrived)) or settle(arrived)

    node.forwarder.step("pacs")

    assert together == [3]
    assert {node.delivery(entry).state for entry in entries} == {DeliveryState.SENT}


def test_what_has_arrived_does_not_wait_for_a_long_transfer_to_end():
    node = Node()
    first, second = node.add(1), node.add(2)
    seen = []

    def during(alive):
        if len(node.pacs.sent) == 2:
            node.now += 1
            alive()
            seen.append(node.delivery(first).state)

    node.pacs.during = during
    node.forwarder.step("pacs")

    assert seen == [DeliveryState.SENT]
    assert node.delivery(second).state is DeliveryState.SENT


def test_a_warning_counts_as_sent_and_is_remembered():
    node = Node(Delivered(warning=0xB007))
    entry = node.add(1)
    node.forwarder.step("pacs")
    assert node.delivery(entry).state is DeliveryState.SENT
    assert node.delivery(entry).reason == "warning B007H"


def test_a_refusal_parks_and_the_next_object_is_sent():
    node = Node(Refused("status C000H: cannot understand", 0xC000))
    bad, good = node.add(1), node.add(2)
    node.forwarder.step("pacs")
    assert node.delivery(bad).state is DeliveryState.PARKED
    assert node.delivery(bad).reason == "status C000H: cannot understand"
    assert node.delivery(good).state is DeliveryState.SENT


def test_a_deferral_is_tried_again_after_its_delay_and_not_before():
    node = Node(Deferred("status A700H"))
    entry = node.add(1)
    node.forwarder.step("pacs")
    assert node.delivery(entry).state is DeliveryState.PENDING
    assert node.delivery(entry).reason == "status A700H"
    node.now += retry.FIRST - 1
    assert node.forwarder.step("pacs") == 0
    node.now += 2
    assert node.forwarder.step("pacs") == 1
    assert node.delivery(entry).state is DeliveryState.SENT


def test_an_object_without_an_answer_is_sent_again_with_the_same_bytes():
    node = Node(UnansweredError("no answer", code="no_response"))
    entry = node.add(1)
    node.forwarder.step("pacs")
    node.now += retry.CAP
    node.forwarder.step("pacs")
    assert node.delivery(entry).state is DeliveryState.SENT
    assert node.pacs.sent[0] == node.pacs.sent[1]


def test_a_destination_that_is_down_is_called_once_for_the_whole_batch():
    down = UnreachableError("nobody there", code="connect")
    node = Node(down)
    entries = [node.add(n) for n in range(5)]
    assert node.forwarder.step("pacs") == 1
    assert node.pacs.sent == []
    assert len(node.pacs.acts) == 0
    first, *others = [node.delivery(entry) for entry in entries]
    assert (first.state, first.reason, first.attempts) == (DeliveryState.PENDING, "connect", 1)
    for delivery in others:
        assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 0)
    assert node.forwarder.step("pacs") == 0


def test_a_probe_risks_one_row_and_its_success_opens_the_way():
    down = UnreachableError("nobody there", code="connect")
    node = Node(down, down)
    entries = [node.add(n) for n in range(5)]
    node.forwarder.step("pacs")
    node.now += retry.FIRST + 1
    assert node.forwarder.step("pacs") == 1
    assert node.forwarder.step("pacs") == 0
    node.now += retry.CAP
    assert node.forwarder.step("pacs") == 5
    assert all(node.delivery(entry).state is DeliveryState.SENT for entry in entries)


def test_a_destination_that_is_down_delays_no_other():
    node = Node(UnreachableError("nobody there", code="connect"))
    entry = node.add(1, "pacs", "backup")
    node.forwarder.step("pacs")
    node.forwarder.step("backup")
    assert node.delivery(entry).state is DeliveryState.PENDING
    assert node.delivery(entry, "backup").state is DeliveryState.SENT


def test_a_destination_that_defers_everything_is_given_a_rest():
    node = Node(*[Deferred("status A700H")] * 9)
    for number in range(9):
        node.add(number)
    node.forwarder.step("pacs")
    assert len(node.pacs.sent) == TROUBLES
    assert node.forwarder.step("pacs") == 0


def test_one_poisonous_object_does_not_stop_the_others():
    node = Node()
    poison = node.add(0)
    others = [node.add(n) for n in range(1, 4)]
    node.pacs.acts = deque([UnansweredError("gone", code="closed")])
    node.forwarder.step("pacs")
    assert node.delivery(poison).state is DeliveryState.PENDING
    assert all(node.delivery(entry).state is DeliveryState.SENT for entry in others)


def test_objects_that_the_destination_chokes_on_do_not_stand_before_the_others():
    node = Node()
    poison = [node.add(n) for n in range(TROUBLES)]
    others = [node.add(n) for n in range(TROUBLES, TROUBLES + 4)]
    node.pacs.acts = deque([UnansweredError("gone", code="closed")] * TROUBLES)
    node.forwarder.step("pacs")
    assert node.forwarder.step("pacs") == 0
    node.pacs.acts = deque([Delivered()] * len(others) + [UnansweredError("gone", code="closed")])
    node.now += 2 * retry.FIRST
    node.forwarder.step("pacs")
    assert all(node.delivery(entry).state is DeliveryState.SENT for entry in others)
    assert all(node.delivery(entry).state is DeliveryState.PENDING for entry in poison[:1])


def test_a_permanent_rejection_parks_what_was_tried_and_spares_the_queue():
    rejected = PeerRejectedError(Refused("association rejected (1/1/7)"))
    node = Node(rejected, batch=2)
    first, second, third = (node.add(n) for n in range(3))
    node.forwarder.step("pacs")
    assert node.forwarder.step("pacs") == 0
    assert node.delivery(first).state is DeliveryState.PARKED
    assert node.delivery(second).state is DeliveryState.PENDING
    assert node.delivery(third).state is DeliveryState.PENDING


def test_a_transient_rejection_defers():
    node = Node(PeerRejectedError(Deferred("association rejected (2/3/2)")))
    entry = node.add(1)
    node.forwarder.step("pacs")
    assert node.delivery(entry).state is DeliveryState.PENDING


def test_giving_up_goes_by_age_and_parks():
    node = Node(*[Deferred("status A700H")] * 3)
    entry = node.add(1)
    node.now += 6 * 86400
    node.forwarder.step("pacs")
    assert node.delivery(entry).state is DeliveryState.PENDING
    node.now += 86400
    node.forwarder.step("pacs")
    assert node.delivery(entry).state is DeliveryState.PARKED


def test_a_destination_that_is_switched_off_waits():
    node = Node()
    assert node.forwarder.step("off") == 0


def test_a_destination_that_is_not_qualified_yet_waits_and_goes_on_when_it_is():
    node = Node()
    entry = node.add(1)
    node.forwarder.admits = lambda destination: destination.name != "pacs"
    assert node.forwarder.step("pacs") == 0
    assert node.delivery(entry).attempts == 0
    node.forwarder.admits = lambda _: True
    assert node.forwarder.step("pacs") == 1


# Fail closed ----------------------------------------------------------------


def test_what_is_not_proved_never_reaches_the_sender():
    node = Node()
    entry = node.add(1)

    def refuse(_):
        raise ProofError("an unprotected object must not leave", code="unprotected")

    node.forwarder.proved = refuse
    node.forwarder.step("pacs")
    assert node.pacs.sent == []
    assert node.delivery(entry).state is DeliveryState.PARKED
    assert node.delivery(entry).reason == "unprotected"


def test_what_may_no_longer_leave_unsealed_goes_back_to_be_sealed():
    node = Node()
    entry = node.add(1)

    def refuse(_):
        raise UnsealedError("an unprotected object must not leave", code="unprotected")

    node.forwarder.proved = refuse
    node.forwarder.step("pacs")
    assert node.pacs.sent == []
    assert node.ledger.get(entry)[0].state is EntryState.RECEIVED
    assert node.delivery(entry).state is DeliveryState.WAITING


def test_every_object_is_checked_before_it_is_opened():
    node = Node()
    entries = [node.add(n) for n in range(3)]
    node.forwarder.step("pacs")
    assert node.proved == [node.delivery(entry).id for entry in entries]


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_an_object_to_send_that_is_gone_or_changed_is_made_again_and_never_sent(how):
    node = Node()
    entry = node.add(1)
    blob = node.delivery(entry).blob
    if how == "gone":
        node.blobs.delete(blob)
    else:
        node.blobs._blobs[blob] = (b"other bytes", 0.0)
    node.forwarder.step("pacs")
    assert node.pacs.sent == []
    assert node.ledger.get(entry)[0].state is EntryState.RECEIVED
    assert node.delivery(entry).state is DeliveryState.WAITING


# Leases ---------------------------------------------------------------------


def test_a_lease_is_renewed_while_a_big_object_is_sent():
    node = Node(lease=60.0)
    entries = [node.add(n) for n in range(2)]

    def slowly(alive):
        for _ in range(20):
            node.now += 10
            alive()
            assert node.ledger.release_expired() == 0

    node.pacs.during = slowly
    node.forwarder.step("pacs")
    assert all(node.delivery(entry).state is DeliveryState.SENT for entry in entries)


def test_a_lost_lease_ends_the_work_without_a_word():
    node = Node(lease=60.0)
    entry = node.add(1)

    def overtaken(alive):
        node.now += 61
        node.ledger.release_expired()
        alive()

    node.pacs.during = overtaken
    node.forwarder.step("pacs")
    assert node.delivery(entry).state is DeliveryState.PENDING


def test_what_was_claimed_when_the_process_died_is_sent_after_a_restart():
    node = Node()
    entry = node.add(1)
    node.ledger.claim_deliveries("dead", "pacs", limit=9, lease=300)
    assert node.forwarder.step("pacs") == 0
    node.ledger.release_worker("dead")
    node.forwarder.step("pacs")
    assert node.delivery(entry).state is DeliveryState.SENT


def test_stopping_gives_back_what_was_not_begun():
    asked = []
    node = Node(stopping=lambda: asked.append(1) or len(asked) > 2)
    entries = [node.add(n) for n in range(5)]
    node.forwarder.step("pacs")
    assert len(node.pacs.sent) == 2
    assert [node.delivery(entry).attempts for entry in entries[2:]] == [0, 0, 0]
    assert node.ledger.release_worker("w") == 0


def test_closing_releases_every_association():
    node = Node()
    node.add(1)
    node.forwarder.step("pacs")
    node.forwarder.close()
    assert node.pacs.closed == 1


def test_events_say_what_happened_and_name_no_object():
    node = Node(Deferred("status A700H"), Refused("status C000H", 0xC000))
    for number in range(3):
        node.add(number)
    with capture_logs() as lines:
        node.forwarder.step("pacs")
    assert [(event.event, event.outcome) for event in node.events] == [
        ("delivery_deferred", "failure"),
        ("delivery_parked", "failure"),
        ("delivery_sent", "success"),
    ]
    assert "1.2.3." not in str(lines) + str(node.events)


def test_objects_travel_from_the_spool_to_an_archive(tmp_path):
    node = Node()
    node.add(1, data=dataset_bytes(sample()))
    with Archive(tmp_path) as archive:
        scu = StorageScu(requestor(archive.port, aet="ARCHIVE"))
        node.forwarder._senders = lambda _: scu
        assert node.forwarder.step("pacs") == 1
        node.forwarder.close()
    kept = archive.paths()[0]
    assert hashlib.sha256(dataset_bytes(kept)).digest() == (
        hashlib.sha256(dataset_bytes(sample())).digest()
    )
