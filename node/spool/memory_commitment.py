"""Storage Commitment in the ledger in memory."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from node.errors import StaleClaimError
from node.spool.aftercare import FARTHEST_SECONDS
from node.spool.base import DeliveryClaim
from node.spool.commitment import CONFLICT, NEW, REPEATED, Open, Owed, Promise
from node.spool.memory_aftercare import MemoryAftercare
from node.types import DeliveryState, EntryState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from node.spool.commitment import Ruling
    from node.spool.tables import DeliveryItem
    from node.types import Delivery, Event


@dataclass
class _Promised:
    promise: Promise
    due: float


class MemoryCommitments(MemoryAftercare):
    """:class:`~node.spool.commitment.Commitments` in memory."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock=clock)
        self._promises: dict[int, _Promised] = {}
        self._promise_ids = count(1)

    def claim_commitments(
        self, worker: str, destination: str, *, limit: int, lease: float
    ) -> list[DeliveryClaim]:
        """Lease deliveries of one destination for which commitment is to be asked."""
        with self._lock:
            due = [
                (delivery.commit_at, delivery)
                for delivery in self._deliveries.values()
                if delivery.destination == destination
                and delivery.leased_until is None
                and delivery.commit_at is not None
                and self._due(delivery.commit_at)
            ]
            due.sort(key=lambda item: item[0])
            chosen = self._lease([delivery for _, delivery in due[:limit]], worker, lease)
            return [DeliveryClaim(d.shown(), d.token, d.crashes - 1) for d in chosen]

    def asking(
        self, claims: Sequence[DeliveryClaim], transaction_uid: str, again_in: float, event: Event
    ) -> None:
        """Note, before it is asked, under which transaction; without a word it is due again."""
        with self._lock:
            for claim in claims:
                self._fenced(claim)
            found = [self._deliveries[claim.delivery.id] for claim in claims]
            if any(delivery.commit_at is None for delivery in found):
                raise StaleClaimError("commitment is no longer wanted")
            for delivery in found:
                delivery.end(delivery.reason)
                delivery.transaction_uid = transaction_uid
                delivery.asked += 1
                delivery.attempts = max(delivery.attempts - 1, 0)
                delivery.commit_at = self._now() + again_in
            self.record(event)

    def await_report(self, transaction_uid: str, seconds: float) -> None:
        """Wait so long for the report of a transaction that was taken."""
        with self._lock:
            for delivery in self._deliveries.values():
                asked = delivery.transaction_uid and delivery.commit_at is not None
                if asked and delivery.transaction_uid == transaction_uid:
                    delivery.commit_at = self._now() + seconds

    def transaction(self, destination: str, transaction_uid: str) -> list[Delivery]:
        """Return what a transaction is still about."""
        with self._lock:
            return [delivery.shown() for delivery in self._in(destination, transaction_uid)]

    def rule(self, destination: str, transaction_uid: str, rulings: Mapping[str, Ruling]) -> int:
        """Apply a destination's word, by SOP Instance UID; return for how many it was."""
        with self._lock:
            number = 0
            for delivery in self._in(destination, transaction_uid):
                ruling = rulings.get(delivery.shown().sop_instance_uid)
                if ruling is not None:
                    self._apply(delivery, ruling)
                    self.record(ruling.event)
                    number += 1
            return number

    def forgo_commitments(self, destination: str) -> int:
        """Want no commitment of a destination any more; return for how many deliveries."""
        with self._lock:
            found = [
                delivery
                for delivery in self._deliveries.values()
                if delivery.destination == destination and delivery.commit_at is not None
            ]
            for delivery in found:
                delivery.commit_at, delivery.transaction_uid = None, ""
                self._finish(delivery.entry)
            return len(found)

    def promise(
        self,
        source: str,
        transaction_uid: str,
        references: Sequence[tuple[str, str]],
        event: Event,
    ) -> str:
        """Note what a source asks."""
        with self._lock:
            unique = {instance: sop_class for sop_class, instance in reversed(references)}
            listed = tuple((unique[instance], instance) for instance in sorted(unique))
            for item in self._promises.values():
                if (item.promise.source, item.promise.transaction_uid) == (source, transaction_uid):
                    return REPEATED if item.promise.references == listed else CONFLICT
            number, now = next(self._promise_ids), self._now()
            made = Promise(number, transaction_uid, source, listed, now)
            self._promises[number] = _Promised(made, now)
            self.record(event)
            return NEW

    def promises(self, *, limit: int) -> list[Promise]:
        """Return promises that are due to be looked at, the longest due first."""
        with self._lock:
            due = [item for item in self._promises.values() if self._due(item.due)]
            due.sort(key=lambda item: item.due)
            return [item.promise for item in due[:limit]]

    def put_off(self, promise: int, delay: float, *, tried: bool = False) -> None:
        """Look at a promise again in ``delay`` seconds; ``tried``: a report did not arrive."""
        with self._lock:
            item = self._promises.get(promise)
            if item is not None:
                item.due = self._now() + delay
                item.promise = replace(item.promise, attempts=item.promise.attempts + tried)

    def hasten(self, delivery: int) -> None:
        """Let what was sent, and is not proved, be read back at once."""
        with self._lock:
            found, now = self._deliveries.get(delivery), self._now()
            if found is None or found.state is not DeliveryState.SENT:
                return
            later = found.readback_at is None or found.readback_at > now
            if found.leased_until is None and later:
                found.readback_at = now
                if found.entry.state is EntryState.DONE:
                    found.entry.ended_at = None

    def keep_promise(self, promise: int, event: Event) -> None:
        """Forget a promise: its report has arrived, or never will."""
        with self._lock:
            self._promises.pop(promise, None)
            self.record(event)

    def owed(self) -> Owed:
        """Return what is not committed and not reported yet."""
        uncommitted: dict[str, list[float]] = {}
        unreported: dict[str, list[float]] = {}
        with self._lock:
            for delivery in self._deliveries.values():
                if delivery.commit_at is not None:
                    uncommitted.setdefault(delivery.destination, []).append(delivery.since)
            for item in self._promises.values():
                unreported.setdefault(item.promise.source, []).append(item.promise.since)
        return Owed(
            {place: Open(len(since), min(since)) for place, since in uncommitted.items()},
            {place: Open(len(since), min(since)) for place, since in unreported.items()},
        )

    def _promised_uids(self) -> set[str]:
        held = [item.promise.references for item in self._promises.values()]
        return {instance for references in held for _, instance in references}

    def _due(self, at: float) -> bool:
        return not self._now() < at <= self._now() + FARTHEST_SECONDS

    def _in(self, destination: str, transaction_uid: str) -> list[DeliveryItem]:
        return [
            delivery
            for delivery in self._deliveries.values()
            if delivery.destination == destination
            and delivery.transaction_uid
            and delivery.transaction_uid == transaction_uid
        ]

    def _apply(self, delivery: DeliveryItem, ruling: Ruling) -> None:
        now, entry = self._now(), delivery.entry
        if ruling.state is None:
            delivery.committed_at, delivery.commit_at = now, None
            delivery.transaction_uid = ""
            if delivery.reason.startswith("commitment "):
                delivery.reason = ""
        elif ruling.state is DeliveryState.SENT:
            delivery.reason = ruling.reason
            delivery.commit_at, delivery.transaction_uid = now + ruling.delay, ""
        else:
            again = ruling.state is DeliveryState.PENDING
            delivery.end(ruling.reason)
            delivery.not_before = 0.0
            delivery.token += 1
            delivery.attempts, delivery.since = 0, now
            delivery.state, delivery.readback_at = ruling.state, None
            delivery.forgo_commitment()
            if again:
                delivery.lost += 1
                self._send_again(delivery)
        self._finish(entry)
