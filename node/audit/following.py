"""Reading a log on from where one stopped, across days, restarts and retention.

The place is kept in a file of its own. It moves only when what was read has
been dealt with, so that a crash brings events again rather than losing them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from node.audit import start as starts
from node.audit.reading import parse

if TYPE_CHECKING:
    from pathlib import Path

    from node.audit.reading import Told


@dataclass(frozen=True, slots=True)
class Place:
    """Where to go on: the file of a day, and how many of its bytes are dealt with."""

    day: str = ""
    offset: int = 0


class Follower:
    """Follows one log for one purpose.

    :param directory: of the log.
    :param kept: file of the place; without it the first day to read is the newest.
    """

    def __init__(self, directory: Path, kept: Path) -> None:
        self._directory = directory
        self._kept = kept
        self._place = self._recall()
        self._next = self._place

    def read(self, limit: int) -> list[Told]:
        """Return the next events; the same ones until :meth:`settle`.

        :raises AuditError: a line is no event.
        """
        days = starts.files(self._directory, ".jsonl")
        place = self._place
        if not place.day:
            place = Place(days[-1].stem if days else "", 0)
        found: list[Told] = []
        for path in [path for path in days if path.stem >= place.day]:
            offset = place.offset if path.stem == place.day else 0
            with path.open("rb") as file:
                file.seek(offset)
                for raw in file:
                    if not raw.endswith(b"\n") or len(found) == limit:
                        break  # being written
                    found.append(parse(raw))
                    offset += len(raw)
            place = Place(path.stem, offset)
            if len(found) == limit:
                break
        self._next = place
        return found

    def settle(self) -> None:
        """Keep that what was read last is dealt with."""
        if self._next == self._place:
            return
        fresh = self._kept.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self._next)), encoding="ascii")
        fresh.replace(self._kept)
        self._place = self._next

    def _recall(self) -> Place:
        try:
            found = json.loads(self._kept.read_text(encoding="ascii"))
            return Place(str(found["day"]), int(found["offset"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Place()
