"""Encapsulated Pixel Data: items and the frames inside them (PS3.5 A.4)."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING

from node.dicom.elements import ITEM, Encoding, header, items
from node.dicom.reader import PIXEL_DATA
from node.errors import UnreadableError, UnsealableError

if TYPE_CHECKING:
    from node.dicom.reader import DicomObject

EXTENDED_OFFSETS = 0x7FE00001
_STARTS = (
    b"\xff\xd8\xff",
    b"\xff\x4f\xff\x51",
)  # SOI of JPEG and JPEG-LS; SOC and SIZ of JPEG 2000
_MAX_OFFSET = 0xFFFFFFFF


def frames_of(obj: DicomObject, count: int) -> list[bytes]:
    """Return the streams of ``count`` frames.

    Fragments are put together by what is surest: one frame takes all; as many
    fragments as frames are one each; else the offset tables, if they point at
    fragments; else the markers that streams begin with.

    :raises UnsealableError: it cannot be told which fragment belongs to which
        frame (code ``fragments``).
    """
    try:
        table, *found = items(obj.data, obj.index[PIXEL_DATA], obj.encoding)
    except (ValueError, UnreadableError):
        raise _confused() from None
    fragments = [(start, stop) for start, stop in found if stop > start]
    if not 0 < count <= max(len(fragments), 1) or not fragments:
        raise _confused()
    if count == 1:
        firsts = [0]
    elif len(fragments) == count:
        firsts = list(range(count))
    else:
        firsts = _by_table(obj, table, fragments) or _by_marker(obj, fragments)
        if len(firsts) != count:
            raise _confused()
    ends = [*firsts[1:], len(fragments)]
    return [
        b"".join(obj.data[start:stop] for start, stop in fragments[first:end])
        for first, end in zip(firsts, ends, strict=True)
    ]


def _by_table(
    obj: DicomObject, table: tuple[int, int], fragments: list[tuple[int, int]]
) -> list[int]:
    """The first fragment of each frame as an offset table tells, ``[]`` if it tells nonsense."""
    extended = obj.raw(EXTENDED_OFFSETS)
    raw, code = (extended, "Q") if extended else (obj.data[table[0] : table[1]], "I")
    if not raw or len(raw) % struct.calcsize(code):
        return []
    base = table[1]  # offsets count from the first item after the table
    places = {start - 8 - base: number for number, (start, _) in enumerate(fragments)}
    firsts = [places.get(offset, -1) for (offset,) in struct.iter_unpack("<" + code, raw)]
    rising = all(a < b for a, b in pairwise(firsts))
    return firsts if firsts[0] == 0 and rising else []


def _by_marker(obj: DicomObject, fragments: list[tuple[int, int]]) -> list[int]:
    firsts = [
        number
        for number, (start, _) in enumerate(fragments)
        if obj.data[start : start + 4].startswith(_STARTS)
    ]
    return firsts if firsts and firsts[0] == 0 else []


def to_items(frames: list[bytes]) -> bytes:
    """Return a value field of one fragment a frame, without its sequence delimiter.

    Several frames get a Basic Offset Table as far as 32 bits reach.
    """
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    offsets = []
    at = 0
    for frame in padded:
        offsets.append(at)
        at += 8 + len(frame)
    table = b""
    if len(frames) > 1 and offsets[-1] <= _MAX_OFFSET:
        table = struct.pack(f"<{len(offsets)}I", *offsets)
    parts = [_item_header(table), table]
    for frame in padded:
        parts += _item_header(frame), frame
    return b"".join(parts)


def _item_header(content: bytes) -> bytes:
    return header(ITEM, "", len(content), Encoding.EXPLICIT_LE)


def _confused() -> UnsealableError:
    return UnsealableError("the fragments do not make the frames", code="fragments")
