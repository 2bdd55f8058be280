"""Undo data: how a header that :mod:`node.dicom.marked` changed becomes the original again.

Format 1: ``packing`` (0 stored, 1 zlib), then: transfer syntax (its place in
``SYNTAXES``, or 255, a length byte and the UID), a length byte and the bytes
that announce the original Pixel Data, then for each touched element its place
in ``TOUCHED`` (or 255 and the tag, u32 LE) and 0 (it was absent), 1 (length as
LEB128, raw element) or 2 (it is in the header copy).
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from node.dicom import marked
from node.dicom.elements import SEQUENCE_END, header
from node.dicom.headers import OFFSET_TABLES, assemble, pack_header, pixel_span
from node.dicom.reader import NATIVE_SYNTAXES, PIXEL_DATA, encoding_of
from node.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.dicom.reader import DicomObject

# Places in these two are part of the format: append only.
SYNTAXES = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
)
TOUCHED = (
    marked.IMAGE_TYPE,
    marked.DERIVATION_DESCRIPTION,
    marked.CONTRIBUTING_EQUIPMENT,
    marked.SMALLEST,
    marked.LARGEST,
    marked.MAC_PARAMETERS,
    marked.ICON_IMAGE,
    marked.DIGITAL_SIGNATURES,
)
OTHER = 255
STORED, DEFLATED = 0, 1
ABSENT, RAW, IN_COPY = 0, 1, 2
MAX_RAW = 256  # bytes; a longer element is taken from the header copy if there is one
MAX_UNDO = 1 << 20  # bytes, inflated


def undo(obj: DicomObject, changes: marked.Changes, *, header_copy: bool) -> bytes:
    """Return what turns the changed header of ``obj`` back; the same in every run.

    :param header_copy: whether the whole header rides in the object, so that
        long elements need not be in here.
    """
    pixel = obj.index.get(PIXEL_DATA)
    head = obj.data[pixel.start : pixel.value] if pixel else b""
    parts = [_syntax(obj.transfer_syntax_uid), bytes([len(head)]), head]
    for tag in changes.touched:
        if tag in TOUCHED:
            parts.append(bytes([TOUCHED.index(tag)]))
        else:
            parts.append(bytes([OTHER]) + tag.to_bytes(4, "little"))
        element = obj.index.get(tag)
        if element is None:
            parts.append(bytes([ABSENT]))
            continue
        raw = obj.data[element.start : element.end]
        if header_copy and len(raw) > MAX_RAW:
            parts.append(bytes([IN_COPY]))
        else:
            parts += bytes([RAW]), _leb128(len(raw)), raw
    plain = b"".join(parts)
    packed = zlib.compress(plain, 9)
    if len(packed) < len(plain):
        return bytes([DEFLATED]) + packed
    return bytes([STORED]) + plain


def undress(obj: DicomObject, undo_data: bytes, original: DicomObject | None = None) -> bytes:
    """Return the header (see :mod:`node.dicom.headers`) that a marked object had before.

    :param original: what the header copy says, if there is one; needed only
        where the undo data refer to it.
    :raises UnreadableError: the undo data are damaged (code ``undo``), or the
        object is now written in another encoding (code ``encoding``).
    """
    reader = _Reader(_unpacked(undo_data))
    syntax = reader.syntax()
    head = reader.take(reader.byte())
    if encoding_of(syntax) is not obj.encoding:
        raise UnreadableError("the data set was encoded anew", code="encoding")
    changes: dict[int, bytes | None] = dict.fromkeys(OFFSET_TABLES)
    block = marked.private_block(obj)
    if block is not None:
        changes |= dict.fromkeys(_own_tags(obj, block))
    for tag, raw in reader.entries():
        element = original.index.get(tag) if original and raw is None else None
        if element and original:
            changes[tag] = original.data[element.start : element.end]
        else:
            changes[tag] = raw
    before, after = assemble(obj, changes)
    pixel = obj.index.get(PIXEL_DATA)
    if not head or pixel is None:
        return pack_header(syntax, before, b"", b"", after)
    if syntax not in NATIVE_SYNTAXES:
        inside = header(SEQUENCE_END, "", 0, obj.encoding)
    elif pixel.undefined:
        inside = b""
    else:
        inside = obj.data[pixel_span(obj)[1] : pixel.end]
    return pack_header(syntax, before, head, inside, after)


class _Reader:
    """Takes undo data apart, strictly."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise _damaged()
        self._at += count
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def syntax(self) -> str:
        place = self.byte()
        if place == OTHER:
            return self.take(self.byte()).decode("ascii", "replace")
        if place >= len(SYNTAXES):
            raise _damaged()
        return SYNTAXES[place]

    def entries(self) -> Iterator[tuple[int, bytes | None]]:
        """Yield (tag, raw element); None for one that is absent or in the header copy."""
        while self._at < len(self._data):
            place = self.byte()
            if place != OTHER and place >= len(TOUCHED):
                raise _damaged()
            tag = int.from_bytes(self.take(4), "little") if place == OTHER else TOUCHED[place]
            kind = self.byte()
            if kind not in {ABSENT, RAW, IN_COPY}:
                raise _damaged()
            yield tag, self.take(self._length()) if kind == RAW else None

    def _length(self) -> int:
        length = 0
        for shift in range(0, 28, 7):
            byte = self.byte()
            length |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return length
        raise _damaged()


def _own_tags(obj: DicomObject, block: int) -> list[int]:
    """Our private elements and their creator."""
    low = marked.PRIVATE_GROUP << 16 | block << 8
    tags = [tag for tag in obj.index if low <= tag <= low | 0xFF]
    return [marked.PRIVATE_GROUP << 16 | block, *tags]


def _syntax(transfer_syntax_uid: str) -> bytes:
    if transfer_syntax_uid in SYNTAXES:
        return bytes([SYNTAXES.index(transfer_syntax_uid)])
    return bytes([OTHER, len(transfer_syntax_uid)]) + transfer_syntax_uid.encode("ascii")


def _leb128(number: int) -> bytes:
    groups = []
    while number > 0x7F:  # noqa: PLR2004 - seven bits
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _unpacked(undo_data: bytes) -> bytes:
    if undo_data[:1] == bytes([STORED]):
        return undo_data[1:]
    if undo_data[:1] != bytes([DEFLATED]):
        raise _damaged()
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(undo_data[1:], MAX_UNDO)
    except zlib.error:
        raise _damaged() from None
    if not stream.eof or stream.unused_data:
        raise _damaged()
    return plain


def _damaged() -> UnreadableError:
    return UnreadableError("the undo data are damaged", code="undo")
