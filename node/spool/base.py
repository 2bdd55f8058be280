"""The seams of the spool: write-once bytes, and small mutable rows.

In: blob, then row, then 0x0000. Out: row, then blob. A blob without a row is
garbage; a row without its blob is parked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from node.types import (
        Decision,
        Delivery,
        DeliveryState,
        EntryState,
        Event,
        Instance,
        SpoolEntry,
    )


class Incoming(Protocol):
    """A blob being written. Leaving the ``with`` block uncommitted removes it."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes.

        :raises SpoolFullError: the disk refuses.
        """
        ...

    def fileno(self) -> int:
        """Return a descriptor to write to directly; hashing then happens at commit."""
        ...

    def commit(self, *, durable: bool = True) -> str:
        """Make the blob visible and return its SHA-256 in hex.

        When this returns and ``durable`` is true, bytes and name survive
        power loss. Committing bytes that are there already is no error.

        :raises SpoolFullError: the disk refuses; nothing is visible.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class BlobStore(Protocol):
    """Bytes named by their SHA-256; written once, never changed."""

    def put(self) -> Incoming:
        """Begin a new blob.

        :raises SpoolFullError: below the reserve of free space.
        """
        ...

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob for reading.

        :raises KeyError: there is none of that name.
        """
        ...

    def read(self, sha256: str) -> bytes:
        """Return a blob whole, its digest checked.

        :raises KeyError: there is none of that name.
        :raises DamagedError: the bytes no longer have that digest.
        """
        ...

    def delete(self, sha256: str) -> None:
        """Remove a blob; one that is not there is no error."""
        ...

    def walk(self) -> Iterator[tuple[str, float]]:
        """Yield (sha256, seconds since the epoch when it was written)."""
        ...

    def sweep(self) -> int:
        """Remove partial blobs of writers that are gone; return how many."""
        ...


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
    """A spool entry on lease. ``token`` fences: a later claim has a higher one."""

    entry: SpoolEntry
    token: int


@dataclass(frozen=True, slots=True)
class DeliveryClaim:
    """A delivery on lease."""

    delivery: Delivery
    token: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts by state; the oldest waiting item's age in seconds per destination.

    The key ``""`` of ``oldest`` and ``pending`` is the queue to be sealed.
    """

    entries: dict[str, int]
    deliveries: dict[str, dict[str, int]]
    oldest: dict[str, float]
    pending: dict[str, int]


class Ledger(Protocol):
    """The rows. Every method is one transaction, durable when it returns.

    Times are seconds since the epoch and come from the ledger's own clock.
    ``events`` are appended to the audit outbox in the same transaction.
    """

    def accept(self, instance: Instance, decision: Decision, event: Event) -> Accepted:
        """Record an instance whose blob is durable, with one delivery per destination.

        Idempotent: the same UID with the same bytes adds nothing but the
        event. Action HOLD (or no route) makes it HELD.

        :raises SpoolFullError: the database refuses; nothing is recorded.
        """
        ...

    def claim_entries(self, worker: str, *, limit: int, lease: float) -> list[EntryClaim]:
        """Lease RECEIVED entries that are due, highest priority and oldest first.

        ``attempts`` is raised and committed before the claim returns, so that
        a crash counts.
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
    ) -> None:
        """The object to send exists as blob ``sealed``: entry READY, deliveries PENDING.

        :raises StaleClaimError: the lease was lost.
        """
        ...

    def retry_entry(self, claim: EntryClaim, delay: float, reason: str, event: Event) -> None:
        """Give an entry back, due in ``delay`` seconds.

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

    def settle(self, claim: DeliveryClaim, state: DeliveryState, reason: str, event: Event) -> None:
        """End a delivery as SENT, VERIFIED or PARKED; the last one ends its entry.

        :raises StaleClaimError: the lease was lost.
        """
        ...

    def retry_delivery(self, claim: DeliveryClaim, delay: float, reason: str, event: Event) -> None:
        """Give a delivery back, due in ``delay`` seconds.

        :raises StaleClaimError: the lease was lost.
        """
        ...

    def extend(self, claims: Sequence[EntryClaim | DeliveryClaim], lease: float) -> None:
        """Renew leases.

        :raises StaleClaimError: one of them was lost.
        """
        ...

    def release_expired(self) -> int:
        """Give back what dead workers held; return how many rows."""
        ...

    def release_worker(self, worker: str) -> int:
        """Give back at once what one worker held; return how many rows."""
        ...

    def hold(self, entry: int, reason: str, event: Event) -> None:
        """Stop an entry and its unsent deliveries until :meth:`requeue`.

        :raises KeyError: there is no such entry.
        """
        ...

    def requeue(self, entry: int, decision: Decision | None, event: Event) -> None:
        """Start a HELD or PARKED entry, or its PARKED deliveries, again from zero attempts.

        :param decision: a new decision for an entry that had no route, else None.
        :raises KeyError: there is no such entry.
        """
        ...

    def discard(self, entry: int, reason: str, event: Event) -> None:
        """Mark an entry DISCARDED; its blobs become garbage after retention.

        :raises KeyError: there is no such entry.
        """
        ...

    def get(self, entry: int) -> tuple[SpoolEntry, list[Delivery]]:
        """Return one entry with its deliveries.

        :raises KeyError: there is no such entry.
        """
        ...

    def find(self, sop_instance_uid: str) -> list[SpoolEntry]:
        """Return the entries of one SOP Instance UID (as received), newest first."""
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

    def forget(self, entry: int) -> None:
        """Delete a DONE or DISCARDED entry's rows (its blobs are deleted after this)."""
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

    def stats(self) -> Stats:
        """Return counts and ages, in time independent of the queue's length."""
        ...

    def close(self) -> None:
        """Release the database."""
        ...
