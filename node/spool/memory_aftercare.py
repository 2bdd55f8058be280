"""What follows a delivery, in the ledger in memory."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from node.errors import StaleClaimError
from node.spool.aftercare import DAY_SECONDS, FARTHEST_SECONDS, Finding, Found
from node.spool.base import DeliveryClaim
from node.spool.tables import Tables
from node.types import DeliveryState, EntryState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from node.spool.tables import DeliveryItem
    from node.types import Event


class MemoryAftercare(Tables):
    """:class:`~node.spool.aftercare.Aftercare` in memory."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock=clock)
        self._findings: Counter[tuple[int, Finding]] = Counter()

    def claim_readbacks(
        self, worker: str, destination: str, *, limit: int, lease: float
    ) -> list[DeliveryClaim]:
        """Lease SENT deliveries of one destination that are due to be read back."""
        with self._lock:
            now = self._now()
            due = [
                (delivery.readback_at, delivery)
                for delivery in self._deliveries.values()
                if delivery.destination == destination
                and delivery.leased_until is None
                and delivery.readback_at is not None
                and not now < delivery.readback_at <= now + FARTHEST_SECONDS
            ]
            due.sort(key=lambda item: item[0])
            chosen = self._lease([delivery for _, delivery in due[:limit]], worker, lease)
            return [DeliveryClaim(d.shown(), d.token, d.crashes - 1) for d in chosen]

    def judge(
        self,
        claim: DeliveryClaim,
        state: DeliveryState,
        reason: str,
        finding: Finding,
        event: Event,
    ) -> None:
        """End a read-back as VERIFIED, PARKED, or PENDING: to be sent again."""
        with self._lock:
            self._fenced(claim)
            delivery = self._deliveries[claim.delivery.id]
            if delivery.readback_at is None:
                raise StaleClaimError("it is no longer to be read back")
            delivery.end(reason)
            delivery.state, delivery.readback_at = state, None
            if state is not DeliveryState.VERIFIED:
                delivery.forgo_commitment()
            if state is DeliveryState.PENDING:
                delivery.attempts, delivery.since = 0, self._now()
                delivery.lost += 1
                self._send_again(delivery)
            self._finish(delivery.entry)
            self._findings[self._today(), finding] += 1
            self.record(event)

    def count(self, findings: Mapping[Finding, int], event: Event) -> None:
        """Count what was found in objects that were not read back by a claim."""
        with self._lock:
            for finding, number in findings.items():
                self._findings[self._today(), finding] += number
            self.record(event)

    def found(self, *, since: float) -> list[Found]:
        """Return what was found on the day of ``since`` and later."""
        with self._lock:
            counted = [
                Found(day, finding, number)
                for (day, finding), number in self._findings.items()
                if day >= since // DAY_SECONDS
            ]
        return sorted(counted, key=_order)

    def _send_again(self, delivery: DeliveryItem) -> None:
        """Let a delivery be PENDING, or WAITING where its entry was stopped."""
        entry = delivery.entry
        if entry.state is EntryState.DONE:
            entry.state, entry.ended_at = EntryState.READY, None
        elif entry.state is not EntryState.READY:
            delivery.state = DeliveryState.WAITING

    def _today(self) -> int:
        return int(self._now() // DAY_SECONDS)


def _order(found: Found) -> tuple[int, str, str, str]:
    finding = found.finding
    return found.day, finding.destination, finding.modality, finding.verdict
