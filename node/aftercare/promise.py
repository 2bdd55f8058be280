"""Stage 1 and 3 for sources that ask for Storage Commitment: requests kept, and answered.

A source is told that an object is safe only when every destination of its
route has it for good: committed where commitment is asked for, else verified
where it is read back, else delivered; and what was sent restores to the
original, which stage 2 proved before it was sent. Until then the source waits;
after ``commitment_within`` it hears which objects are not safe.

UIDs meet here: sources speak of instances as they were received, destinations
of instances as they were sent; an entry of the ledger knows both.

SECURITY: holds no keys. UIDs go back only to who sent them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from node import retry
from node.dicom import commitment as wire
from node.dicom import contexts, status
from node.dicom.commitment import Report
from node.dicom.requestor import NoContextError, PeerRejectedError
from node.errors import UnreachableError
from node.failpoint import reach
from node.spool.commitment import CONFLICT
from node.types import Delivered, DeliveryState, EntryState, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from node.spool.base import Ledger
    from node.spool.commitment import Promise
    from node.types import Delivery, Destination, Peer, Source, SpoolEntry

    Facts = dict[str, str | int | float]

BATCH = 50  # promises looked at in one step
SOONEST_SECONDS = 5.0  # until a promise that is not kept is looked at again
LATEST_SECONDS = 300.0
REPORT_SECONDS = 7 * 86400.0  # for which a report is tried to be delivered
WAITS = -1  # neither committed nor failed

log = structlog.get_logger()


@dataclass(kw_only=True)
class Requests:
    """Takes what sources ask; for any process and thread."""

    ledger: Ledger
    pseudonym: Callable[[str], str]

    def take(
        self, peer: Peer, transaction_uid: str, references: tuple[tuple[str, str], ...]
    ) -> int:
        """Keep a request; return the status to answer.

        The same request again is the same request: its answer may have been
        lost. Another one under its transaction UID is refused, 0131H.
        """
        facts: Facts = {"source": peer.source, "count": len(references)}
        event = Event(
            "commitment_requested",
            object=self.pseudonym(transaction_uid),
            actor=peer.calling_aet,
            facts=facts,
        )
        kind = self.ledger.promise(peer.source, transaction_uid, references, event)
        log.info("commitment_requested", source=peer.source, count=len(references), kind=kind)
        return wire.DUPLICATE_TRANSACTION if kind == CONFLICT else status.SUCCESS


@dataclass(kw_only=True)
class Reporter:
    """The loop that answers sources.

    :param deliver: reports to a source; returns the status that it answers.
    :param chance: gives random numbers in [0, 1), for jitter.
    :param monotonic: seconds, for the breakers.
    """

    ledger: Ledger
    sources: Mapping[str, Source]
    destinations: Mapping[str, Destination]
    deliver: Callable[[Source, Report], int]
    pseudonym: Callable[[str], str]
    chance: Callable[[], float]
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    _breakers: dict[str, retry.Breaker] = field(default_factory=dict)

    def step(self) -> int:
        """Look at what is due; return at how many promises."""
        promises = self.ledger.promises(limit=BATCH)
        for promise in promises:
            self._look(promise)
        return len(promises)

    def _look(self, promise: Promise) -> None:
        source = self.sources.get(promise.source)
        age = self.clock() - promise.since
        within = source.commitment_within if source else 0.0
        if source is None or not source.host:
            self._again(promise, "no_source", age > REPORT_SECONDS, retry.CAP)
            return
        breaker = self._breakers.setdefault(source.name, retry.Breaker(self.monotonic, self.chance))
        if breaker.open:
            self.ledger.put_off(promise.id, breaker.remaining)
            return
        found = {
            instance: self.standing(source.name, sop_class, instance)
            for sop_class, instance in promise.references
        }
        if WAITS in found.values() and age < within:
            delay = min(max(age / 4, SOONEST_SECONDS), LATEST_SECONDS, within - age)
            self.ledger.put_off(promise.id, delay)
            return
        trouble = self._report(source, promise, found)
        if trouble:
            breaker.failed()
            delay = max(breaker.remaining, retry.delay(promise.attempts + 1, self.chance()))
            self._again(promise, trouble, age > within + REPORT_SECONDS, delay)
        else:
            breaker.succeeded()

    def _report(self, source: Source, promise: Promise, found: dict[str, int]) -> str:
        """Report what was found; return what is in the way, or ``""``."""
        failed = tuple(
            (sop_class, instance, wire.PROCESSING_FAILURE if reason == WAITS else reason)
            for sop_class, instance in promise.references
            if (reason := found[instance])
        )
        committed = tuple(pair for pair in promise.references if not found[pair[1]])
        try:
            value = self.deliver(source, Report(promise.transaction_uid, committed, failed))
        except (UnreachableError, PeerRejectedError, NoContextError) as error:
            return error.code
        if not isinstance(status.outcome(value), Delivered):
            return f"status_{value:04x}"
        reach("commitment.reported")
        facts: Facts = {"count": len(committed), "failed": len(failed)}
        reasons = ",".join(sorted({f"{reason:04X}H" for _, _, reason in failed}))
        event = self._event("commitment_answered", promise, facts | {"reason": reasons})
        self.ledger.keep_promise(promise.id, event)
        log.info(
            "commitment_answered", source=source.name, count=len(committed), failed=len(failed)
        )
        return ""

    def _again(self, promise: Promise, trouble: str, give_up: bool, delay: float) -> None:  # noqa: FBT001
        if not give_up:
            self.ledger.put_off(promise.id, delay, tried=True)
            log.warning(
                "commitment_answer_deferred", source=promise.source, code=trouble,
                attempts=promise.attempts + 1, delay=round(delay),
            )  # fmt: skip
            return
        event = self._event("commitment_answer_given_up", promise, {"reason": trouble})
        self.ledger.keep_promise(promise.id, event)
        log.error("commitment_answer_given_up", source=promise.source, code=trouble)

    def standing(self, source: str, sop_class_uid: str, sop_instance_uid: str) -> int:
        """Return 0 if an instance, named as received, is safe, ``WAITS``, or a Failure Reason.

        What the source sent itself counts; where it sent nothing under this
        UID, what others sent (a modality may ask under another AE title). Of
        several objects under one UID the one that stands worst counts, since
        nobody can tell which is meant.
        """
        entries = [
            entry
            for entry in self.ledger.find(sop_instance_uid)
            if entry.state is not EntryState.DISCARDED
            and entry.instance.sop_instance_uid == sop_instance_uid  # found by either name
        ]
        if not entries:
            known = sop_class_uid in contexts.STORAGE_CLASSES
            return wire.NO_SUCH_INSTANCE if known else wire.CLASS_NOT_SUPPORTED
        own = [entry for entry in entries if entry.instance.peer.source == source] or entries
        found = {self._standing(entry, sop_class_uid) for entry in own}
        return max(found, key=lambda word: (word > 0, word == WAITS))

    def _standing(self, entry: SpoolEntry, sop_class_uid: str) -> int:
        if entry.instance.sop_class_uid != sop_class_uid:
            return wire.CONFLICT
        if entry.state is not EntryState.DONE:
            return WAITS
        _, deliveries = self.ledger.get(entry.id)
        # a list: each that is to be read back is to be told so
        safe = [self._safe(delivery) for delivery in deliveries]
        return 0 if all(safe) else WAITS

    def _safe(self, delivery: Delivery) -> bool:
        destination = self.destinations.get(delivery.destination)
        if delivery.committed_at is not None:
            return True
        if destination is None:  # it was delivered to what is configured no more
            return delivery.state in {DeliveryState.SENT, DeliveryState.VERIFIED}
        if destination.commitment and delivery.commit_at is not None:
            return False
        if destination.readback and destination.enabled:
            if delivery.state is DeliveryState.SENT:
                self.ledger.hasten(delivery.id)
            return delivery.state is DeliveryState.VERIFIED
        return delivery.state in {DeliveryState.SENT, DeliveryState.VERIFIED}

    def _event(self, name: str, promise: Promise, facts: Facts) -> Event:
        return Event(
            name,
            object=self.pseudonym(promise.transaction_uid),
            actor="forward",
            outcome="success" if name == "commitment_answered" else "failure",
            facts={"source": promise.source, "attempts": promise.attempts + 1, **facts},
        )
