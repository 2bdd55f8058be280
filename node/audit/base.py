"""The seam of the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from node.types import Event


class AuditSink(Protocol):
    """Takes events in order and keeps them for good."""

    def append(self, seq: int, ts: float, event: Event) -> None:
        """Append one event; appending a ``seq`` that is there already is no error.

        :param seq: the ledger's number of the event, rising without gaps.
        :param ts: seconds since the epoch, UTC.
        """
        ...

    def last(self) -> int:
        """Return the number of the last event, 0 if there is none."""
        ...

    def flush(self) -> None:
        """Make everything appended durable."""
        ...
