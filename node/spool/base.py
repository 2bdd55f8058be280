"""The seams of the spool: write-once bytes, and small mutable rows.

In: blob, then row, then 0x0000. Out: row, then blob. A blob without a row is
garbage; a row without its blob is parked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from node.spool.aftercare import Aftercare
from node.spool.bytes import BlobStore, Incoming
from node.spool.commitment import Commitments

__all__ = [
    "Accepted", "BlobStore", "DeliveryClaim", "EntryClaim", "Incoming", "Ledger", "Sent", "Stats",
]  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.types import (
        Decision,
        Delivery,
        DeliveryState,
        EntryState,
        Event,
        Instance,
        Part,
        SpoolEntry,
    )


@dataclass(frozen=True, slots=True)
class Accepted:
    """What :meth:`Ledger.accept` did.

    :param kind: ``"new"``, ``"duplicate"`` (same UID, same bytes: nothing
        added) or ``"conflict"`` (same UID, other bytes: kept and parked).
    """

    entry: int
    kind: str


@dataclass(frozen=True, slots=True)
class EntryClaim:
    """A spool entry on lease.

    :param token: fences: a later claim of the same row has a higher one.
    :param crashes: claims in a row, before this one, that ended without a word.
    """

    entry: SpoolEntry
    token: int
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryClaim:
    """A delivery on lease; ``token`` and ``crashes`` as in :class:`EntryClaim`."""

    delivery: Delivery
    token: int
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery that arrived; see :meth:`Ledger.settle`."""

    claim: DeliveryClaim
    reason: str
    event: Event
    readback_in: float | None = None
    commit_in: float | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts by state; the oldest waiting item's age in seconds per destination.

    The key ``""`` of ``oldest`` and ``pending`` is the queue to be sealed.
    """

    entries: dict[str, int]
    deliveries: dict[str, dict[str, int]]
    oldest: dict[str, float]
    pending: dict[str, int]


class Ledger(Aftercare, Commitments, Protocol):
    """The rows. Every method is one transaction, durable when it returns.

    Times are seconds since the epoch and come from the ledger's own clock. No
    delay and no lease reaches further ahead than an hour, so that a clock that
    jumps cannot strand a row. Events are appended to the audit outbox in the
    same transaction as the change that they tell of.
    """

    def accept(self, instance: Instance, decision: Decision, event: Event) -> Accepted:
        """Record an instance whose blob is durable, with one delivery per destination.

        Idempotent: the same UID with the same bytes adds nothing but the
        event. The same UID with other bytes is kept beside the first and
        PARKED, reason ``conflict``. An entry that a person discarded counts
        for neither. Action HOLD (or no route) makes it HELD. ``entry`` and
        ``kind`` are added to the facts of the event.

        :raises SpoolFullError: the database refuses; nothing is recorded.
        """
        ...

    def claim_entries(self, worker: str, *, limit: int, lease: float) -> list[EntryClaim]:
        """Lease RECEIVED entries that are due, highest priority and oldest first.

        ``attempts`` is raised and committed before the claim returns, so that
        a crash counts. A row whose last claim crashed is claimed alone, so
        that its neighbours do not share the blame.
        """
        ...

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
        """The object to send exists as blob ``sealed``: entry READY, deliveries PENDING.

        Where each destination gets a share, what was sent of another set is
        PENDING again: shares of two sets do not fit together.

        :param parts: the shares, one for each delivery that wants one.
        :raises UsageError: they are others.
        :raises StaleClaimError: the lease was lost.
        """
        ...

    def retry_entry(
        self, claim: EntryClaim, delay: float, reason: str, event: Event, *, crash: bool = False
    ) -> None:
        """Give an entry back, due in ``delay`` seconds.

        :param crash: count it as a crash, as if the worker had died.
        :raises StaleClaimError: the lease was lost.
        """
        ...

    def set_aside(self, claim: EntryClaim, state: EntryState, reason: str, event: Event) -> None:
        """End the work on an entry as HELD or PARKED, for the reason given.

        :raises StaleClaimError: the lease was lost.
        """
        ...

    def claim_deliveries(
        self, worker: str, destination: str, *, limit: int, lease: float
    ) -> list[DeliveryClaim]:
        """Lease PENDING deliveries of one destination that are due, as above."""
        ...

    def settle(
        self, claim: DeliveryClaim, state: DeliveryState, reason: str, event: Event,
        *, readback_in: float | None = None, commit_in: float | None = None,
    ) -> None:  # fmt: skip
        """End a delivery as SENT or PARKED; the last one makes its entry DONE or PARKED.

        :param readback_in: seconds until it is to be read back; None for never.
        :param commit_in: seconds until commitment is to be asked for; likewise.

        :raises StaleClaimError: the lease was lost.
        """
        ...

    def settle_sent(self, arrived: Sequence[Sent]) -> list[DeliveryClaim]:
        """End deliveries as SENT, all in one transaction; return those whose lease was lost."""
        ...

    def retry_delivery(
        self, claim: DeliveryClaim, delay: float, reason: str, event: Event, *, crash: bool = False
    ) -> None:
        """Give a delivery back, due in ``delay`` seconds.

        :param crash: count it as a crash, as if the worker had died.
        :raises StaleClaimError: the lease was lost.
        """
        ...

    def extend(self, claims: Sequence[EntryClaim | DeliveryClaim], lease: float) -> None:
        """Renew leases.

        :raises StaleClaimError: one of them was lost.
        """
        ...

    def release(self, claims: Sequence[EntryClaim | DeliveryClaim]) -> None:
        """Give back what was not begun; it counts as no attempt. Lost ones are passed over."""
        ...

    def release_expired(self) -> int:
        """Give back what dead workers held; return how many rows."""
        ...

    def release_worker(self, worker: str) -> int:
        """Give back at once what one worker held; return how many rows."""
        ...

    def hold(self, entry: int, reason: str, event: Event) -> None:
        """Stop an entry and its unsent deliveries as HELD until :meth:`requeue`.

        :raises KeyError: there is no such entry.
        :raises UsageError: it has ended.
        """
        ...

    def park(self, entry: int, reason: str, event: Event) -> None:
        """Stop an entry as :meth:`hold` does, but PARKED: something is wrong with it.

        :raises KeyError: there is no such entry.
        :raises UsageError: it has ended.
        """
        ...

    def remake(self, entry: int, event: Event, *, intact: bool = False) -> None:
        """Seal a READY entry again, since the object to send is gone or damaged.

        Where that is the original itself nothing can be made again: the entry
        is PARKED, reason ``original_lost``.

        :param intact: nothing is damaged; it must only not leave as it is.
        :raises KeyError: there is no such entry.
        :raises UsageError: it is not READY.
        """
        ...

    def requeue(self, entry: int, decision: Decision | None, event: Event) -> None:
        """Start an entry and its PARKED deliveries again, from zero attempts and at once.

        An entry whose object to send exists goes on with sending it.

        :param decision: a new decision, which takes the place of the old one
            and of all that is unsent, or of everything where one of them
            divides the object into shares; None to go on with the old one.
        :raises KeyError: there is no such entry.
        :raises UsageError: it has ended, or it has no action but to be held.
        """
        ...

    def discard(self, entry: int, reason: str, event: Event) -> None:
        """Mark an entry DISCARDED; its blobs become garbage after retention.

        :raises KeyError: there is no such entry.
        :raises UsageError: it has ended.
        """
        ...

    def get(self, entry: int) -> tuple[SpoolEntry, list[Delivery]]:
        """Return one entry with its deliveries.

        :raises KeyError: there is no such entry.
        """
        ...

    def find(self, sop_instance_uid: str) -> list[SpoolEntry]:
        """Return the entries received, or sealed, under a SOP Instance UID, newest first."""
        ...

    def query(
        self,
        *,
        state: EntryState | None = None,
        destination: str = "",
        after: int = 0,
        limit: int = 100,
    ) -> list[SpoolEntry]:
        """Return entries by id, ``id > after``, at most ``limit``."""
        ...

    def finished(self, *, before: float, limit: int) -> list[SpoolEntry]:
        """Return DONE and DISCARDED entries that ended before a time."""
        ...

    def forget(self, entry: int, event: Event) -> None:
        """Delete an ended entry's rows; its blobs become :meth:`garbage`.

        :raises KeyError: there is no such entry.
        :raises UsageError: it has not ended, or waits to be read back.
        """
        ...

    def garbage(self, *, limit: int) -> list[str]:
        """Return blobs that a row named and names no more, the oldest first.

        Another row may name one by now: ask :meth:`references`.
        """
        ...

    def cleared(self, blobs: Sequence[str]) -> None:
        """Strike blobs off the :meth:`garbage`: they are deleted, or in use again."""
        ...

    def references(self, sha256: str) -> int:
        """Return how many entries name a blob."""
        ...

    def record(self, event: Event) -> None:
        """Append an audit event that belongs to no row."""
        ...

    def outbox(self, *, limit: int) -> list[tuple[int, float, Event]]:
        """Return (seq, time, event) of audit rows not yet drained, in order."""
        ...

    def drained(self, seq: int) -> None:
        """Delete audit rows up to and including ``seq`` from the outbox."""
        ...

    def renumber(self, last: int, event: Event) -> None:
        """Number the audit events that wait, then ``event``, on from ``last``.

        For a person only, when ledger and audit log no longer belong together
        since one of them was restored or lost.
        """
        ...

    def stats(self) -> Stats:
        """Return counts and ages, in time independent of the queue's length."""
        ...

    def close(self) -> None:
        """Release the database."""
        ...
