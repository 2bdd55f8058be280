"""The audit log read as events, from the first day that matters on, one at a time.

Reading proves nothing: that is :mod:`node.audit.check`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from node.audit import start as starts
from node.errors import AuditError
from node.types import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Told:
    """One event with its number and its time, in seconds since the epoch."""

    seq: int
    at: float
    event: Event


def read(directory: Path, *, since: str = "", naming: Sequence[str] = ()) -> Iterator[Told]:
    """Yield the events of a log in their order; nothing if there is no log.

    A line without its line feed is still being written, and left out.

    :param since: the day (``YYYY-MM-DD``, UTC) before which files are left
        out: no file of an earlier day holds events of this one.
    :param naming: yield only events whose line holds one of these texts.
    :raises AuditError: a line is no event.
    """
    wanted = tuple(text.encode("ascii", "backslashreplace") for text in naming)
    for line in lines(directory, since=since):
        if not wanted or any(text in line for text in wanted):
            yield parse(line)


def lines(directory: Path, *, since: str = "") -> Iterator[bytes]:
    """Yield the lines of a log as they stand; ``since`` as in :func:`read`."""
    for path in starts.files(directory, ".jsonl"):
        if path.stem >= since:
            with path.open("rb") as file:
                yield from (line for line in file if line.endswith(b"\n"))


def parse(line: bytes) -> Told:
    """Return the event of a line.

    :raises AuditError: it is none.
    """
    try:
        fields = json.loads(line)
        return Told(
            fields["seq"],
            datetime.fromisoformat(fields["ts"]).timestamp(),
            Event(
                fields["event"],
                fields["object"],
                fields["actor"],
                fields["outcome"],
                dict(fields["facts"]),
            ),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise AuditError(
            "a line of the audit log is no event", hint="'nodectl audit verify' says more"
        ) from error
