"""Copies of the checkpoints where the node's own log cannot be cut together with them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from node.audit import start as starts
from node.audit.check import notes_of
from node.audit.checkpoint import body_of
from node.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TAIL = 4096  # bytes; longer than any note


class WitnessFolder:
    """Keeps the notes of a log in one file of another folder, on another machine at best.

    :param directory: of the log.
    :param folder: of the copies; it must exist, so that a share that is not
        mounted is told from an empty one.
    """

    def __init__(self, directory: Path, folder: Path) -> None:
        self._directory = directory
        self._folder = folder

    def copy(self) -> int:
        """Append the notes that the witness does not have yet; return how many.

        :raises OSError: the folder is not there, or refuses.
        :raises AuditError: a note has an unknown form.
        """
        newest = starts.files(self._directory, ".notes")[::-1]
        if not newest:
            return 0
        name = next((body_of(note).origin for path in newest for note in notes_of(path)), "")
        if not name:
            return 0
        path = self._folder / f"{re.sub('[^A-Za-z0-9._-]', '_', name)}.notes"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
        try:
            known = _mend(descriptor)
            fresh = _since(newest, known)
            data = "".join(f"{note}\n" for note in fresh).encode()
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return len(fresh)


def witnessed(place: Path) -> Iterator[str]:
    """Yield the notes of a witness.

    :param place: its folder, or one of its files.
    :raises AuditError: a file does not hold notes.
    :raises OSError: it cannot be read.
    """
    paths = sorted(place.glob("*.notes")) if place.is_dir() else [place]
    if not paths:
        raise FileNotFoundError(2, "no witness has left a checkpoint there", str(place))
    for path in paths:
        yield from notes_of(path)


def _mend(descriptor: int) -> int:
    """Take away what a crash left half written; return the size in the last note."""
    length = os.fstat(descriptor).st_size
    data = os.pread(descriptor, TAIL, max(0, length - TAIL)).decode(errors="replace")
    parts = data.split("\n\n")
    for count in range(len(parts) - 1, 1, -1):
        try:
            size = body_of(f"{parts[count - 2].lstrip()}\n\n{parts[count - 1]}\n").size
        except AuditError:
            continue
        rest = "\n\n".join(parts[count:]).encode()
        os.ftruncate(descriptor, length - len(rest))
        return size
    os.ftruncate(descriptor, 0)
    return 0


def _since(newest: list[Path], known: int) -> list[str]:
    """Return the notes over more than ``known`` events, the oldest first."""
    fresh: list[str] = []
    for path in newest:
        here = list(notes_of(path))
        fresh = [note for note in here if body_of(note).size > known] + fresh
        if here and body_of(here[0]).size <= known:
            break
    return fresh
