"""A compressed bit plane: Fridrich, Goljan and Du, "Invertible authentication", Proc. SPIE 4314
(2001) 197.

The lowest bit plane that compresses far enough is compressed without loss; the
room that this frees takes the payload. Packed rows and LZMA stand for their JBIG.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from bench.baselines.container import NoRoomError, bits_of, bytes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "LSB plane"
PLANES = 8
HEAD = struct.Struct(">IIIB")  # compressed bytes, payload bytes, CRC-32 of both, how
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]


def embed(image: NDArray[np.uint8], payload: bytes) -> NDArray[np.uint8]:
    """Return the marked image.

    :raises NoRoomError: no plane frees enough.
    """
    for plane in range(PLANES):
        packed, how = _packed(bytes_of((image >> plane & 1).reshape(-1)))
        check = zlib.crc32(packed + payload)
        stream = bits_of(HEAD.pack(len(packed), len(payload), check, how) + packed + payload)
        if len(stream) <= image.size:
            bits = (image >> plane & 1).reshape(-1)
            bits[: len(stream)] = stream
            return image & ~np.uint8(1 << plane) | bits.reshape(image.shape) << np.uint8(plane)
    raise NoRoomError(NAME)


def extract(marked: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.uint8]]:
    """Return the payload and the image as it was."""
    for plane in range(PLANES):
        data = bytes_of((marked >> plane & 1).reshape(-1))
        size, length, check, how = HEAD.unpack_from(data)
        body = data[HEAD.size : HEAD.size + size + length]
        if zlib.crc32(body) == check and len(body) == size + length:
            bits = bits_of(_unpacked(body[:size], how))[: marked.size].reshape(marked.shape)
            return body[size:], marked & ~np.uint8(1 << plane) | bits << np.uint8(plane)
    raise ValueError("no plane carries anything")


def _packed(data: bytes) -> tuple[bytes, int]:
    ways = zlib.compress(data, 9), lzma.compress(data, lzma.FORMAT_RAW, filters=FILTERS)
    how = min(range(len(ways)), key=lambda index: len(ways[index]))
    return ways[how], how


def _unpacked(data: bytes, how: int) -> bytes:
    return lzma.decompress(data, lzma.FORMAT_RAW, filters=FILTERS) if how else zlib.decompress(data)
