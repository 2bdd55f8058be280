"""Stage 5: what nobody else clears away, and what a person must be told.

Each step gives back expired leases, brings audit events to the audit log,
deletes what retention has passed, looks at some rows and blobs for damage, and
says how much waits for a person. It is cheap, however long the queue is.

SECURITY: deletes only blobs that a row named and no row names; holds no keys
but, through the sink, the one that signs checkpoints.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from node.errors import AuditError, DamagedError, UsageError
from node.failpoint import reach
from node.types import EntryState, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from node.accounts.keeping import Keeping
    from node.audit.base import AuditSink
    from node.operating.breakglass import BreakGlass
    from node.spool.base import BlobStore, Ledger
    from node.types import SpoolEntry

BATCH = 1000  # audit events drained at once
FORGOTTEN = 100  # entries forgotten in one step
LOOKED_AT = 100  # entries that one step passes over in search of unfinished ones
SCRUBBED = 4  # unfinished entries whose blobs are read again in one step
CHUNK = 1 << 20  # bytes of a blob in memory at a time
SCRUB_RATE = 4 << 20  # bytes a second, on the average, that are read for that
WALKED = 1000  # blobs looked at for orphans in one step
ORPHAN_SECONDS = 3600.0  # younger blobs may still get their row
SWEEP_SECONDS = 60.0
ALARM_SECONDS = 900.0

ENDED = (EntryState.DONE, EntryState.DISCARDED)

log = structlog.get_logger()


class Reaper:
    """Clears away and watches. One of it runs for a spool.

    :param retention: seconds that an ended entry and its blobs are kept.
    :param clock: seconds since the epoch.
    :param glass: tells of break-glass that ends by itself.
    :param keeping: looks after the audit log; None where others do.
    """

    def __init__(
        self,
        ledger: Ledger,
        blobs: BlobStore,
        sink: AuditSink,
        *,
        retention: float,
        clock: Callable[[], float],
        glass: BreakGlass | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        self._ledger = ledger
        self._blobs = blobs
        self._sink = sink
        self._retention = retention
        self._clock = clock
        self._glass = glass
        self._keeping = keeping
        self._scrubbed = 0  # the last entry whose blobs were looked at
        self._scrub_began = 0.0
        self._read = 0  # bytes that the last scrubbing read
        self._orphans = 0
        self._walk: Iterator[tuple[str, float]] = iter(())
        self._last: dict[str, float] = {}

    def step(self) -> int:
        """Do a share of everything; return how much is likely to be left.

        Leases and events are not counted: while a node receives, there always
        are some, and each look at them costs an fsync.
        """
        self.release()
        reach("reap.released")
        if self._glass is not None:
            self._glass.settle(self._ledger)
        self.drain()
        reach("reap.drained")
        if self._keeping is not None:
            self._keeping.step()
        work = self.forget() + self.clear()
        self.scrub()
        self.look_for_orphans()
        if self._due("sweep", SWEEP_SECONDS):
            self.sweep()
        if self._due("alarm", ALARM_SECONDS):
            self.alarm()
        return work

    def release(self) -> int:
        """Give back the rows of workers that died."""
        count = self._ledger.release_expired()
        if count:
            log.warning("leases_expired", count=count)
        return count

    def drain(self) -> int:
        """Bring audit events from the ledger to the log; each is there once in the end."""
        try:
            return drain(self._ledger, self._sink)
        except AuditError as error:
            if self._due("audit", ALARM_SECONDS):
                log.critical("audit_broken", code=error.code, reason=str(error), hint=error.hint)
            return 0

    def forget(self) -> int:
        """Delete the rows of entries that ended long enough ago; blobs become garbage."""
        before = self._clock() - self._retention
        count = 0
        for entry in self._ledger.finished(before=before, limit=FORGOTTEN):
            with suppress(KeyError, UsageError):  # it is gone, or goes on, meanwhile
                committed = [
                    delivery.destination
                    for delivery in self._ledger.get(entry.id)[1]
                    if delivery.committed_at is not None
                ]
                facts: dict[str, str | int | float] = {
                    "entry": entry.id,
                    "state": entry.state.value,
                    "committed": ",".join(committed),
                }
                reach("reap.forgetting")
                self._ledger.forget(entry.id, Event("entry_forgotten", actor="reap", facts=facts))
                reach("reap.forgot")
                count += 1
        return count

    def clear(self) -> int:
        """Delete blobs that no row names any more: row first, then blob."""
        garbage = self._ledger.garbage(limit=FORGOTTEN)
        settled = []
        for sha256 in garbage:
            reach("reap.deleting")
            named = partial(self._named, sha256)
            if named() or self._blobs.delete(sha256, unless=named):
                settled.append(sha256)
        if settled:
            reach("reap.deleted")
            self._ledger.cleared(settled)
            reach("reap.cleared")
        return len(settled)

    def scrub(self) -> None:
        """Read the blobs of a few unfinished entries again; park what has lost its original.

        After large ones it rests: a queue that stands for days must not keep
        the disk busy.
        """
        now = self._clock()
        if 0 <= now - self._scrub_began < self._read // SCRUB_RATE:
            return
        self._scrub_began, self._read = now, 0
        budget = SCRUBBED
        entries = self._ledger.query(after=self._scrubbed, limit=LOOKED_AT)
        for entry in entries:
            self._scrubbed = entry.id
            if entry.state not in ENDED:
                self._scrub(entry)
                budget -= 1
            if not budget:
                return
        if len(entries) < LOOKED_AT:
            self._scrubbed = 0

    def look_for_orphans(self) -> None:
        """Count the blobs that no row names; they were never answered for, so they are kept."""
        seen = list(islice(self._walk, WALKED))
        for sha256, written in seen:
            if self._clock() - written > ORPHAN_SECONDS and not self._named(sha256):
                self._orphans += 1
        if len(seen) < WALKED:
            if self._orphans:
                log.warning("orphans_found", count=self._orphans)
            self._orphans = 0
            if self._due("walk", ORPHAN_SECONDS):
                self._walk = self._blobs.walk()

    def sweep(self) -> None:
        """Remove partial blobs of receivers that died."""
        count = self._blobs.sweep()
        if count:
            log.info("partials_swept", count=count)

    def alarm(self) -> None:
        """Say how much waits for a person, and where a queue does not move."""
        for one in self._glass.open() if self._glass else ():
            log.warning("break_glass_is_open", route=one.route, reason=one.reason)
        stats = self._ledger.stats()
        for state in ("held", "parked"):
            if count := stats.entries.get(state):
                log.warning("entries_wait_for_person", kind=state, count=count)
        for destination, age in stats.oldest.items():
            if age > ALARM_SECONDS:
                count = stats.pending[destination]
                log.warning("queue_stands", destination=destination, age=round(age), count=count)

    def _scrub(self, entry: SpoolEntry) -> None:
        reason = self._damage(entry.instance.blob)
        with suppress(KeyError, UsageError):  # it ended, or moved on, meanwhile
            if reason and entry.reason != reason:
                self._park(entry, reason)
            elif entry.state is EntryState.READY and (why := self._loss(entry)):
                self._remake(entry, why)

    def _named(self, sha256: str) -> bool:
        return self._ledger.references(sha256) > 0

    def _loss(self, entry: SpoolEntry) -> str:
        """Return what is wrong with the object to send, or with a share of it."""
        blobs = [entry.sealed]
        if entry.threshold:
            blobs += [delivery.blob for delivery in self._ledger.get(entry.id)[1]]
        return next(filter(None, map(self._damage, blobs)), "")

    def _damage(self, sha256: str) -> str:
        digest = hashlib.sha256()
        try:
            with self._blobs.open(sha256) as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
                    self._read += len(chunk)
        except KeyError:
            return "blob_missing"
        except (DamagedError, OSError):
            return "blob_damaged"
        return "" if digest.hexdigest() == sha256 else "blob_damaged"

    def _park(self, entry: SpoolEntry, reason: str) -> None:
        event = self._event("entry_parked", entry, reason)
        self._ledger.park(entry.id, reason, event)
        log.error("entry_parked", entry=entry.id, reason=reason)

    def _remake(self, entry: SpoolEntry, reason: str) -> None:
        self._ledger.remake(entry.id, self._event("entry_remade", entry, reason))
        log.warning("entry_remade", entry=entry.id, reason=reason)

    def _event(self, name: str, entry: SpoolEntry, reason: str) -> Event:
        facts: dict[str, str | int | float] = {"entry": entry.id, "reason": reason}
        return Event(name, actor="reap", outcome="failure", facts=facts)

    def _due(self, task: str, every: float) -> bool:
        """Say whether a task is due, and take it as done; a clock set back makes it due."""
        now = self._clock()
        last = self._last.get(task)
        if last is not None and 0 <= now - last < every:
            return False
        self._last[task] = now
        return True


def drain(ledger: Ledger, sink: AuditSink) -> int:
    """Move what waits in the ledger's outbox to the audit log; return how many events.

    A crash at any point repeats a part of it, which the sink recognises.

    :raises AuditError: the log does not go on where the ledger does.
    """
    total, full = 0, True
    while full and (rows := ledger.outbox(limit=BATCH)):
        for seq, at, event in rows:
            sink.append(seq, at, event)
        sink.flush()
        reach("audit.flushed")
        ledger.drained(rows[-1][0])
        reach("audit.drained")
        total += len(rows)
        full = len(rows) == BATCH
    sink.flush()  # an old checkpoint may be due for renewal
    return total


def rejoin(ledger: Ledger, sink: AuditSink, actor: str) -> None:
    """Let ledger and audit log go on together after one of them was restored or lost.

    What waits in the ledger comes after what is in the log, though a part of
    it may be there already; the last of it says who joined them.
    """
    facts: dict[str, str | int | float] = {"last": sink.last()}
    ledger.renumber(sink.last(), Event("audit_rejoined", actor=actor, facts=facts))
    drain(ledger, sink)
