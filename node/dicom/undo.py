"""Undo data: how a header that was changed becomes the original again, in few bytes.

Format 1: ``packing`` (0 stored, 1 zlib), then: transfer syntax (its place in
``SYNTAXES``, or 255, a length byte and the UID), a length byte and the bytes
that announce the original Pixel Data, then for each touched element its place
in ``TOUCHED`` (or 255 and the tag, u32 LE) and 0 (it was absent), 1 (length as
LEB128, raw element) or 2 (it is in the header copy).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from node.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    0x00080008,  # Image Type
    0x00082111,  # Derivation Description
    0x0018A001,  # Contributing Equipment
    0x00280106,  # Smallest
    0x00280107,  # Largest
    0x4FFE0001,  # Mac Parameters
    0x00880200,  # Icon Image
    0xFFFAFFFA,  # Digital Signatures
)
OTHER = 255
STORED, DEFLATED = 0, 1
MAX_UNDO = 1 << 20  # bytes, inflated


class Was(Enum):
    """What became of an element that has no bytes here."""

    ABSENT = 0
    RAW = 1
    IN_COPY = 2


@dataclass(frozen=True, slots=True)
class Undo:
    """What an object was before it was marked.

    :param head: the bytes that announced its Pixel Data; ``b""`` without.
    :param elements: by tag, ascending: the raw element, or where it is.
    """

    transfer_syntax_uid: str
    head: bytes
    elements: dict[int, bytes | Was]


def pack(undo: Undo) -> bytes:
    """Return undo data; the same bytes in every run."""
    parts = [_syntax(undo.transfer_syntax_uid), bytes([len(undo.head)]), undo.head]
    for tag, element in undo.elements.items():
        if tag in TOUCHED:
            parts.append(bytes([TOUCHED.index(tag)]))
        else:
            parts.append(bytes([OTHER]) + tag.to_bytes(4, "little"))
        if isinstance(element, Was):
            parts.append(bytes([element.value]))
        else:
            parts += bytes([Was.RAW.value]), _leb128(len(element)), element
    plain = b"".join(parts)
    packed = zlib.compress(plain, 9)
    if len(packed) < len(plain):
        return bytes([DEFLATED]) + packed
    return bytes([STORED]) + plain


def unpack(data: bytes) -> Undo:
    """Return what :func:`pack` packed.

    :raises UnreadableError: the data are damaged (code ``undo``).
    """
    reader = _Reader(_inflated(data))
    return Undo(reader.syntax(), reader.take(reader.byte()), dict(reader.entries()))


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

    def entries(self) -> Iterator[tuple[int, bytes | Was]]:
        """Yield (tag, raw element or where it is) to the end of the data."""
        while self._at < len(self._data):
            place = self.byte()
            if place != OTHER and place >= len(TOUCHED):
                raise _damaged()
            tag = int.from_bytes(self.take(4), "little") if place == OTHER else TOUCHED[place]
            kind = self.byte()
            if kind > Was.IN_COPY.value:
                raise _damaged()
            was = Was(kind)
            yield tag, self.take(self._length()) if was is Was.RAW else was

    def _length(self) -> int:
        length = 0
        for shift in range(0, 28, 7):
            byte = self.byte()
            length |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return length
        raise _damaged()


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


def _inflated(data: bytes) -> bytes:
    if data[:1] == bytes([STORED]):
        return data[1:]
    if data[:1] != bytes([DEFLATED]):
        raise _damaged()
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data[1:], MAX_UNDO)
    except zlib.error:
        raise _damaged() from None
    if not stream.eof or stream.unused_data:
        raise _damaged()
    return plain


def _damaged() -> UnreadableError:
    return UnreadableError("the undo data are damaged", code="undo")
