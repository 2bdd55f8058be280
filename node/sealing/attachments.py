"""What the record of an object carries of other systems: a report, a resource, a message.

Source: docs/formats/payload-v1.md, section 8. SECURITY: attachments are
patient data; they exist in memory and sealed, nowhere else of ours.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

from node.dicom import marked
from node.errors import DamagedError, NotOurKeyError, UnreadableError
from node.sealing.carrying import unframe
from node.types import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from node.crypto.base import Opener
    from node.dicom.reader import DicomObject
    from node.types import Binding, Record

PURPOSE = b"attachments"  # of the seal that closes those outside the record
KINDS = (  # a code is the place in this list, from 1
    "application/fhir+json", "x-application/hl7-v2+er7", "application/pdf",
)  # fmt: skip
SUFFIXES = dict(zip(KINDS, (".json", ".hl7", ".pdf"), strict=True))
MAX_BYTES = 16 << 20  # of all attachments of an object together
MAX_COUNT = 255
_INSIDE, _OUTSIDE = b"\x01", b"\x02"
_STORED, _DEFLATED = b"\x00", b"\x01"
_HEAD = struct.Struct(">BI")


def pack(attachments: Iterable[Attachment]) -> bytes:
    """Return attachments as bytes, ``b""`` for none; the same for the same, in any order."""
    parts = [_HEAD.pack(KINDS.index(one.kind) + 1, len(one.data)) + one.data for one in attachments]
    if not parts:
        return b""
    whole = b"".join(sorted(parts))
    deflated = zlib.compress(whole, 9)
    return _DEFLATED + deflated if len(deflated) < len(whole) else _STORED + whole


def unpack(packed: bytes) -> tuple[Attachment, ...]:
    """Return the attachments in bytes that :func:`pack` made.

    :raises UnreadableError: the bytes are no such.
    """
    whole = _inflate(packed[1:]) if packed[:1] == _DEFLATED else packed[1:]
    if packed[:1] not in {_STORED, _DEFLATED} or not whole:
        raise UnreadableError("the attachments are packed in an unknown way")
    found: list[Attachment] = []
    at = 0
    while at < len(whole):
        if at + _HEAD.size > len(whole):
            raise UnreadableError("the attachments end too early")
        code, length = _HEAD.unpack_from(whole, at)
        at += _HEAD.size
        if not 1 <= code <= len(KINDS) or at + length > len(whole) or len(found) >= MAX_COUNT:
            raise UnreadableError("an attachment is of no known kind, or too long")
        found.append(Attachment(KINDS[code - 1], whole[at : at + length]))
        at += length
    return tuple(found)


def inside(packed: bytes) -> bytes:
    """Return the section of a record that holds attachments itself."""
    return _INSIDE + packed


def outside(packed: bytes) -> bytes:
    """Return the section of a record whose attachments ride in the header: their digest."""
    return _OUTSIDE + hashlib.sha256(packed).digest()


def is_outside(section: bytes) -> bool:
    """Return whether the attachments of a section ride in the header."""
    return section[:1] == _OUTSIDE


def opened(
    opener: Opener, obj: DicomObject, record: Record, binding: Binding
) -> tuple[Attachment, ...] | None:
    """Return what is attached to an object; None where that is lost, or makes no sense."""
    section = record.attached
    if not section:
        return ()
    packed = section[1:]
    with suppress(DamagedError, NotOurKeyError, UnreadableError):
        if is_outside(section):
            value = unframe(marked.private_value(obj, marked.ATTACHMENTS))
            packed = opener.open(value, binding, PURPOSE)
        if section in {inside(packed), outside(packed)}:
            return unpack(packed)
    return None


def _inflate(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        whole = unpacker.decompress(data, MAX_BYTES + MAX_COUNT * _HEAD.size)
    except zlib.error:
        raise UnreadableError("the attachments are damaged") from None
    if not unpacker.eof or unpacker.unused_data:
        raise UnreadableError("the attachments are damaged")
    return whole
