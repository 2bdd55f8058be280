"""What can be asked of the SQLite ledger without changing it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import apsw

from node.spool.base import Stats
from node.spool.commit import refusal
from node.spool.database import Statements, open_reader
from node.spool.rows import delivery_of, entry_of
from node.spool.states import event_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from node.spool.database import Row
    from node.types import Delivery, EntryState, Event, SpoolEntry


class Reading:
    """The asking half of the ledger, on a connection that cannot write."""

    def __init__(self, path: Path, *, clock: Callable[[], float]) -> None:
        self._now = clock
        self._ask = Statements()
        self._reader = open_reader(path)
        self._reading = threading.Lock()

    def close(self) -> None:
        """Release the database."""
        self._reader.close()

    def get(self, entry: int) -> tuple[SpoolEntry, list[Delivery]]:
        """Return one entry with its deliveries."""
        with self._snapshot() as db:
            rows = self._ask.rows(db, "get_entry", {"entry": entry})
            if not rows:
                raise KeyError(entry)
            deliveries = self._ask.rows(db, "get_deliveries", {"entry": entry})
        return entry_of(rows[0]), [delivery_of(row) for row in deliveries]

    def find(self, sop_instance_uid: str) -> list[SpoolEntry]:
        """Return the entries received, or sealed, under a SOP Instance UID, newest first."""
        return self._entries("find_entries", uid=sop_instance_uid)

    def query(
        self,
        *,
        state: EntryState | None = None,
        destination: str = "",
        after: int = 0,
        limit: int = 100,
    ) -> list[SpoolEntry]:
        """Return entries by id, ``id > after``, at most ``limit``."""
        where: Row = {"after": after, "limit": limit}
        if state is not None:
            where["state"] = state.value
        if destination:
            where["destination"] = destination
        match state, destination:
            case None, "":
                name = "query_all"
            case None, _:
                name = "query_destination"
            case _, "":
                name = "query_state"
            case _:
                name = "query_state_destination"
        return self._entries(name, **where)

    def finished(self, *, before: float, limit: int) -> list[SpoolEntry]:
        """Return DONE and DISCARDED entries that ended before a time."""
        return self._entries("finished", before=before, limit=limit)

    def garbage(self, *, limit: int) -> list[str]:
        """Return blobs that a row named and names no more, the oldest first."""
        with self._snapshot() as db:
            return [row["blob"] for row in self._ask.rows(db, "garbage", {"limit": limit})]

    def references(self, sha256: str) -> int:
        """Return how many entries name a blob."""
        with self._snapshot() as db:
            row = self._ask.rows(db, "references", {"blob": sha256})[0]
        return int(row["number"])

    def outbox(self, *, limit: int) -> list[tuple[int, float, Event]]:
        """Return (seq, time, event) of audit rows not yet drained, in order."""
        with self._snapshot() as db:
            rows = self._ask.rows(db, "outbox", {"limit": limit})
        return [(row["seq"], row["at"], event_of(row["event"])) for row in rows]

    def stats(self) -> Stats:
        """Return counts and ages, in time independent of the queue's length."""
        counts: dict[str, dict[str, int]] = {}
        oldest: dict[str, float] = {}
        with self._snapshot() as db:
            for row in self._ask.rows(db, "tally", {}):
                counts.setdefault(row["destination"], {})[row["state"]] = row["number"]
            now = self._now()
            for destination in counts:
                name = "oldest_delivery" if destination else "oldest_entry"
                for row in self._ask.rows(db, name, {"destination": destination}):
                    oldest[destination] = max(0.0, now - row["since"])
        pending = {
            destination: number
            for destination, states in counts.items()
            if (number := states.get("pending" if destination else "received"))
        }
        return Stats(counts.pop("", {}), counts, oldest, pending)

    def _entries(self, name: str, **values: Any) -> list[SpoolEntry]:
        with self._snapshot() as db:
            return [entry_of(row) for row in self._ask.rows(db, name, values)]

    @contextmanager
    def _snapshot(self) -> Iterator[apsw.Connection]:
        """Let several statements see the same moment."""
        try:
            with self._reading, self._reader:
                yield self._reader
        except apsw.Error as error:
            raise refusal(error) from error
