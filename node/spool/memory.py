"""The spool in memory: the twin that tests run against, and what it means in plain code."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, TypeVar

from node.spool import states
from node.spool.base import Accepted, DeliveryClaim, EntryClaim
from node.spool.buffers import MemoryBlobs
from node.spool.memory_commitment import MemoryCommitments
from node.spool.tables import DeliveryItem, EntryItem, Item
from node.types import DeliveryState, EntryState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from node.spool.base import Sent
    from node.types import Decision, Event, Instance, Part

__all__ = ["MemoryBlobs", "MemoryLedger"]

Row = TypeVar("Row", bound=Item)


class MemoryLedger(MemoryCommitments):
    """A :class:`~node.spool.base.Ledger` that forgets all when the process ends."""

    # What arrives ---------------------------------------------------------

    def accept(self, instance: Instance, decision: Decision, event: Event) -> Accepted:
        """Record an instance, with one delivery per destination."""
        with self._lock:
            rivals = [
                entry
                for entry in self._entries.values()
                if entry.instance.sop_instance_uid == instance.sop_instance_uid
                and entry.state is not EntryState.DISCARDED
            ]
            for entry in rivals:
                if entry.instance.blob == instance.blob:
                    self.record(states.annotated(event, entry.id, "duplicate"))
                    return Accepted(entry.id, "duplicate")
            state, reason = states.begin(decision, conflict=bool(rivals))
            route, priority, threshold = states.route_of(decision)
            entry = EntryItem(
                id=next(self._entry_ids), priority=priority, since=self._now(), reason=reason,
                instance=instance, state=state, route=route, action=decision.action,
                threshold=threshold,
            )  # fmt: skip
            self._entries[entry.id] = entry
            self._add_deliveries(entry, states.destinations_of(decision))
            kind = "conflict" if rivals else "new"
            self.record(states.annotated(event, entry.id, kind))
            return Accepted(entry.id, kind)

    # Work -----------------------------------------------------------------

    def claim_entries(self, worker: str, *, limit: int, lease: float) -> list[EntryClaim]:
        """Lease RECEIVED entries that are due, highest priority and oldest first."""
        with self._lock:
            waiting = [e for e in self._entries.values() if e.state is EntryState.RECEIVED]
            claimed = self._claim(waiting, worker, limit, lease)
            return [EntryClaim(e.shown(), e.token, e.crashes - 1) for e in claimed]

    def claim_deliveries(
        self, worker: str, destination: str, *, limit: int, lease: float
    ) -> list[DeliveryClaim]:
        """Lease PENDING deliveries of one destination that are due, as above."""
        with self._lock:
            pending = [
                delivery
                for delivery in self._deliveries.values()
                if delivery.state is DeliveryState.PENDING and delivery.destination == destination
            ]
            claimed = self._claim(pending, worker, limit, lease)
            return [DeliveryClaim(d.shown(), d.token, d.crashes - 1) for d in claimed]

    def ready(
        self,
        claim: EntryClaim,
        sealed: str,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        event: Event,
        parts: Sequence[Part] = (),
    ) -> None:
        """Record the object to send: entry READY, deliveries PENDING."""
        with self._lock:
            item = self._fenced(claim)
            entry = self._entries[claim.entry.id]
            self._put_shares(entry, parts)
            item.end()
            entry.state, entry.sealed = EntryState.READY, sealed
            entry.uids = (sop_class_uid, sop_instance_uid, transfer_syntax_uid)
            for delivery in self._of(entry, DeliveryState.WAITING):
                delivery.state, delivery.since = DeliveryState.PENDING, self._now()
            self._finish(entry)
            for one in (event, *(part.event for part in parts)):
                self.record(one)

    def retry_entry(
        self, claim: EntryClaim, delay: float, reason: str, event: Event, *, crash: bool = False
    ) -> None:
        """Give an entry back, due in ``delay`` seconds."""
        self._defer(claim, delay, reason, event, crash=crash)

    def retry_delivery(
        self, claim: DeliveryClaim, delay: float, reason: str, event: Event, *, crash: bool = False
    ) -> None:
        """Give a delivery back, due in ``delay`` seconds."""
        self._defer(claim, delay, reason, event, crash=crash)

    def set_aside(self, claim: EntryClaim, state: EntryState, reason: str, event: Event) -> None:
        """End the work on an entry as HELD or PARKED, for the reason given."""
        with self._lock:
            self._fenced(claim).end(reason)
            self._entries[claim.entry.id].state = state
            self.record(event)

    def settle(
        self,
        claim: DeliveryClaim,
        state: DeliveryState,
        reason: str,
        event: Event,
        *,
        readback_in: float | None = None,
        commit_in: float | None = None,
    ) -> None:
        """End a delivery as SENT or PARKED; the last one ends its entry."""
        with self._lock:
            self._fenced(claim).end(reason)
            delivery = self._deliveries[claim.delivery.id]
            delivery.state = state
            delivery.readback_at = None if readback_in is None else self._now() + readback_in
            delivery.forgo_commitment()
            delivery.commit_at = None if commit_in is None else self._now() + commit_in
            self._finish(delivery.entry)
            self.record(event)

    def settle_sent(self, arrived: Sequence[Sent]) -> list[DeliveryClaim]:
        """End deliveries as SENT, all in one transaction; return those whose lease was lost."""
        with self._lock:
            lost = [one.claim for one in arrived if self._holding(one.claim) is None]
            for one in arrived:
                if one.claim not in lost:
                    self.settle(
                        one.claim, DeliveryState.SENT, one.reason, one.event,
                        readback_in=one.readback_in, commit_in=one.commit_in,
                    )  # fmt: skip
            return lost

    # Leases ---------------------------------------------------------------

    def extend(self, claims: Sequence[EntryClaim | DeliveryClaim], lease: float) -> None:
        """Renew leases: all of them, or none."""
        with self._lock:
            until = self._now() + min(lease, states.HORIZON_SECONDS)
            for item in [self._fenced(claim) for claim in claims]:
                item.leased_until = until

    def release(self, claims: Sequence[EntryClaim | DeliveryClaim]) -> None:
        """Give back what was not begun; it counts as no attempt."""
        with self._lock:
            for item in filter(None, map(self._holding, claims)):
                item.attempts = max(item.attempts - 1, 0)
                item.crashes = max(item.crashes - 1, 0)
                item.free()

    def release_expired(self) -> int:
        """Give back what dead workers held; return how many rows."""
        with self._lock:
            number = 0
            for item in self._leased():
                if item.leased_until is not None and item.leased_until <= self._now():
                    item.free()
                    number += 1
                elif item.leased_until is not None:
                    horizon = self._now() + states.HORIZON_SECONDS
                    item.leased_until = min(item.leased_until, horizon)
            return number

    def release_worker(self, worker: str) -> int:
        """Give back at once what one worker held; return how many rows."""
        with self._lock:
            held = [item for item in self._leased() if item.worker == worker]
            for item in held:
                item.free()
            return len(held)

    # What a person does ---------------------------------------------------

    def hold(self, entry: int, reason: str, event: Event) -> None:
        """Stop an entry and its unsent deliveries as HELD until :meth:`requeue`."""
        self._end(entry, EntryState.HELD, reason, event)

    def park(self, entry: int, reason: str, event: Event) -> None:
        """Stop an entry as :meth:`hold` does, but PARKED."""
        self._end(entry, EntryState.PARKED, reason, event)

    def discard(self, entry: int, reason: str, event: Event) -> None:
        """Mark an entry DISCARDED; its blobs become garbage after retention."""
        with self._lock:
            self._end(entry, EntryState.DISCARDED, reason, event)
            found = self._entries[entry]
            found.ended_at = self._now()
            for delivery in self._of(found, *states.UNSENT):
                delivery.end(delivery.reason)
                delivery.state = DeliveryState.DISCARDED
            for delivery in self._of(found):
                if delivery.waits:
                    delivery.free()
                    delivery.readback_at = None
                    delivery.commit_at, delivery.transaction_uid = None, ""

    def remake(self, entry: int, event: Event, *, intact: bool = False) -> None:
        """Seal a READY entry again, since the object to send is gone or damaged."""
        with self._lock:
            found = self._entries[entry]
            states.refuse_unready(entry, found.state)
            if found.sealed == found.instance.blob and not intact:
                self._stop(found, EntryState.PARKED, states.LOST)
                self.record(event)
                return
            self._halt(found)
            self._unseal(found)
            found.restart(self._now())
            found.state = EntryState.RECEIVED
            self.record(event)

    def requeue(self, entry: int, decision: Decision | None, event: Event) -> None:
        """Start an entry and its PARKED deliveries again, from zero attempts and at once."""
        with self._lock:
            found = self._entries[entry]
            states.refuse_ended(entry, found.state)
            states.refuse_unworked(entry, decision.action if decision else found.action)
            if decision is not None:
                shared = found.threshold
                found.route, found.priority, found.threshold = states.route_of(decision)
                found.action = decision.action
                found.free()
                self._unseal(found)
                dropped = () if shared or found.threshold else states.UNSENT
                for delivery in self._of(found, *dropped):
                    self._drop(delivery)
                self._add_deliveries(found, states.destinations_of(decision))
            found.restart(self._now())
            found.state = EntryState.READY if found.sealed else EntryState.RECEIVED
            for delivery in self._of(found, *states.UNSENT):
                delivery.restart(self._now())
                delivery.state = DeliveryState.PENDING if found.sealed else DeliveryState.WAITING
            self.record(event)

    # Ends and audit -------------------------------------------------------

    def forget(self, entry: int, event: Event) -> None:
        """Delete a DONE or DISCARDED entry's rows; its blobs become :meth:`garbage`."""
        with self._lock:
            found = self._entries[entry]
            states.refuse_unended(entry, found.state)
            promised = found.instance.sop_instance_uid in self._promised_uids()
            if found.ended_at is None or promised:
                raise states.unread(entry)
            for delivery in self._of(found):
                self._drop(delivery)
            del self._entries[entry]
            self._garbage.setdefault(found.instance.blob)
            self._unseal(found)
            self.record(event)

    def cleared(self, blobs: Sequence[str]) -> None:
        """Strike blobs off the :meth:`garbage`."""
        with self._lock:
            for blob in blobs:
                self._garbage.pop(blob, None)

    def renumber(self, last: int, event: Event) -> None:
        """Number the audit events that wait, then ``event``, on from ``last``."""
        with self._lock:
            self._event_seqs = count(last + 1)
            waiting = list(self._outbox.values())
            self._outbox = {next(self._event_seqs): row for row in waiting}
            self.record(event)

    def drained(self, seq: int) -> None:
        """Delete audit rows up to and including ``seq`` from the outbox."""
        with self._lock:
            self._outbox = {number: row for number, row in self._outbox.items() if number > seq}

    # Parts of changes -----------------------------------------------------

    def _put_shares(self, entry: EntryItem, parts: Sequence[Part]) -> None:
        wanting = {d.share: d for d in self._of(entry) if d.share}
        states.refuse_unfitting(entry.id, list(wanting), parts)
        for part in parts:
            delivery = wanting[part.share]
            sent = delivery.state in {DeliveryState.SENT, DeliveryState.VERIFIED}
            if delivery.blob not in {"", part.blob}:
                self._garbage.setdefault(delivery.blob)
            if sent and delivery.blob != part.blob:
                delivery.end(delivery.reason)
                delivery.state, delivery.since = DeliveryState.PENDING, self._now()
                delivery.attempts, delivery.readback_at = 0, None
                delivery.forgo_commitment()
            delivery.blob = part.blob
            delivery.uids = (part.sop_class_uid, part.sop_instance_uid, part.transfer_syntax_uid)

    def _drop(self, delivery: DeliveryItem) -> None:
        if delivery.blob:
            self._garbage.setdefault(delivery.blob)
        del self._deliveries[delivery.id]

    def _add_deliveries(self, entry: EntryItem, destinations: Mapping[str, int]) -> None:
        there = {delivery.destination for delivery in self._of(entry)}
        for destination, share in destinations.items():
            if destination not in there:
                number = next(self._delivery_ids)
                self._deliveries[number] = DeliveryItem(
                    id=number, priority=entry.priority, since=self._now(),
                    entry=entry, destination=destination, share=share,
                )  # fmt: skip

    def _claim(self, waiting: Sequence[Row], worker: str, limit: int, lease: float) -> list[Row]:
        now = self._now()
        horizon = now + states.HORIZON_SECONDS
        for item in (item for item in waiting if item.not_before):
            item.not_before = 0.0 if item.not_before <= now else min(item.not_before, horizon)
        due = [item for item in waiting if item.leased_until is None and not item.not_before]
        due.sort(key=lambda item: (-item.priority, item.id))
        return self._lease(due[:limit], worker, lease)

    def _defer(
        self, claim: EntryClaim | DeliveryClaim, delay: float, reason: str, event: Event,
        *, crash: bool,
    ) -> None:  # fmt: skip
        with self._lock:
            item = self._fenced(claim)
            item.free()
            item.crashes = item.crashes if crash else 0
            item.reason = reason
            due = self._now() + min(delay, states.HORIZON_SECONDS) if delay > 0 else 0.0
            if isinstance(item, DeliveryItem) and item.readback_at is not None:
                item.readback_at = due
            else:
                item.not_before = due
            self.record(event)

    def _leased(self) -> list[Item]:
        items = [*self._entries.values(), *self._deliveries.values()]
        return [item for item in items if item.leased_until is not None]

    def _halt(self, entry: EntryItem) -> None:
        for delivery in self._of(entry, DeliveryState.PENDING):
            delivery.end(delivery.reason)
            delivery.state = DeliveryState.WAITING

    def _end(self, number: int, state: EntryState, reason: str, event: Event) -> None:
        with self._lock:
            entry = self._entries[number]
            states.refuse_ended(number, entry.state)
            self._stop(entry, state, reason)
            self.record(event)

    def _stop(self, entry: EntryItem, state: EntryState, reason: str) -> None:
        entry.end(reason)
        entry.state = state
        self._halt(entry)

    def _unseal(self, entry: EntryItem) -> None:
        if entry.sealed:
            self._garbage.setdefault(entry.sealed)
        entry.sealed, entry.uids = "", ("", "", "")
