"""Stage 3: claim a delivery -> C-STORE out -> Outcome -> settle.

One :class:`Forwarder` for each thread; a destination that is down costs one
probe in each period of its breaker and delays no other destination.

SECURITY: fails closed. What is sent is the blob that stage 2 put into the
delivery, after its digest was compared and ``proved`` had nothing against it.
"""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Protocol

import structlog

from node import retry
from node.dicom.requestor import PeerRejectedError
from node.dicom.scu import UnansweredError
from node.dicom.sending import Outgoing
from node.errors import DamagedError, StaleClaimError, UnreachableError, UnsealedError
from node.failpoint import reach
from node.spool.base import Sent
from node.types import Deferred, Delivered, DeliveryState, Event, Refused
from node.worker import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from node.spool.base import BlobStore, DeliveryClaim, Ledger
    from node.types import Delivery, Destination, Outcome

WHOLE = 16 << 20  # bytes of an object that is read once, for its digest and for the network
SETTLE_SECONDS = 0.1  # how long what arrived may wait for others, to be settled in one transaction
CHUNK = 1 << 20  # bytes of a bigger one that are read at once for its digest
# C-STORE priority (PS3.7 9.3.1.1: 0 medium, 1 high, 2 low) by the spool's 0 routine, 1 high, 2 STAT
PRIORITIES = {0: 0, 1: 1, 2: 1}

_log = structlog.get_logger()


TROUBLES = 3  # so many in a row without an answer, and the destination is given a rest


class Sender(Protocol):
    """What :class:`node.dicom.base.Sender` is, and promises."""

    def expect(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Say which (SOP class, transfer syntax) will be sent next."""
        ...

    def send(self, item: Outgoing, *, alive: Callable[[], None] = ...) -> Outcome:
        """Send one object and return what became of it."""
        ...

    def idle(self) -> None:
        """Give up what was not used for a while."""
        ...

    def close(self) -> None:
        """Give up everything."""
        ...


@dataclass
class _Lane:
    """What a forwarder knows of one destination.

    :param troubles: deferrals since the last object that was taken or refused.
    """

    destination: Destination
    sender: Sender
    breaker: retry.Breaker
    troubles: int = 0

    def trip(self) -> None:
        """Give the destination a rest."""
        self.breaker.failed()

    def stumble(self) -> None:
        """Note that an object was deferred; after a few, give the destination a rest."""
        self.troubles += 1
        if self.troubles >= TROUBLES:
            self.trip()

    def recover(self) -> None:
        """Note that the destination deals with objects."""
        self.troubles = 0
        self.breaker.succeeded()


class Forwarder:
    """Sends what is due.

    :param senders: makes the sender for a destination, on first use.
    :param proved: raises :class:`ProofError` for a delivery that must not leave.
    :param pseudonym: turns a UID into what events and logs may say.
    :param worker: the name under which rows are leased.
    :param clock: seconds since the epoch, by which deliveries age.
    :param monotonic: seconds, for leases and the breaker.
    :param chance: gives random numbers in [0, 1), for jitter.
    :param batch: rows on one lease.
    :param lease: seconds.
    :param admits: tells whether a destination may get anything yet.
    :param stopping: when it says true, what was claimed and not begun is given back.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        blobs: BlobStore,
        destinations: Mapping[str, Destination],
        senders: Callable[[Destination], Sender],
        proved: Callable[[Delivery], None],
        pseudonym: Callable[[str], str],
        worker: str,
        chance: Callable[[], float],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        batch: int = 64,
        lease: float = 300.0,
        stopping: Callable[[], bool] = lambda: False,
        admits: Callable[[Destination], bool] = lambda _: True,
    ) -> None:
        self.ledger = ledger
        self.blobs = blobs
        self.proved = proved
        self.admits = admits
        self.pseudonym = pseudonym
        self.chance = chance
        self.clock = clock
        self.monotonic = monotonic
        self.lease = lease
        self._destinations = destinations
        self._senders = senders
        self._worker = worker
        self._batch = batch
        self._stopping = stopping
        self._lanes: dict[str, _Lane] = {}
        self._renewed = 0.0
        self._arrived: list[Sent] = []
        self._first = 0.0

    def step(self, destination: str) -> int:
        """Send what is due to one destination; return on how many rows it worked.

        0 means that nothing is due, or that the destination is given a rest.
        """
        lane = self._lane(destination)
        if not lane.destination.enabled or lane.breaker.open or not self.admits(lane.destination):
            return 0
        claims = self.ledger.claim_deliveries(
            self._worker, destination, limit=self._batch, lease=self.lease
        )
        if not claims:
            lane.sender.idle()
            return 0
        self._renewed = self.monotonic()
        if lane.breaker.failures:
            # The first is a probe. What was tried least is tried first, so that an object
            # which the destination chokes on does not stand before all others.
            claims.sort(key=lambda claim: claim.delivery.attempts)
        lane.sender.expect(
            [(c.delivery.sop_class_uid, c.delivery.transfer_syntax_uid) for c in claims]
        )
        try:
            return self._work(lane, claims)
        finally:
            self._settle()

    def close(self) -> None:
        """Release every association."""
        for lane in self._lanes.values():
            lane.sender.close()

    def _work(self, lane: _Lane, claims: Sequence[DeliveryClaim]) -> int:
        for index, claim in enumerate(claims):
            rest = claims[index:]
            if self._stopping() or lane.breaker.open or not self._hold(rest):
                self.ledger.release(rest)
                return index
            guard(
                self.ledger,
                claim,
                partial(self._deliver, lane, rest),
                delay=partial(self._delay, lane, claim),
                describe=partial(self._event, claim),
            )
        return len(claims)

    def _lane(self, name: str) -> _Lane:
        if name not in self._lanes:
            destination = self._destinations[name]
            breaker = retry.Breaker(self.monotonic, self.chance)
            self._lanes[name] = _Lane(destination, self._senders(destination), breaker)
        return self._lanes[name]

    def _deliver(self, lane: _Lane, rest: Sequence[DeliveryClaim], claim: DeliveryClaim) -> None:
        """Send one object; settle its delivery, or note it for that.

        :raises TransientError: it must be sent again.
        :raises ProofError: it must not be sent.
        """
        reach("forward.claimed")
        try:
            outcome = self._send(lane, rest, claim.delivery)
        except DamagedError as error:
            self.ledger.remake(claim.delivery.entry, self._event(claim, "remade", error.code))
            return
        except UnsealedError as error:
            event = self._event(claim, "remade", error.code)
            self.ledger.remake(claim.delivery.entry, event, intact=True)
            _log.warning("remade", reason=error.code, **self._names(claim))
            return
        reach("forward.answered")
        match outcome:
            case Delivered(warning):
                lane.recover()
                reason = f"warning {warning:04X}H" if warning else ""
                event = self._event(claim, "delivery_sent", reason)
                readback = _readback_in(lane.destination, event.object)
                self._note(Sent(claim, reason, event, readback, _commit_in(lane.destination)))
            case Refused(reason):
                if not lane.breaker.open:
                    lane.recover()
                event = self._event(claim, "delivery_parked", reason)
                self.ledger.settle(claim, DeliveryState.PARKED, reason, event)
                _log.error("delivery_parked", reason=reason, **self._names(claim))
            case Deferred(reason):
                lane.stumble()
                raise UnreachableError("the destination cannot take it now", code=reason)

    def _note(self, arrived: Sent) -> None:
        """Settle it soon, together with others; a crash before has the same bytes sent again."""
        if not self._arrived:
            self._first = self.monotonic()
        self._arrived.append(arrived)
        self._settle_overdue()

    def _settle_overdue(self) -> None:
        if self._arrived and self.monotonic() - self._first >= SETTLE_SECONDS:
            self._settle()

    def _settle(self) -> None:
        arrived, self._arrived = self._arrived, []
        if not arrived:
            return
        lost = self.ledger.settle_sent(arrived)
        reach("forward.settled")
        for one in arrived:
            if one.claim in lost:
                _log.warning("lease_lost", **self._names(one.claim))
            else:
                _log.info("delivery_sent", object=one.event.object, **self._names(one.claim))

    def _send(self, lane: _Lane, rest: Sequence[DeliveryClaim], delivery: Delivery) -> Outcome:
        item = Outgoing(
            sop_class_uid=delivery.sop_class_uid,
            sop_instance_uid=delivery.sop_instance_uid,
            transfer_syntax_uid=delivery.transfer_syntax_uid,
            open=partial(self._open, delivery),
            priority=PRIORITIES[delivery.priority],
        )
        try:
            return lane.sender.send(item, alive=partial(self._renew, rest))
        except PeerRejectedError as error:
            lane.trip()
            return error.outcome
        except UnansweredError:
            lane.stumble()
            raise
        except UnreachableError:
            lane.trip()
            raise

    def _open(self, delivery: Delivery) -> BinaryIO:
        """Open exactly the bytes that were proved.

        :raises ProofError: they must not leave.
        :raises UnsealedError: they must be sealed first.
        :raises DamagedError: they are gone, or no longer the same.
        """
        self.proved(delivery)
        reach("forward.proved")
        try:
            file = self.blobs.open(delivery.blob)
        except KeyError as error:
            raise DamagedError("the object to send is gone", code="missing") from error
        if file.seek(0, io.SEEK_END) <= WHOLE:
            file.seek(0)
            with file:
                data = file.read()
            _compare(hashlib.sha256(data), delivery)
            return io.BytesIO(data)  # what was compared is what is sent
        file.seek(0)
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
        file.seek(0)
        _compare(digest, delivery)
        return file

    def _hold(self, claims: Sequence[DeliveryClaim]) -> bool:
        """Renew leases as :meth:`_renew` does; return whether they are still held."""
        try:
            self._renew(claims)
        except StaleClaimError:
            return False
        return True

    def _renew(self, claims: Sequence[DeliveryClaim]) -> None:
        """Extend the leases of what is not sent yet, when a third of the time is over."""
        self._settle_overdue()
        now = self.monotonic()
        if now - self._renewed > self.lease / 3:
            self.ledger.extend(claims, self.lease)
            self._renewed = now

    def _delay(self, lane: _Lane, claim: DeliveryClaim, attempts: int) -> float | None:
        age = self.clock() - claim.delivery.created_at
        if retry.give_up(age, lane.destination.give_up_after):
            return None
        return max(lane.breaker.remaining, retry.delay(attempts, self.chance()))

    def _event(self, claim: DeliveryClaim, name: str, reason: str) -> Event:
        delivery = claim.delivery
        facts: dict[str, str | int | float] = {
            "destination": delivery.destination,
            "entry": delivery.entry,
            "attempts": delivery.attempts,
            "reason": reason,
        }
        if delivery.share:
            facts["share"] = delivery.share
        return Event(
            name,
            object=self.pseudonym(delivery.sop_instance_uid),
            outcome="success" if name == "delivery_sent" else "failure",
            facts=facts,
        )

    def _names(self, claim: DeliveryClaim) -> dict[str, str | int]:
        delivery = claim.delivery
        return {
            "delivery": delivery.id,
            "destination": delivery.destination,
            "attempts": delivery.attempts,
        }


def _readback_in(destination: Destination, pseudonym: str) -> float | None:
    """Return the seconds until an object is read back, or None if it is not to be."""
    chosen = retry.chosen(pseudonym, destination.readback)
    return destination.readback_after if chosen else None


def _commit_in(destination: Destination) -> float | None:
    """Return the seconds until commitment is asked for, or None if it is not to be."""
    return destination.commitment_after if destination.commitment else None


def _compare(digest: hashlib._Hash, delivery: Delivery) -> None:
    if digest.hexdigest() != delivery.blob:
        raise DamagedError("the object to send has changed")
