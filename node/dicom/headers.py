"""A data set without its pixels: what is hashed, copied and put back.

A *header* is bytes that say all of a data set but the pixels themselves:
``transfer syntax UID | 0x00 | start | cut | rest | elements``. ``elements``
are the raw elements, ``start`` (u32 LE) the offset of the Pixel Data element
in them, ``cut`` the offset at which the pixels belong, ``rest`` that of the
next element; all three are the length of ``elements`` if there is no Pixel
Data. What follows the words of the image inside a native value field (padding)
is part of the header. An Extended Offset Table is not: it describes one
particular stream.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from node.dicom.elements import UNDEFINED, Element, walk
from node.dicom.elements import header as element_header
from node.dicom.native import facts_of
from node.dicom.reader import NATIVE_SYNTAXES, PIXEL_DATA, DicomObject, encoding_of
from node.errors import UnreadableError, UnsealableError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_COPY = 64 << 10  # bytes of a compressed header that rides in the object
MAX_MASKED = 15 << 20  # the same of one whose clear text is nowhere else; a seal holds 16 MiB
MAX_HEADER = 64 << 20  # bytes of such a header
OFFSET_TABLES = (0x7FE00001, 0x7FE00002)

_OFFSETS = struct.Struct("<III")


def pixel_span(obj: DicomObject) -> tuple[int, int]:
    """Return where the pixels of an object lie in ``obj.data``: its words, or its stream.

    For a native image that cannot be marked it is the whole value field.
    """
    element = obj.index[PIXEL_DATA]
    if element.undefined:
        return element.value, element.stop
    try:
        size = facts_of(obj).size
    except UnsealableError:
        return element.value, element.stop
    return element.value, min(element.value + size, element.stop)


def offset_tags(obj: DicomObject) -> list[int]:
    """Return the tags of the Extended Offset Table, if there is a stream that it describes."""
    element = obj.index.get(PIXEL_DATA)
    if element is None or not element.undefined:
        return []
    return [tag for tag in OFFSET_TABLES if tag in obj.index]


def offset_tables(obj: DicomObject) -> bytes:
    """Return the raw elements of the Extended Offset Table; ``b""`` without one."""
    found = [obj.index[tag] for tag in offset_tags(obj)]
    return b"".join(obj.data[element.start : element.end] for element in found)


def header_bytes(obj: DicomObject) -> bytes:
    """Return the header of an object; the same in every run.

    :raises UnsealableError: the elements are not in order (code ``order``), or
        Pixel Data end in a delimiter that has a length (code ``delimiter``).
    """
    return obj.once(_header_bytes)


def _header_bytes(obj: DicomObject) -> bytes:
    before, after = assemble(obj, dict.fromkeys(offset_tags(obj)))
    element = obj.index.get(PIXEL_DATA)
    if element is None:
        return pack_header(obj.transfer_syntax_uid, before, b"", b"", after)
    _, stop = pixel_span(obj)
    if element.undefined and obj.data[stop + 4 : element.end] != bytes(4):
        # Nobody who writes the stream anew would write that (PS3.5 A.4).
        raise UnsealableError("the pixel data end in a malformed delimiter", code="delimiter")
    head = obj.data[element.start : element.value]
    return pack_header(obj.transfer_syntax_uid, before, head, obj.data[stop : element.end], after)


def pack_header(
    transfer_syntax_uid: str, before: bytes, head: bytes, inside: bytes, after: bytes
) -> bytes:
    """Return a header from its parts.

    :param before: the elements below Pixel Data.
    :param head: Pixel Data up to its value; ``b""`` if there is none.
    :param inside: what follows the pixels but belongs to the same element.
    :param after: the elements above.
    """
    start = len(before)
    cut = start + len(head)
    rest = cut + len(inside)
    if not head:
        start = cut = rest = start + len(after)
    name = transfer_syntax_uid.encode("ascii") + b"\0"
    return name + _OFFSETS.pack(start, cut, rest) + before + head + inside + after


def parse_header(header: bytes) -> DicomObject:
    """Return the object that a header is of; its Pixel Data lack the pixels.

    :raises UnreadableError: the bytes are no header.
    """
    syntax, start, cut, rest, elements = _unpack(header)
    encoding = encoding_of(syntax)
    found = walk(elements, encoding, 0, start)
    if start < len(elements):
        vr = elements[start + 4 : start + 6].decode("ascii", "replace") if encoding.explicit else ""
        stop = cut if is_undefined(elements[start:cut]) else rest
        found += (Element(PIXEL_DATA, vr, start, cut, stop, rest), *walk(elements, encoding, rest))
    return DicomObject(
        elements, 0, b"", syntax, encoding, found, {element.tag: element for element in found}
    )


def is_undefined(head: bytes) -> bool:
    """Whether the bytes that announce a value say that its length is undefined."""
    return head.endswith(b"\xff\xff\xff\xff")


def fill(header: bytes, pixels: bytes, tables: bytes = b"") -> bytes:
    """Return the data set of a header with its pixels back in.

    :param tables: the raw elements of the Extended Offset Table, if the pixels
        are the very stream that it describes.
    :raises UnreadableError: the bytes are no header.
    """
    _, start, cut, _, elements = _unpack(header)
    return b"".join((elements[:start], tables, elements[start:cut], pixels, elements[cut:]))


def header_copy(obj: DicomObject, limit: int = MAX_COPY) -> bytes | None:
    """Return the header compressed, to ride sealed in the object; None if it is too long."""
    copy = zlib.compress(header_bytes(obj), 6)
    return copy if len(copy) <= limit else None


def open_copy(copy: bytes) -> bytes:
    """Return the header that :func:`header_copy` compressed.

    :raises UnreadableError: the bytes are no such copy.
    """
    stream = zlib.decompressobj()
    try:
        header = stream.decompress(copy, MAX_HEADER)
    except zlib.error:
        raise UnreadableError("the header copy is damaged", code="header_copy") from None
    if not stream.eof or stream.unused_data:
        raise UnreadableError("the header copy is damaged", code="header_copy")
    return header


def assemble(obj: DicomObject, changes: Mapping[int, bytes | None]) -> tuple[bytes, bytes]:
    """Return the raw elements below and above Pixel Data, some of them changed.

    :param changes: by tag: the whole new element, or None to leave it out.
        Those that are not there yet are put in where they belong.
    :raises UnsealableError: the elements are not in order (code ``order``).
    """
    if not obj.ordered:
        raise UnsealableError("the elements are not in order", code="order")
    below: list[bytes] = []
    above: list[bytes] = []
    parts = below
    pending = sorted(changes)
    at = obj.origin
    for element in obj.elements:
        while pending and pending[0] <= element.tag:
            tag = pending.pop(0)
            parts += obj.data[at : element.start], changes[tag] or b""
            at = element.end if tag == element.tag else element.start
        if element.tag == PIXEL_DATA:
            parts.append(obj.data[at : element.start])
            at = element.end
            parts = above
    end = obj.elements[-1].end if obj.elements else at
    parts.append(obj.data[at:end])
    parts += [changes[tag] or b"" for tag in pending]
    parts.append(obj.data[end:])
    return b"".join(below), b"".join(above)


def changed(obj: DicomObject, changes: Mapping[int, bytes | None]) -> DicomObject:
    """Return what an object without its pixels becomes by changes.

    :raises UnsealableError: as :func:`assemble`.
    """
    data = b"".join(assemble(obj, {**changes, PIXEL_DATA: None}))
    found = walk(data, obj.encoding)
    index = {element.tag: element for element in found}
    return DicomObject(data, 0, b"", obj.transfer_syntax_uid, obj.encoding, found, index)


def pixel_head(obj: DicomObject, transfer_syntax_uid: str, length: int) -> bytes:
    """Return what announces a Pixel Data value of ``length`` bytes in a transfer syntax."""
    encoding = encoding_of(transfer_syntax_uid)
    if transfer_syntax_uid not in NATIVE_SYNTAXES:
        return element_header(PIXEL_DATA, "OB", UNDEFINED, encoding)  # PS3.5 A.4
    element = obj.index[PIXEL_DATA]
    vr = element.vr
    if not vr or element.undefined:
        vr = "OW" if facts_of(obj).bits_allocated > 8 else "OB"  # PS3.5 A.2  # noqa: PLR2004
    return element_header(PIXEL_DATA, vr, length, encoding)


def _unpack(header: bytes) -> tuple[str, int, int, int, bytes]:
    name, found, rest = header.partition(b"\0")
    if not found or len(rest) < _OFFSETS.size:
        raise UnreadableError("the header copy is damaged", code="header_copy")
    start, cut, next_element = _OFFSETS.unpack_from(rest)
    elements = rest[_OFFSETS.size :]
    if not start <= cut <= next_element <= len(elements):
        raise UnreadableError("the header copy is damaged", code="header_copy")
    return name.decode("ascii", "replace"), start, cut, next_element, elements
