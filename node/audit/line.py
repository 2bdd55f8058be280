"""One line of the audit log, written and read (docs/formats/audit-v1.md)."""

from __future__ import annotations

import hashlib
import json
import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.types import Event

FIRST = "0" * 64  # what the first line of a log names as the one before it
_SHAPE = re.compile(rb'\{"seq":([1-9][0-9]*),"ts":"[^"]{27}",[ -~]*,"prev":"([0-9a-f]{64})"\}')
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def write(seq: int, ts: float, event: Event, prev: str) -> bytes:
    """Return the line of an event, without its line feed: ASCII, keys in fixed order."""
    fields = {
        "seq": seq,
        "ts": timestamp(ts),
        "event": event.event,
        "actor": event.actor,
        "object": event.object,
        "outcome": event.outcome,
        "facts": {key: _plain(value) for key, value in sorted(event.facts.items())},
        "prev": prev,
    }
    return _encode(fields).encode("ascii")


def read(line: bytes) -> tuple[int, str] | None:
    """Return number and link of a line, or None if it has not the form of one."""
    shape = _SHAPE.fullmatch(line)
    return None if shape is None else (int(shape[1]), shape[2].decode())


def follows(line: bytes, seq: int, prev: str) -> bool:
    """Say fast whether a line has a number and a link; False may be wrong, True is not."""
    return (
        line.startswith(b'{"seq":%d,"ts":"' % seq)
        and line.endswith(b',"prev":"%b"}' % prev.encode())
        and line.isascii()
    )


def link(line: bytes) -> str:
    """Return what the next line names this one by."""
    return hashlib.sha256(line).hexdigest()


def timestamp(ts: float) -> str:
    """Write a time as ISO 8601 in UTC, to the microsecond."""
    moment = datetime.fromtimestamp(ts, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _plain(value: str | float) -> str | float:
    """Name the numbers that JSON has no digits for."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
