"""What follows a delivery, in the SQLite ledger."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from node.spool.aftercare import DAY_SECONDS, FARTHEST_SECONDS, Finding, Found
from node.spool.base import DeliveryClaim
from node.spool.changing import Changing
from node.spool.rows import delivery_of
from node.types import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Mapping

    import apsw

    from node.types import Event


class SqliteAftercare(Changing):
    """:class:`~node.spool.aftercare.Aftercare` in SQLite."""

    def claim_readbacks(
        self, worker: str, destination: str, *, limit: int, lease: float
    ) -> list[DeliveryClaim]:
        """Lease SENT deliveries of one destination that are due to be read back."""

        def change(db: apsw.Connection) -> list[DeliveryClaim]:
            now = self._now()
            where = {"destination": destination, "now": now, "farthest": now + FARTHEST_SECONDS}
            due = self._do.rows(db, "due_readback", {**where, "limit": limit})
            return [
                DeliveryClaim(delivery_of(row), row["token"], row["crashes"] - 1)
                for row in self._lease(db, "delivery", due, worker, lease)
            ]

        return self._commit.run(change)

    def judge(
        self,
        claim: DeliveryClaim,
        state: DeliveryState,
        reason: str,
        finding: Finding,
        event: Event,
    ) -> None:
        """End a read-back as VERIFIED, PARKED, or PENDING: to be sent again."""
        entry = claim.delivery.entry
        values = {
            "id": claim.delivery.id, "token": claim.token, "state": state.value, "reason": reason,
            "now": self._now(),
        }  # fmt: skip

        def change(db: apsw.Connection) -> None:
            self._do.fenced(db, "judge_delivery", values)
            if state is DeliveryState.PENDING:
                self._do.count(db, "revive_entry", {"entry": entry})
            self._finish(db, entry)
            self._count(db, finding)
            self._add(db, event)

        self._commit.run(change)

    def count(self, findings: Mapping[Finding, int], event: Event) -> None:
        """Count what was found in objects that were not read back by a claim."""

        def change(db: apsw.Connection) -> None:
            for finding, number in findings.items():
                self._count(db, finding, number)
            self._add(db, event)

        self._commit.run(change)

    def found(self, *, since: float) -> list[Found]:
        """Return what was found on the day of ``since`` and later."""
        with self._snapshot() as db:
            rows = self._ask.rows(db, "verdicts", {"day": int(since // DAY_SECONDS)})
        return [
            Found(
                row["day"],
                Finding(row["destination"], row["modality"], row["verdict"]),
                row["number"],
            )
            for row in rows
        ]

    def _count(self, db: apsw.Connection, finding: Finding, number: int = 1) -> None:
        values = {**asdict(finding), "day": int(self._now() // DAY_SECONDS), "number": number}
        self._do.count(db, "count_verdict", values)
