"""Operational logging: JSON lines, one event each, no patient data.

``configure`` sets structlog up with an allow-list of keys: a value under any
other key is replaced by ``"[withheld]"`` so that a careless call cannot leak a
name. Text values lose their control characters, so that no peer can forge a
line. SECURITY: no patient attribute may ever be given an allowed key.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict

KEYS = frozenset(
    {
        "event", "level", "timestamp", "stage", "pid", "worker",
        "entry", "delivery", "object", "route", "action", "source", "destination",
        "address", "calling_aet", "called_aet", "port", "aet",
        "status", "code", "reason", "hint", "outcome", "verdict", "attempts", "delay",
        "count", "size", "seconds", "free", "reserve", "age", "sop_class", "transfer_syntax",
        "payload_bytes", "psnr", "max_change", "tiles", "altered", "key_id",
        "path", "mistakes", "signal", "exit_code", "children", "kind", "seq",
        "associations", "shares", "share", "cause", "days", "name", "version", "failed",
    }
)  # fmt: skip
MAX_TEXT = 300  # characters of one value


def withhold(_logger: object, _name: str, record: EventDict) -> EventDict:
    """Replace what is not on the allow-list and escape control characters."""
    return {key: _plain(value) if key in KEYS else "[withheld]" for key, value in record.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in value[:MAX_TEXT])
        return shown if len(value) <= MAX_TEXT else shown + "…"
    if isinstance(value, (int, float, bool)) or value is None:
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return _plain(str(value))


def configure(stage: str, *, level: str = "info", stream: TextIO | None = None) -> None:
    """Send structlog's events as JSON lines to ``stream`` (stderr by default).

    Libraries that log on their own (pydicom, pynetdicom) quote the values that
    they stumble over, so that only their critical messages are let through.
    """

    def add_stage(_logger: object, _name: str, record: EventDict) -> EventDict:
        return {"stage": stage, **record}

    structlog.configure(
        processors=[
            add_stage,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            withhold,
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    for name in ("pydicom", "pynetdicom", "PIL"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
