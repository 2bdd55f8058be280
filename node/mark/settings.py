"""What the ten-bit header of a tile says, and the tables that it points into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SLOPES = (0, 6, 12, 18, 24, 30, 36, 48, 60, 72, 96, 120, 144, 192, 240, 288)
OFFSETS = (0, 1, 2, 4)
GRADES = ((1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (4, 0), (6, 0), (8, 0))
"""(amplitude, mode of coding)."""

AMPLITUDES = sorted({amplitude for amplitude, _ in GRADES})
"""The amplitudes that there are."""

PREDICTORS = 2
REACH = 63
"""The largest bin that carries; a class that asks for a larger one rests."""

HEADER_BITS = 4 + 2 + 3 + 1
TAG_BYTES = 8

SIZE_BITS = 7
LENGTH_BITS = 16
"""Follow the size code if it is the last one, and hold the length itself."""

LEAD_BITS = HEADER_BITS + SIZE_BITS + LENGTH_BITS
"""As many bits of the message tell how long it is."""

SIZES = (*range(6, 12), *((12 + step) << octave for octave in range(11) for step in range(12)))[
    :127
]
"""Shard lengths, in bytes, that have a code of their own."""

FLOORS = np.array(
    [*range(4)] + [(4 + part) << octave for octave in range(34) for part in range(4)],
    dtype=np.int64,
)
"""The smallest unrest of each class, four classes an octave."""


def size_bits(length: int) -> list[int]:
    """Return the bits that say how long a shard is."""
    if length in SIZES:
        return to_bits(SIZES.index(length), SIZE_BITS)
    return to_bits(len(SIZES) << LENGTH_BITS | length, SIZE_BITS + LENGTH_BITS)


def read_size(bits: Sequence[int]) -> tuple[int, int]:
    """Return the length of a shard, and how many of the bits said so; -1 if it is said wrongly."""
    code = from_bits(bits[:SIZE_BITS])
    if code < len(SIZES):
        return SIZES[code], SIZE_BITS
    whole = SIZE_BITS + LENGTH_BITS
    length = from_bits(bits[SIZE_BITS:whole])
    return (length if length not in SIZES else -1), whole


def to_bits(number: int, width: int) -> list[int]:
    """Return a number as bits, most significant first."""
    return [number >> shift & 1 for shift in range(width - 1, -1, -1)]


def from_bits(bits: Sequence[int]) -> int:
    """Undo :func:`to_bits`."""
    number = 0
    for bit in bits:
        number = number << 1 | bit
    return number


@dataclass(frozen=True, slots=True)
class Settings:
    """One header: indices into SLOPES, OFFSETS and GRADES, and the predictor."""

    slope: int
    offset: int
    grade: int
    predictor: int

    @property
    def number(self) -> int:
        """The header as a number of ten bits."""
        return ((self.slope << 2 | self.offset) << 3 | self.grade) << 1 | self.predictor

    @classmethod
    def parse(cls, number: int) -> Settings:
        """Read a header; every number is one."""
        return cls(number >> 6, number >> 4 & 3, number >> 1 & 7, number & 1)

    @property
    def amplitude(self) -> int:
        """The most that a sample may move."""
        return GRADES[self.grade][0]

    @property
    def mode(self) -> int:
        """Index into ``coding.MODES``."""
        return GRADES[self.grade][1]

    def bins(self) -> NDArray[np.int64]:
        """Return, for every class, the error size from which samples carry."""
        return (FLOORS * SLOPES[self.slope] >> 8) + OFFSETS[self.offset]
