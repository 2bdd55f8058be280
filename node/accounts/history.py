"""What has happened, from the audit log and from what still waits in the ledger to get there.

The events of objects whose rows are long forgotten are here, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from node.audit.reading import Told, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from node.spool.base import Ledger

WAITING = 1_000_000  # events; more than ever wait in the ledger


@dataclass(frozen=True, slots=True)
class History:
    """Every audit event of a node.

    :param log: folder of the audit log.
    """

    ledger: Ledger
    log: Path

    def events(self, *, since: float = 0.0, naming: Sequence[str] = ()) -> Iterator[Told]:
        """Yield events in their order, none twice.

        :param since: seconds since the epoch; earlier events may be left out.
        :param naming: events that hold none of these texts may be left out.
        :raises AuditError: a line of the log is no event.
        """
        # First the ledger: what is drained meanwhile is then found in the log.
        waiting = self.ledger.outbox(limit=WAITING)
        last = 0
        for told in read(self.log, since=day(since) if since else "", naming=naming):
            last = told.seq
            yield told
        # What naming left out of the log may be waiting still; whoever asked passes it over.
        for seq, at, event in waiting:
            if seq > last:
                yield Told(seq, at, event)


def day(at: float) -> str:
    """Return the day of a time, in UTC."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()
