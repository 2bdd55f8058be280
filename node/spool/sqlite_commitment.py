"""Storage Commitment in the SQLite ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from node.spool.aftercare import FARTHEST_SECONDS
from node.spool.base import DeliveryClaim
from node.spool.commitment import CONFLICT, NEW, REPEATED, Open, Owed, Promise
from node.spool.rows import delivery_of
from node.spool.sqlite_aftercare import SqliteAftercare
from node.types import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import apsw

    from node.spool.commitment import Ruling
    from node.spool.database import Statements
    from node.types import Delivery, Event


class SqliteCommitments(SqliteAftercare):
    """:class:`~node.spool.commitment.Commitments` in SQLite."""

    def claim_commitments(
        self, worker: str, destination: str, *, limit: int, lease: float
    ) -> list[DeliveryClaim]:
        """Lease deliveries of one destination for which commitment is to be asked."""

        def change(db: apsw.Connection) -> list[DeliveryClaim]:
            due = self._do.rows(
                db, "due_commitment", self._when() | {"destination": destination, "limit": limit}
            )
            return [
                DeliveryClaim(delivery_of(row), row["token"], row["crashes"] - 1)
                for row in self._lease(db, "delivery", due, worker, lease)
            ]

        return self._commit.run(change)

    def asking(
        self, claims: Sequence[DeliveryClaim], transaction_uid: str, again_in: float, event: Event
    ) -> None:
        """Note, before it is asked, under which transaction; without a word it is due again."""

        def change(db: apsw.Connection) -> None:
            at = self._now() + again_in
            for claim in claims:
                values = {"id": claim.delivery.id, "token": claim.token, "at": at}
                self._do.fenced(db, "ask_commitment", values | {"transaction_uid": transaction_uid})
            self._add(db, event)

        self._commit.run(change)

    def await_report(self, transaction_uid: str, seconds: float) -> None:
        """Wait so long for the report of a transaction that was taken."""
        self._commit.run(
            lambda db: self._do.count(
                db,
                "await_report",
                {"transaction_uid": transaction_uid, "at": self._now() + seconds},
            )
        )

    def transaction(self, destination: str, transaction_uid: str) -> list[Delivery]:
        """Return what a transaction is still about."""
        where = {"destination": destination, "transaction_uid": transaction_uid}
        with self._snapshot() as db:
            rows = self._ask.rows(db, "in_transaction", where)
        return [delivery_of(row) for row in rows]

    def rule(self, destination: str, transaction_uid: str, rulings: Mapping[str, Ruling]) -> int:
        """Apply a destination's word, by SOP Instance UID; return for how many it was."""
        where = {"destination": destination, "transaction_uid": transaction_uid}

        def change(db: apsw.Connection) -> int:
            number = 0
            for row in self._do.rows(db, "in_transaction", where):
                ruling = rulings.get(delivery_of(row).sop_instance_uid)
                if ruling is not None:
                    self._apply(db, row["id"], row["entry"], ruling)
                    self._add(db, ruling.event)
                    number += 1
            return number

        return self._commit.run(change)

    def forgo_commitments(self, destination: str) -> int:
        """Want no commitment of a destination any more; return for how many deliveries."""

        def change(db: apsw.Connection) -> int:
            rows = self._do.rows(db, "forgo_commitments", {"destination": destination})
            for entry in {row["entry"] for row in rows}:
                self._finish(db, entry)
            return len(rows)

        return self._commit.run(change)

    def promise(
        self,
        source: str,
        transaction_uid: str,
        references: Sequence[tuple[str, str]],
        event: Event,
    ) -> str:
        """Note what a source asks."""
        unique = {instance: sop_class for sop_class, instance in reversed(references)}

        def change(db: apsw.Connection) -> str:
            values = {"source": source, "transaction_uid": transaction_uid, "now": self._now()}
            for row in self._do.rows(db, "find_promise", values):
                known = {uid: cls for cls, uid in self._references(self._do, db, row["id"])}
                return REPEATED if known == unique else CONFLICT
            [added] = self._do.rows(db, "add_promise", values)
            for instance, sop_class in unique.items():
                row = {"promise": added["id"], "sop_instance_uid": instance}
                self._do.count(db, "add_promised", row | {"sop_class_uid": sop_class})
            self._add(db, event)
            return NEW

        return self._commit.run(change)

    def promises(self, *, limit: int) -> list[Promise]:
        """Return promises that are due to be looked at, the longest due first."""
        with self._snapshot() as db:
            rows = self._ask.rows(db, "due_promises", self._when() | {"limit": limit})
            return [
                Promise(
                    row["id"], row["transaction_uid"], row["source"],
                    self._references(self._ask, db, row["id"]), row["since"], row["attempts"],
                )
                for row in rows
            ]  # fmt: skip

    def put_off(self, promise: int, delay: float, *, tried: bool = False) -> None:
        """Look at a promise again in ``delay`` seconds; ``tried``: a report did not arrive."""
        self._commit.run(
            lambda db: self._do.count(
                db,
                "put_off_promise",
                {"promise": promise, "due": self._now() + delay, "tried": tried},
            )
        )

    def hasten(self, delivery: int) -> None:
        """Let what was sent, and is not proved, be read back at once."""

        def change(db: apsw.Connection) -> None:
            for row in self._do.rows(db, "hasten_readback", {"id": delivery, "now": self._now()}):
                self._do.count(db, "reopen_entry", {"entry": row["entry"]})

        self._commit.run(change)

    def keep_promise(self, promise: int, event: Event) -> None:
        """Forget a promise: its report has arrived, or never will."""

        def change(db: apsw.Connection) -> None:
            self._do.count(db, "end_promise", {"promise": promise})
            self._add(db, event)

        self._commit.run(change)

    def owed(self) -> Owed:
        """Return what is not committed and not reported yet."""
        with self._snapshot() as db:
            uncommitted, unreported = (
                {row["place"]: Open(row["number"], row["since"]) for row in rows}
                for rows in (
                    self._ask.rows(db, "uncommitted", {}),
                    self._ask.rows(db, "unreported", {}),
                )
            )
        return Owed(uncommitted, unreported)

    def _when(self) -> dict[str, Any]:
        return {"now": self._now(), "farthest": self._now() + FARTHEST_SECONDS}

    @staticmethod
    def _references(
        statements: Statements, db: apsw.Connection, promise: int
    ) -> tuple[tuple[str, str], ...]:
        rows = statements.rows(db, "promised", {"promise": promise})
        return tuple((row["sop_class_uid"], row["sop_instance_uid"]) for row in rows)

    def _apply(self, db: apsw.Connection, number: int, entry: int, ruling: Ruling) -> None:
        now = self._now()
        if ruling.state is None:
            self._do.count(db, "commit_delivery", {"id": number, "now": now})
        elif ruling.state is DeliveryState.SENT:
            later = {"id": number, "at": now + ruling.delay, "reason": ruling.reason}
            self._do.count(db, "postpone_commitment", later)
        else:
            values = {"id": number, "now": now, "reason": ruling.reason}
            self._do.count(db, "revoke_delivery", values | {"state": ruling.state.value})
            if ruling.state is DeliveryState.PENDING:
                self._do.count(db, "revive_entry", {"entry": entry})
        self._finish(db, entry)
