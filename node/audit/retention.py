"""What a log may let go: whole days past retention, with a start that proves the rest.

Nothing goes while a legal hold stands, or before an event of the log tells of it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from node.audit import line as lines
from node.audit import start as starts
from node.audit.check import notes_of
from node.audit.checkpoint import body_of
from node.audit.tree import leaf_hash
from node.errors import AuditError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from node.audit.start import Start

HOLDS = "holds.json"


@dataclass(frozen=True, slots=True)
class Expiry:
    """Days that may go.

    :param events: how many go with them.
    :param start: where the log begins without them.
    """

    events: int
    start: Start


def expired(directory: Path, *, keep: float, now: float) -> Expiry | None:
    """Return the days of a log that are older than ``keep`` seconds, or None.

    The newest file always stays. Only what ends at a checkpoint goes.

    :raises AuditError: what is to go does not agree with its checkpoints.
    """
    start = starts.read(directory)
    _drop(directory, start.last)  # what a crash left
    if holds(directory):
        return None
    limit = (datetime.fromtimestamp(now, UTC) - timedelta(seconds=keep)).date().isoformat()
    old = [path for path in starts.files(directory, ".jsonl")[:-1] if path.stem < limit]
    found = None
    first, tree, prev = start.size, start.tree(), start.prev
    for path in old:
        for raw in path.read_bytes().splitlines(keepends=True):
            line = raw[:-1]
            if lines.read(line) != (tree.size + 1, prev):
                raise AuditError(f"event {tree.size + 1} is not as it was written")
            prev = lines.link(line)
            tree.append(leaf_hash(line))
        note = _note_over(path.with_suffix(".notes"), tree.size)
        if note:
            if body_of(note).root != tree.root():
                raise AuditError(f"the events up to {tree.size} are not what was signed")
            start = starts.Start(tree.size, tuple(tree.edge), prev, note, path.stem)
            found = Expiry(tree.size - first, start)
    return found


def remove(directory: Path, expiry: Expiry) -> None:
    """Let days go; an event of the log must tell of it already."""
    fresh = directory / f"{starts.NAME}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, starts.render(expiry.start))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(directory / starts.NAME)
    _drop(directory, expiry.start.last)


def holds(directory: Path) -> dict[str, dict[str, str]]:
    """Return the legal holds that stand, by name: who, when, why.

    :raises AuditError: the file that names them cannot be understood: nothing goes then.
    """
    try:
        found = json.loads((directory / HOLDS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, PermissionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(item, dict) for item in found.values()):
        raise AuditError(f"{HOLDS} cannot be understood")
    return found


def hold(directory: Path, name: str, facts: dict[str, str]) -> None:
    """Let a legal hold begin.

    :raises UsageError: there is one of this name.
    """
    standing = holds(directory)
    if name in standing:
        raise UsageError(f'there is a hold "{name}" already')
    _keep(directory, standing | {name: facts})


def release(directory: Path, name: str) -> None:
    """Let a legal hold end.

    :raises UsageError: there is none of this name.
    """
    standing = holds(directory)
    if name not in standing:
        raise UsageError(f'there is no hold "{name}"', hint="see 'nodectl audit holds'")
    _keep(directory, {key: value for key, value in standing.items() if key != name})


def _keep(directory: Path, standing: dict[str, dict[str, str]]) -> None:
    """Write the holds durably; they belong to whom the log belongs, also where root writes."""
    fresh = directory / f"{HOLDS}.new"
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        owner = directory.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(json.dumps(standing, indent=1, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(directory / HOLDS)


def _note_over(path: Path, size: int) -> str:
    found = notes_of(path) if path.exists() else iter(())
    return next((note for note in found if body_of(note).size == size), "")


def _drop(directory: Path, last: str) -> None:
    for path in [*directory.glob("*.jsonl"), *directory.glob("*.notes")]:
        if path.stem <= last:
            path.unlink(missing_ok=True)
