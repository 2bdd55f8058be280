"""Which files of the drop folder belong to an object: those that name its Accession Number.

Files are judged by their content, never by their name (docs/attachments.md).
SECURITY: the files are patient data; nothing of them, and no name, is logged.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from node.dicom import reader
from node.errors import UnreadableError
from node.sealing.attachments import KINDS, MAX_COUNT
from node.types import Attachment

if TYPE_CHECKING:
    from pathlib import Path

FHIR, HL7, PDF = KINDS
SIDECAR = ".accession"  # beside a PDF: NAME.pdf.accession
MAX_FILES = 10_000  # that are looked at; an operator clears the folder
_MAX_SIDECAR = 256  # bytes
_SEGMENTS = {b"OBR": 3, b"ORC": 3}  # HL7 v2: filler order number
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Known:
    """A file that was read before: whose it is, as long as it does not change."""

    state: tuple[int, int]  # mtime in ns, size
    kind: str
    accessions: frozenset[str]


class DropFolder:
    """Finds attachments.

    :param max_size: bytes of all attachments of one object; more are left out.
    """

    def __init__(self, folder: Path, max_size: int) -> None:
        self._folder = folder
        self._max_size = max_size
        self._known: dict[str, _Known] = {}

    def of(self, data: bytes) -> tuple[Attachment, ...]:
        """Return the attachments of an object (a Part 10 file), the smallest first.

        A folder that cannot be read gives none: sealing never waits for it.
        """
        try:
            accession = reader.read(data).text("AccessionNumber").strip()
        except UnreadableError:
            return ()
        if not accession:
            return ()
        try:
            self._look()
        except OSError as error:
            log.warning("attachments_not_read", reason=error.strerror)
            return ()
        names = [name for name, known in self._known.items() if accession in known.accessions]
        return self._read(names)

    def _read(self, names: list[str]) -> tuple[Attachment, ...]:
        found: list[Attachment] = []
        room, left = self._max_size, 0
        for name in sorted(names, key=lambda name: self._known[name].state[1]):
            data = _content(self._folder / name, self._max_size)
            if data is None or len(data) > room or len(found) >= MAX_COUNT:
                left += 1
                continue
            room -= len(data)
            found.append(Attachment(self._known[name].kind, data))
        if left:
            log.warning("attachments_left_out", count=left)
        return tuple(found)

    def _look(self) -> None:
        """Read what is new or other in the folder."""
        seen: dict[str, _Known] = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if len(seen) >= MAX_FILES:
                    log.warning("attachments_too_many", count=MAX_FILES)
                    break
                with suppress(OSError):  # it went away
                    if entry.is_file(follow_symlinks=False):
                        seen[entry.name] = self._judged(entry)
        self._known = seen

    def _judged(self, entry: os.DirEntry[str]) -> _Known:
        status = entry.stat(follow_symlinks=False)
        state = status.st_mtime_ns, status.st_size
        known = self._known.get(entry.name)
        if known and known.state == state and known.kind != PDF:  # a sidecar may come later
            return known
        kind, accessions = _whose(self._folder / entry.name, self._max_size)
        return _Known(state, kind, accessions)


def _whose(path: Path, limit: int) -> tuple[str, frozenset[str]]:
    """Return what kind of file this is, and the Accession Numbers that it names."""
    data = _content(path, limit)
    if data is None:
        return "", frozenset()
    if data.startswith(b"%PDF-"):
        beside = _content(path.with_name(path.name + SIDECAR), _MAX_SIDECAR)
        said = beside.decode("utf-8", "replace").strip() if beside else ""
        return PDF, frozenset({said} - {""})
    if data.startswith(b"MSH") and len(data) > 4:  # noqa: PLR2004 - MSH and two separators
        return HL7, frozenset(_of_message(data))
    try:
        resource = json.loads(data)
    except (ValueError, RecursionError):
        return "", frozenset()
    return FHIR, frozenset(identifiers(resource))


def _of_message(data: bytes) -> set[str]:
    """Return OBR-3.1 and ORC-3.1 of every segment."""
    field, component = data[3:4], data[4:5]
    found = set()
    for segment in data.replace(b"\n", b"\r").split(b"\r"):
        parts = segment.split(field)
        place = _SEGMENTS.get(parts[0])
        if place and len(parts) > place:
            found.add(parts[place].split(component)[0].decode("utf-8", "replace").strip())
    return found - {""}


def identifiers(resource: Any) -> set[str]:
    """Return the values of ``identifier`` of a FHIR resource, or of all in a Bundle.

    :param resource: what JSON was read to; anything that is no resource has none.
    """
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return set()
    entries = resource.get("entry") if resource["resourceType"] == "Bundle" else None
    inner = [one.get("resource") for one in _list(entries) if isinstance(one, dict)]
    found = set()
    for one in [resource, *inner]:
        names = _list(one.get("identifier")) if isinstance(one, dict) else []
        values = [name.get("value") for name in names if isinstance(name, dict)]
        found |= {value.strip() for value in values if isinstance(value, str)}
    return found - {""}


def _list(value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) else []


def _content(path: Path, limit: int) -> bytes | None:
    """Return the bytes of a regular file, no link; None if there is none or it is too long."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = file.read(limit + 1)
    return data if len(data) <= limit else None
