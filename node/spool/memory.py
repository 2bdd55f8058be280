"""The spool in memory: the twin that tests run against, and the ledger's meaning in plain code."""

from __future__ import annotations

import hashlib
import io
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Self

from node.errors import StaleClaimError
from node.spool import states
from node.spool.base import Accepted, DeliveryClaim, EntryClaim, Stats
from node.types import Delivery, DeliveryState, EntryState, SpoolEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from node.types import Decision, Event, Instance


class MemoryBlobs:
    """A :class:`~node.spool.base.BlobStore` that forgets all when the process ends.

    :param clock: seconds since the epoch; tells when a blob was written.
    :param room: bytes that all blobs together may take.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, room: int = 1 << 40) -> None:
        self._clock = clock
        self._room = room
        self._blobs: dict[str, tuple[bytes, float]] = {}
        self._pinned: list[str] = []
        self._lock = threading.Lock()

    def put(self) -> MemoryIncoming:
        """Begin a new blob."""
        return MemoryIncoming(self._keep, self._unpin)

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob for reading."""
        return io.BytesIO(self.read(sha256))

    def read(self, sha256: str) -> bytes:
        """Return a blob whole."""
        return self._blobs[sha256][0]

    def delete(self, sha256: str, *, unless: Callable[[], bool] | None = None) -> bool:
        """Remove a blob unless it is spared, or being committed."""
        with self._lock:
            if sha256 in self._pinned or (unless is not None and unless()):
                return False
            self._blobs.pop(sha256, None)
        return True

    def free(self) -> int:
        """Return how many bytes there is room for."""
        return self._room - sum(len(data) for data, _ in self._blobs.values())

    def walk(self) -> Iterator[tuple[str, float]]:
        """Yield (sha256, seconds since the epoch when it was written)."""
        yield from [(sha256, written) for sha256, (_, written) in self._blobs.items()]

    def sweep(self) -> int:
        """Return 0: partial blobs go with their writers."""
        return 0

    def _keep(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        with self._lock:
            self._blobs[sha256] = (data, self._clock())
            self._pinned.append(sha256)
        return sha256

    def _unpin(self, sha256: str) -> None:
        with self._lock:
            self._pinned.remove(sha256)


class MemoryIncoming:
    """A :class:`~node.spool.base.Incoming` of :class:`MemoryBlobs`."""

    def __init__(self, keep: Callable[[bytes], str], unpin: Callable[[str], None]) -> None:
        self._keep = keep
        self._unpin = unpin
        self._committed: list[str] = []
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 closed on leaving

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self._file.write(data)

    def fileno(self) -> int:
        """Return a descriptor to write to directly."""
        return self._file.fileno()

    def commit(self, *, durable: bool = True) -> str:  # noqa: ARG002 nothing here is
        """Make the blob visible and return its SHA-256 in hex."""
        self._file.seek(0)
        self._committed.append(self._keep(self._file.read()))
        return self._committed[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        for sha256 in self._committed:
            self._unpin(sha256)


@dataclass(slots=True)
class _Row:
    """What an entry or a delivery has beside what the rest of the node sees of it."""

    since: float
    token: int = 0
    crashes: int = 0
    worker: str = ""
    leased_until: float | None = None
    ended_at: float | None = None
    sent_uids: tuple[str, str, str] = ("", "", "")

    def free(self) -> None:
        self.worker, self.leased_until = "", None


Claim = EntryClaim | DeliveryClaim


class MemoryLedger:
    """A :class:`~node.spool.base.Ledger` that forgets all when the process ends."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._now = clock
        self._lock = threading.RLock()
        self._entries: dict[int, SpoolEntry] = {}
        self._deliveries: dict[int, Delivery] = {}
        self._entry_rows: dict[int, _Row] = {}
        self._delivery_rows: dict[int, _Row] = {}
        self._garbage: dict[str, None] = {}
        self._outbox: dict[int, tuple[float, Event]] = {}
        self._numbers = {"entry": 0, "delivery": 0, "event": 0}

    def close(self) -> None:
        """Release nothing."""

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
            same = [entry.id for entry in rivals if entry.instance.blob == instance.blob]
            if same:
                accepted = Accepted(same[0], "duplicate")
            else:
                state, reason = states.begin(decision, conflict=bool(rivals))
                route, priority, destinations = states.route_of(decision)
                number = self._number("entry")
                self._entries[number] = SpoolEntry(
                    number, instance, state, route, decision.action, priority, reason=reason
                )
                self._entry_rows[number] = _Row(self._now())
                self._add_deliveries(number, priority, destinations)
                accepted = Accepted(number, "conflict" if rivals else "new")
            self.record(states.annotated(event, accepted.entry, accepted.kind))
            return accepted

    # Work -----------------------------------------------------------------

    def claim_entries(self, worker: str, *, limit: int, lease: float) -> list[EntryClaim]:
        """Lease RECEIVED entries that are due, highest priority and oldest first."""
        with self._lock:
            waiting = [e for e in self._entries.values() if e.state is EntryState.RECEIVED]
            claims = []
            for number in self._due(waiting, self._entry_rows, limit):
                entry, row = self._entries[number], self._entry_rows[number]
                entry = replace(entry, attempts=entry.attempts + 1, not_before=0.0)
                self._entries[number] = entry
                self._lease(row, worker, lease)
                claims.append(EntryClaim(entry, row.token, row.crashes - 1))
            return claims

    def claim_deliveries(
        self, worker: str, destination: str, *, limit: int, lease: float
    ) -> list[DeliveryClaim]:
        """Lease PENDING deliveries of one destination that are due, as above."""
        with self._lock:
            waiting = [
                delivery
                for delivery in self._deliveries.values()
                if delivery.state is DeliveryState.PENDING and delivery.destination == destination
            ]
            claims = []
            for number in self._due(waiting, self._delivery_rows, limit):
                row = self._delivery_rows[number]
                found = self._deliveries[number]
                self._deliveries[number] = replace(
                    found, attempts=found.attempts + 1, not_before=0.0
                )
                self._lease(row, worker, lease)
                claims.append(DeliveryClaim(self._shown(number), row.token, row.crashes - 1))
            return claims

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
        """Record the object to send: entry READY, deliveries PENDING."""
        with self._lock:
            row = self._fenced(claim)
            row.free()
            row.crashes = 0
            row.sent_uids = (sop_class_uid, sop_instance_uid, transfer_syntax_uid)
            number = claim.entry.id
            self._change(number, state=EntryState.READY, sealed=sealed, reason="")
            for delivery in self._of(number):
                if delivery.state is DeliveryState.WAITING:
                    self._move(delivery.id, DeliveryState.PENDING)
                    self._delivery_rows[delivery.id].since = self._now()
            self._finish(number)
            self.record(event)

    def retry_entry(
        self, claim: EntryClaim, delay: float, reason: str, event: Event, *, crash: bool = False
    ) -> None:
        """Give an entry back, due in ``delay`` seconds."""
        with self._lock:
            due = self._give_back(claim, delay, crash=crash)
            self._change(claim.entry.id, not_before=due, reason=reason)
            self.record(event)

    def retry_delivery(
        self, claim: DeliveryClaim, delay: float, reason: str, event: Event, *, crash: bool = False
    ) -> None:
        """Give a delivery back, due in ``delay`` seconds."""
        with self._lock:
            due = self._give_back(claim, delay, crash=crash)
            number = claim.delivery.id
            self._deliveries[number] = replace(
                self._deliveries[number], not_before=due, reason=reason
            )
            self.record(event)
