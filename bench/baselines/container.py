"""Bits as the baselines keep them, and parameters in the lowest bits of some samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bits = NDArray[np.uint8]
    Samples = NDArray[np.int64]


class NoRoomError(Exception):
    """The image cannot carry so much by this method."""


def bits_of(data: bytes) -> Bits:
    """Return the bits of some bytes, the most significant first."""
    return np.unpackbits(np.frombuffer(data, np.uint8))


def bytes_of(bits: Bits) -> bytes:
    """Return the bytes of some bits."""
    return np.packbits(bits).tobytes()


def number(value: int, width: int) -> Bits:
    """Return a number as bits, the most significant first."""
    return np.array([value >> place & 1 for place in reversed(range(width))], np.uint8)


def value(bits: Bits) -> int:
    """Return the number that bits stand for."""
    return int("".join(map(str, bits.tolist())) or "0", 2)


def put(samples: Samples, places: NDArray[np.int64], bits: Bits) -> Bits:
    """Write bits into the lowest bits of flat samples; return what stood there."""
    there = places[: len(bits)]
    before = (samples[there] & 1).astype(np.uint8)
    samples[there] = samples[there] & ~1 | bits
    return before
