"""Stage 3, second half: what was delivered is asked about until the destination commits to keep it.

The report comes on the same association, or later on one that the destination
opens to the receiving process; either way it is matched by transaction UID and
is durable before it is answered. What the destination does not have is sent
again; what it will not keep, or does not speak about, waits for a person.

SECURITY: holds no keys. A transaction UID is random: who forges a report must
have seen the request.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import structlog

from node import retry
from node.dicom import commitment as wire
from node.dicom import status
from node.dicom.requestor import NoContextError, PeerRejectedError
from node.errors import StaleClaimError, UnreachableError
from node.failpoint import reach
from node.spool.commitment import Ruling
from node.types import DeliveryState, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from node.dicom.commitment import Report, Take
    from node.spool.base import DeliveryClaim, Ledger
    from node.types import Delivery, Destination

BATCH = 500  # instances in one request
LOST = 3  # so many times it was not there, and a person must look
TRIES = 3  # so often it is asked, however old the delivery
LONGEST_SECONDS = 86400.0  # between two requests about the same instance
PATIENCE_SECONDS = 300.0  # in which an association that asks has surely ended
# What asking again may mend; a reason that the standard does not list is taken so, too
FOR_GOOD = frozenset({wire.CONFLICT, wire.CLASS_NOT_SUPPORTED})

log = structlog.get_logger()


class Asker(Protocol):
    """What :class:`node.dicom.commitment.CommitmentScu` is, and promises."""

    def ask(self, transaction_uid: str, references: Iterable[tuple[str, str]], take: Take) -> int:
        """Ask for commitment; return the status that was answered."""
        ...


@dataclass(kw_only=True)
class Reports:
    """Takes what destinations report; for any process and thread.

    :param pseudonym: turns a UID into what events and logs may say.
    :param chance: gives random numbers in [0, 1), for jitter.
    """

    ledger: Ledger
    pseudonym: Callable[[str], str]
    chance: Callable[[], float]
    clock: Callable[[], float] = time.time

    def take(self, destination: Destination, report: Report) -> None:
        """Let what a destination says come true; what is unknown, or over, changes nothing.

        An instance in both lists has failed; one in neither is asked about again.
        """
        waiting = self.ledger.transaction(destination.name, report.transaction_uid)
        failed = {instance: reason for _, instance, reason in report.failed}
        committed = {instance for _, instance in report.committed}
        rulings: dict[str, Ruling] = {}
        for delivery in waiting:
            uid = delivery.sop_instance_uid
            if uid in failed:
                rulings[uid] = self._failed(destination, delivery, failed[uid])
            elif uid in committed:
                rulings[uid] = Ruling(self.event("instance_committed", delivery))
        number = self.ledger.rule(destination.name, report.transaction_uid, rulings)
        reach("commitment.ruled")
        if not number:
            # A report that was taken and not answered comes again: no alarm, and no refusal.
            log.warning("commitment_report_unmatched", destination=destination.name)
            return
        level = "error" if failed else "info"
        getattr(log, level)(
            "commitment_reported", destination=destination.name, count=number, failed=len(failed)
        )

    def _failed(self, destination: Destination, delivery: Delivery, code: int) -> Ruling:
        reason = f"commitment {code:04X}H: {wire.REASONS.get(code, 'unknown reason')}"
        missing = code == wire.NO_SUCH_INSTANCE
        if missing and delivery.lost < LOST:
            event = self.event("commitment_missing", delivery, reason)
            return Ruling(event, DeliveryState.PENDING, reason)
        event = self.event("commitment_refused", delivery, reason)
        if missing or code in FOR_GOOD or too_old(destination, delivery, self.clock()):
            return Ruling(event, DeliveryState.PARKED, reason)
        delay = retry.delay(delivery.asked, self.chance())
        return Ruling(event, DeliveryState.SENT, reason, delay)

    def event(self, name: str, delivery: Delivery, reason: str = "") -> Event:
        """Return what the audit log is told of one instance."""
        return Event(
            name,
            object=self.pseudonym(delivery.sop_instance_uid),
            outcome="failure" if reason else "success",
            facts={
                "destination": delivery.destination,
                "entry": delivery.entry,
                "attempts": delivery.asked,
                "reason": reason,
            },
        )


@dataclass(kw_only=True)
class Commitment:
    """The loop for one destination.

    :param transaction: makes a transaction UID that nobody can foresee.
    :param worker: names this process in leases.
    :param monotonic: seconds, for the breaker.
    """

    ledger: Ledger
    destination: Destination
    asker: Asker
    reports: Reports
    transaction: Callable[[], str]
    worker: str
    lease: float = 300.0
    monotonic: Callable[[], float] = time.monotonic
    _breaker: retry.Breaker = field(init=False)

    def __post_init__(self) -> None:
        self._breaker = retry.Breaker(self.monotonic, self.reports.chance)

    def step(self) -> int:
        """Ask about what is due, in one request; return about how many instances."""
        if self._breaker.open:
            return 0
        claims = self.ledger.claim_commitments(
            self.worker, self.destination.name, limit=BATCH, lease=self.lease
        )
        if not claims:
            return 0
        uid, asked = self.transaction(), 1 + max(claim.delivery.asked for claim in claims)
        wait = self.destination.commitment_wait
        # Until it is known that the request was taken: were this process to die, ask again soon.
        soon = PATIENCE_SECONDS + wait + retry.delay(asked, self.reports.chance())
        count = len(claims)
        try:
            self.ledger.asking(claims, uid, soon, self._event("commitment_asked", uid, count))
        except StaleClaimError:
            self.ledger.release(claims)
            return count
        reach("commitment.asking")
        references = self._give_up(uid, claims)
        if references:
            self._ask(uid, references, asked)
        return count

    def _give_up(
        self, transaction_uid: str, claims: Sequence[DeliveryClaim]
    ) -> list[tuple[str, str]]:
        """Park what was asked for too long; return what is left to ask about."""
        references, given_up = [], {}
        for claim in claims:
            delivery = claim.delivery
            said = delivery.reason if delivery.reason.startswith("commitment ") else ""
            reason = said or "commitment unanswered"
            if too_old(self.destination, delivery, self.reports.clock()):
                event = self.reports.event("commitment_given_up", delivery, reason)
                given_up[delivery.sop_instance_uid] = Ruling(event, DeliveryState.PARKED, reason)
            else:
                references.append((delivery.sop_class_uid, delivery.sop_instance_uid))
        if given_up:
            self.ledger.rule(self.destination.name, transaction_uid, given_up)
            log.error("commitment_given_up", destination=self.destination.name, count=len(given_up))
        return references

    def _ask(self, uid: str, references: list[tuple[str, str]], asked: int) -> None:
        """Send the request; when it was taken, wait for the report as long as is configured."""
        try:
            answered = self.asker.ask(uid, references, self._take)
        except (UnreachableError, PeerRejectedError, NoContextError) as error:
            trouble = error.code
        else:
            if answered == status.SUCCESS:
                self._breaker.succeeded()
                patience = self.destination.commitment_within * 2.0 ** min(asked - 1, 8)
                self.ledger.await_report(
                    uid, min(patience, max(LONGEST_SECONDS, self.destination.commitment_within))
                )
                log.info(
                    "commitment_asked", destination=self.destination.name, count=len(references)
                )
                return
            trouble = f"status_{answered:04x}"
        delay = self._breaker.failed()
        # The transaction stands: the request may have arrived, and a report may yet come.
        self.ledger.await_report(uid, max(delay, retry.delay(asked, self.reports.chance())))
        self.ledger.record(self._event("commitment_deferred", uid, len(references), trouble))
        log.warning(
            "commitment_deferred",
            destination=self.destination.name, count=len(references), code=trouble, delay=delay,
        )  # fmt: skip

    def _take(self, report: Report) -> None:
        self.reports.take(self.destination, report)

    def _event(self, name: str, transaction_uid: str, count: int, reason: str = "") -> Event:
        return Event(
            name,
            object=self.reports.pseudonym(transaction_uid),
            actor="forward",
            outcome="failure" if reason else "success",
            facts={"destination": self.destination.name, "count": count, "reason": reason},
        )


def too_old(destination: Destination, delivery: Delivery, now: float) -> bool:
    """Tell whether a delivery was asked about long and often enough."""
    age = now - delivery.created_at
    return delivery.asked >= TRIES and retry.give_up(age, destination.give_up_after)
