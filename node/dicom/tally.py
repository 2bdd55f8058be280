"""Counts what a stranger can cause without end, so that no flood reaches the log."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import structlog

PERIOD = 10.0  # seconds between two lines of one kind

_log = structlog.get_logger()


@dataclass
class _Count:
    count: int = 0
    last: dict[str, str] = field(default_factory=dict)


class Tally:
    """One log line per event name, code and period: how often, and the last address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], _Count] = {}
        self._flushed = 0.0

    def note(self, event: str, *, address: str, code: str = "") -> None:
        """Count one."""
        with self._lock:
            seen = self._counts.setdefault((event, code), _Count())
            seen.count += 1
            seen.last = {"address": address}

    def flush(self, *, final: bool = False) -> None:
        """Write what was counted, if the period is over or ``final`` is true."""
        now = time.monotonic()
        if not final and now - self._flushed < PERIOD:
            return
        with self._lock:
            counts, self._counts = self._counts, {}
        self._flushed = now
        for (event, code), seen in counts.items():
            _log.warning(event, code=code, count=seen.count, **seen.last)
