"""Deflated data sets (PS3.5 A.5), within bounds."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from node.errors import UnreadableError

if TYPE_CHECKING:
    from node.dicom.elements import Buffer

# A deflated data set may grow to the larger of a floor that any header fits in
# and a multiple of its size, below a ceiling.
INFLATE_FLOOR = 64 << 20
INFLATE_RATIO = 200
INFLATE_CEILING = 2 << 30


def inflate(data: Buffer, origin: int = 0) -> bytes:
    """Return an inflated data set (PS3.5 A.5).

    :raises UnreadableError: it is no deflate stream, or grows beyond the bound.
    """
    size = len(data) - origin
    bound = min(max(INFLATE_FLOOR, INFLATE_RATIO * size), INFLATE_CEILING)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(data[origin:], bound)
    except zlib.error:
        raise UnreadableError("the deflated data set is damaged", code="inflate") from None
    if not stream.eof:
        raise UnreadableError("the deflated data set is cut off or too large", code="inflate")
    rest = stream.unused_data
    if rest[:8] == struct.pack("<II", zlib.crc32(inflated), len(inflated) & 0xFFFFFFFF):
        rest = rest[8:]  # some writers put the trailer of gzip (RFC 1952) there
    if rest.strip(b"\0"):
        raise UnreadableError("bytes follow the deflated data set", code="inflate")
    return inflated


def deflate(dataset: bytes) -> bytes:
    """Return a data set deflated, padded to even length; always the same bytes."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = stream.compress(dataset) + stream.flush()
    return deflated + b"\0" * (len(deflated) % 2)
