"""Where a log begins whose oldest days retention has removed.

``start.json`` holds the edge of the tree over the events that are gone, the
link of the last of them, and the signed note that vouches for that tree. It
is believed only beside an event ``audit_expired`` that tells of the removal:
otherwise anybody could cut a log at its beginning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from node.audit import line as lines
from node.audit.tree import Tree
from node.errors import AuditError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "start.json"
EXPIRED = "audit_expired"


@dataclass(frozen=True, slots=True)
class Start:
    """What comes before the first event of a log.

    :param size: events that are gone.
    :param edge: of the tree over them.
    :param prev: the link that the first event of the log names.
    :param note: the checkpoint over exactly them, or "" where nothing is gone.
    :param last: the last day that is gone; files of it and before it do not count.
    """

    size: int = 0
    edge: tuple[bytes, ...] = field(default=(), repr=False)
    prev: str = lines.FIRST
    note: str = ""
    last: str = ""

    def tree(self) -> Tree:
        """Return the tree over what is gone, to go on from."""
        return Tree(self.size, self.edge)

    def told_by(self, line: bytes) -> bool:
        """Say whether a line tells of the removal."""
        return b'"event":"%b"' % EXPIRED.encode() in line and b'"through":%d}' % self.size in line


def read(directory: Path) -> Start:
    """Return where a log begins.

    :raises AuditError: its ``start.json`` has an unknown form.
    """
    try:
        found = json.loads((directory / NAME).read_text(encoding="ascii"))
        edge = tuple(bytes.fromhex(item) for item in found["edge"])
        start = Start(found["size"], edge, found["prev"], found["note"], found["last"])
        sound = start.size > 0 and len(edge) == start.size.bit_count()
    except FileNotFoundError:
        return Start()
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise AuditError(f"{NAME} has an unknown form")
    return start


def render(start: Start) -> bytes:
    """Return the text of ``start.json``."""
    edge = [item.hex() for item in start.edge]
    facts = {
        "size": start.size, "edge": edge, "prev": start.prev,
        "note": start.note, "last": start.last,
    }  # fmt: skip
    return json.dumps(facts).encode("ascii") + b"\n"


def files(directory: Path, suffix: str) -> list[Path]:
    """Return the files of a log, the oldest first, without those that are to be removed yet.

    :raises AuditError: its ``start.json`` has an unknown form.
    """
    last = read(directory).last
    return [path for path in sorted(directory.glob(f"*{suffix}")) if path.stem > last]
