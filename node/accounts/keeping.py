"""Stage 5, what keeps the audit log: copies for the witness, and days that may go.

SECURITY: removes only days past retention that no legal hold keeps, and only
after the log itself tells of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from node.audit import retention
from node.audit.start import EXPIRED
from node.errors import AuditError
from node.reap import drain
from node.types import Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from node.audit.base import AuditSink
    from node.spool.base import Ledger

WITNESS_SECONDS = 60.0
EXPIRY_SECONDS = 3600.0

log = structlog.get_logger()


class Witness(Protocol):
    """Somebody who keeps copies of the checkpoints."""

    def copy(self) -> int:
        """Give the witness the checkpoints that it lacks; return how many.

        :raises OSError: it is not there.
        """
        ...


class Keeping:
    """Keeps one audit log.

    :param directory: of the log that ``sink`` writes.
    :param keep: seconds that events are kept.
    :param witness: None where there is none.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        ledger: Ledger,
        sink: AuditSink,
        directory: Path,
        *,
        keep: float,
        witness: Witness | None,
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._sink = sink
        self._directory = directory
        self._keep = keep
        self._witness = witness
        self._clock = clock
        self._reached = True
        self._last: dict[str, float] = {}

    def step(self) -> None:
        """Do what is due."""
        if self._witness is not None and self._due("witness", WITNESS_SECONDS):
            self.tell(self._witness)
        if self._due("expiry", EXPIRY_SECONDS):
            self.expire()

    def tell(self, witness: Witness) -> None:
        """Bring the witness up to date; the log tells when it cannot be reached, and when again."""
        try:
            witness.copy()
            reason = ""
        except OSError as error:
            reason = error.strerror or type(error).__name__
        except AuditError as error:
            reason = str(error)
        if reason:
            log.error("witness_not_reached", reason=reason)
        if self._reached is bool(reason):
            name = "witness_lost" if reason else "witness_found"
            outcome = "failure" if reason else "success"
            facts: dict[str, str | int | float] = {"reason": reason}
            self._ledger.record(Event(name, actor="reap", outcome=outcome, facts=facts))
        self._reached = not reason

    def expire(self) -> None:
        """Let days go that are past retention; the log tells of it first."""
        try:
            found = retention.expired(self._directory, keep=self._keep, now=self._clock())
            if found is None:
                return
            through = found.start.size
            facts: dict[str, str | int | float] = {
                "events": found.events, "last": found.start.last, "through": through,
            }  # fmt: skip
            self._ledger.record(Event(EXPIRED, actor="reap", facts=facts))
            drain(self._ledger, self._sink)
            retention.remove(self._directory, found)
        except AuditError as error:
            log.critical("audit_not_expired", code=error.code, reason=str(error))
            return
        log.info("audit_expired", count=found.events)

    def _due(self, task: str, every: float) -> bool:
        """Say whether a task is due, and take it as done; a clock set back makes it due."""
        now = self._clock()
        last = self._last.get(task)
        if last is not None and 0 <= now - last < every:
            return False
        self._last[task] = now
        return True
