"""The tables of the ledger in memory, what can be asked of them, and the parts of changes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from node.errors import StaleClaimError
from node.spool import states
from node.spool.base import EntryClaim, Stats
from node.types import Delivery, DeliveryState, EntryState, SpoolEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from node.spool.base import DeliveryClaim
    from node.types import Action, Event, Instance


@dataclass(kw_only=True)
class Item:
    """What entries and deliveries have in common."""

    id: int
    priority: int
    since: float
    reason: str = ""
    attempts: int = 0
    crashes: int = 0
    not_before: float = 0.0
    token: int = 0
    worker: str = ""
    leased_until: float | None = None

    def lease(self, worker: str, until: float) -> None:
        """Count an attempt and give it to a worker."""
        self.attempts += 1
        self.crashes += 1
        self.token += 1
        self.not_before = 0.0
        self.worker, self.leased_until = worker, until

    def free(self) -> None:
        """End the lease."""
        self.worker, self.leased_until = "", None

    def end(self, reason: str = "") -> None:
        """End the work in good order."""
        self.free()
        self.crashes = 0
        self.reason = reason

    def restart(self, now: float) -> None:
        """Begin again from zero attempts."""
        self.reason, self.attempts, self.crashes = "", 0, 0
        self.not_before, self.since = 0.0, now


@dataclass(kw_only=True)
class EntryItem(Item):
    """One instance."""

    instance: Instance
    state: EntryState
    route: str
    action: Action
    sealed: str = ""
    uids: tuple[str, str, str] = ("", "", "")
    ended_at: float | None = None
    threshold: int = 0

    def shown(self) -> SpoolEntry:
        """Return what the rest of the node sees."""
        return SpoolEntry(
            self.id, self.instance, self.state, self.route, self.action, self.priority,
            self.sealed, self.attempts, self.not_before, self.reason, self.threshold,
        )  # fmt: skip


@dataclass(kw_only=True)
class DeliveryItem(Item):
    """One (instance, destination)."""

    entry: EntryItem
    destination: str
    state: DeliveryState = DeliveryState.WAITING
    readback_at: float | None = None
    lost: int = 0
    commit_at: float | None = None
    asked: int = 0
    committed_at: float | None = None
    transaction_uid: str = ""
    share: int = 0
    blob: str = ""
    uids: tuple[str, str, str] = ("", "", "")

    def shown(self) -> Delivery:
        """Return what the rest of the node sees."""
        blob, uids = (self.blob, self.uids) if self.share else (self.entry.sealed, self.entry.uids)
        return Delivery(
            self.id, self.entry.id, self.destination, self.state, blob,
            *uids, self.priority, self.attempts, self.not_before, self.since,
            self.reason, self.readback_at, self.lost, self.commit_at, self.asked, self.committed_at,
            self.share,
        )  # fmt: skip

    @property
    def waits(self) -> bool:
        """Whether it is to be read back, or to be committed."""
        return self.readback_at is not None or self.commit_at is not None

    def forgo_commitment(self) -> None:
        """Know nothing of a commitment."""
        self.commit_at = self.committed_at = None
        self.asked, self.transaction_uid = 0, ""

    def restart(self, now: float) -> None:
        """Begin again from zero attempts."""
        super().restart(now)
        self.lost = 0
        self.forgo_commitment()


Row = TypeVar("Row", bound=Item)


class Tables:
    """The asking half of the ledger in memory."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._now = clock
        self._lock = threading.RLock()
        self._entries: dict[int, EntryItem] = {}
        self._deliveries: dict[int, DeliveryItem] = {}
        self._garbage: dict[str, None] = {}
        self._outbox: dict[int, tuple[float, Event]] = {}
        self._entry_ids = count(1)
        self._delivery_ids = count(1)
        self._event_seqs = count(1)

    def close(self) -> None:
        """Release nothing."""

    def get(self, entry: int) -> tuple[SpoolEntry, list[Delivery]]:
        """Return one entry with its deliveries."""
        with self._lock:
            found = self._entries[entry]
            return found.shown(), [delivery.shown() for delivery in self._of(found)]

    def find(self, sop_instance_uid: str) -> list[SpoolEntry]:
        """Return the entries received, or sealed, under a SOP Instance UID, newest first."""
        with self._lock:
            return [
                item.shown()
                for item in reversed(self._entries.values())
                if sop_instance_uid in {item.instance.sop_instance_uid, item.uids[1]}
            ]

    def query(
        self,
        *,
        state: EntryState | None = None,
        destination: str = "",
        after: int = 0,
        limit: int = 100,
    ) -> list[SpoolEntry]:
        """Return entries by id, ``id > after``, at most ``limit``."""
        with self._lock:
            bound = {d.entry.id for d in self._deliveries.values() if d.destination == destination}
            found = [
                entry
                for entry in self._shown()
                if entry.id > after
                and state in {None, entry.state}
                and (not destination or entry.id in bound)
            ]
        return found[:limit]

    def stats(self) -> Stats:
        """Return counts and ages."""
        with self._lock:
            entries = Counter(entry.state.value for entry in self._entries.values())
            deliveries: dict[str, Counter[str]] = {}
            waiting: dict[str, list[float]] = {}
            for entry in self._entries.values():
                if entry.state is EntryState.RECEIVED:
                    waiting.setdefault("", []).append(entry.since)
            for delivery in self._deliveries.values():
                deliveries.setdefault(delivery.destination, Counter())[delivery.state.value] += 1
                if delivery.state is DeliveryState.PENDING:
                    waiting.setdefault(delivery.destination, []).append(delivery.since)
            return Stats(
                dict(entries),
                {destination: dict(counts) for destination, counts in deliveries.items()},
                {place: max(0.0, self._now() - min(since)) for place, since in waiting.items()},
                {place: len(since) for place, since in waiting.items()},
            )

    def finished(self, *, before: float, limit: int) -> list[SpoolEntry]:
        """Return DONE and DISCARDED entries that ended before a time."""
        with self._lock:
            ended = [(e.ended_at, e) for e in self._entries.values() if e.ended_at is not None]
            ended.sort(key=lambda row: row[0])
            owed = self._promised_uids()
            found = [entry.shown() for at, entry in ended if at < before]
        return [one for one in found if one.instance.sop_instance_uid not in owed][:limit]

    def garbage(self, *, limit: int) -> list[str]:
        """Return blobs that a row named and names no more, the oldest first."""
        return list(self._garbage)[:limit]

    def references(self, sha256: str) -> int:
        """Return how many entries name a blob."""
        with self._lock:
            return sum(
                sha256 in {e.instance.blob, e.sealed, *(d.blob for d in self._of(e))}
                for e in self._entries.values()
                if sha256
            )

    def outbox(self, *, limit: int) -> list[tuple[int, float, Event]]:
        """Return (seq, time, event) of audit rows not yet drained, in order."""
        with self._lock:
            return [(seq, *row) for seq, row in self._outbox.items()][:limit]

    def _of(self, entry: EntryItem, *wanted: DeliveryState) -> list[DeliveryItem]:
        return [
            delivery
            for delivery in self._deliveries.values()
            if delivery.entry is entry and (not wanted or delivery.state in wanted)
        ]

    def _promised_uids(self) -> set[str]:
        """Return what sources wait to hear of."""
        return set()

    def _shown(self) -> list[SpoolEntry]:
        with self._lock:
            return [entry.shown() for entry in self._entries.values()]

    # Parts of changes -----------------------------------------------------

    def record(self, event: Event) -> None:
        """Append an audit event that belongs to no row."""
        with self._lock:
            self._outbox[next(self._event_seqs)] = (self._now(), event)

    def _lease(self, due: Sequence[Row], worker: str, lease: float) -> list[Row]:
        """Lease what one worker may claim of what is due, the most urgent first."""
        chosen = states.choose([(item.id, item.crashes) for item in due])
        claimed = [item for item in due if item.id in chosen]
        for item in claimed:
            item.lease(worker, self._now() + min(lease, states.HORIZON_SECONDS))
        return claimed

    def _holding(self, claim: EntryClaim | DeliveryClaim) -> Item | None:
        """Return the row if the claim still holds its lease."""
        item: Item | None
        if isinstance(claim, EntryClaim):
            item = self._entries.get(claim.entry.id)
        else:
            item = self._deliveries.get(claim.delivery.id)
        held = item and item.token == claim.token and item.leased_until is not None
        return item if held else None

    def _fenced(self, claim: EntryClaim | DeliveryClaim) -> Item:
        item = self._holding(claim)
        if item is None:
            raise StaleClaimError("the lease ran out before the work was done")
        return item

    def _finish(self, entry: EntryItem) -> None:
        """End an entry with nothing left to send, or to be read back."""
        if entry.state not in {EntryState.READY, EntryState.DONE}:
            return
        if self._of(entry, DeliveryState.WAITING, DeliveryState.PENDING):
            return
        parked = self._of(entry, DeliveryState.PARKED)
        if parked:
            entry.state, entry.reason = EntryState.PARKED, parked[0].reason
        else:
            entry.state, entry.reason = EntryState.DONE, ""
            waits = any(delivery.waits for delivery in self._of(entry))
            entry.ended_at = None if waits else self._now()
