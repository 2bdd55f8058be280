"""The changing half of the ledger in SQLite: its connection, and the parts of its changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.spool import states
from node.spool.base import EntryClaim
from node.spool.commit import Committer
from node.spool.database import Statements, open_writer
from node.spool.reading import Reading
from node.spool.rows import entry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import apsw

    from node.spool.base import DeliveryClaim
    from node.spool.database import Row
    from node.types import EntryState, Event, Part, SpoolEntry

WOKEN = 256  # deferred rows that one claim looks at


class Changing(Reading):
    """What every change is made of.

    :param path: the database; made if it is not there.
    :param clock: seconds since the epoch; all times in the ledger are its.
    :raises ConfigError: the file is of a newer version, or on a network disk.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float]) -> None:
        self._writer = open_writer(path)
        super().__init__(path, clock=clock)
        self._do = Statements()
        self._commit = Committer(self._writer)

    def close(self) -> None:
        """Release the database."""
        super().close()
        self._writer.close()

    def _add(self, db: apsw.Connection, event: Event) -> None:
        values = {"now": self._now(), "event": states.event_text(event)}
        self._do.count(db, "add_event", values)

    def _add_deliveries(
        self, db: apsw.Connection, entry: int, priority: int, destinations: Mapping[str, int]
    ) -> None:
        for destination, share in destinations.items():
            values = {
                "entry": entry, "destination": destination, "priority": priority, "share": share,
            }  # fmt: skip
            self._do.count(db, "add_delivery", {**values, "now": self._now()})

    def _put_shares(self, db: apsw.Connection, entry: int, parts: Sequence[Part]) -> None:
        there = [row["share"] for row in self._do.rows(db, "shares_of", {"entry": entry})]
        states.refuse_unfitting(entry, there, parts)
        for part in parts:
            values = {
                "entry": entry, "share": part.share, "blob": part.blob, "now": self._now(),
                "class_uid": part.sop_class_uid, "instance_uid": part.sop_instance_uid,
                "syntax_uid": part.transfer_syntax_uid,
            }  # fmt: skip
            self._do.count(db, "resend_share", values)
            self._do.count(db, "put_share", values)

    def _claim(self, table: str, where: Row, *, worker: str, limit: int, lease: float) -> list[Row]:
        """Wake what fell due, choose, and lease."""

        def change(db: apsw.Connection) -> list[Row]:
            now = self._now()
            horizon = now + states.HORIZON_SECONDS
            waking = {**where, "now": now, "horizon": horizon, "limit": WOKEN}
            self._do.count(db, f"wake_{table}", waking)
            due = self._do.rows(db, f"due_{table}", {**where, "limit": limit})
            return self._lease(db, table, due, worker, lease)

        return self._commit.run(change)

    def _lease(
        self, db: apsw.Connection, table: str, due: list[Row], worker: str, lease: float
    ) -> list[Row]:
        leasing = {"worker": worker, "until": self._now() + min(lease, states.HORIZON_SECONDS)}
        return [
            self._do.rows(db, f"lease_{table}", {**leasing, "id": number})[0]
            for number in states.choose([(row["id"], row["crashes"]) for row in due])
        ]

    def _defer(
        self, claim: EntryClaim | DeliveryClaim, delay: float, values: Row, event: Event
    ) -> None:
        table, number, token = key(claim)

        def change(db: apsw.Connection) -> None:
            # 0 means due now, so that a row deferred by nothing needs no waking.
            not_before = self._now() + min(delay, states.HORIZON_SECONDS) if delay > 0 else 0.0
            row = {**values, "id": number, "token": token, "not_before": not_before}
            self._do.fenced(db, f"defer_{table}", row)
            self._add(db, event)

        self._commit.run(change)

    def _finish(self, db: apsw.Connection, entry: int) -> None:
        self._do.count(db, "finish_entry", {"entry": entry, "now": self._now()})

    def _end(self, entry: int, state: EntryState, reason: str, event: Event) -> None:
        def change(db: apsw.Connection) -> None:
            states.refuse_ended(entry, self._entry(db, entry).state)
            self._stop(db, entry, state, reason)
            self._add(db, event)

        self._commit.run(change)

    def _stop(self, db: apsw.Connection, entry: int, state: EntryState, reason: str) -> None:
        ended = state in states.ENDED
        values = {"entry": entry, "state": state.value, "reason": reason}
        self._do.count(db, "stop_entry", {**values, "ended_at": self._now() if ended else None})
        self._do.count(db, "discard_deliveries" if ended else "stop_deliveries", {"entry": entry})
        if ended:
            self._do.count(db, "forgo_checks", {"entry": entry})

    def _reset(self, db: apsw.Connection, entry: int, state: EntryState) -> None:
        values = {"entry": entry, "state": state.value, "now": self._now()}
        self._do.count(db, "reset_entry", values)

    def _entry(self, db: apsw.Connection, entry: int) -> SpoolEntry:
        rows = self._do.rows(db, "get_entry", {"entry": entry})
        if not rows:
            raise KeyError(entry)
        return entry_of(rows[0])


def key(claim: EntryClaim | DeliveryClaim) -> tuple[str, int, int]:
    """Return table, id and token of a claim."""
    if isinstance(claim, EntryClaim):
        return "entry", claim.entry.id, claim.token
    return "delivery", claim.delivery.id, claim.token
