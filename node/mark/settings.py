"""What the ten-bit header of a tile says, and the tables that it points into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLOPES = (0, 2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96)
OFFSETS = (0, 1, 2, 4)
GRADES = ((1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (4, 0), (6, 0), (8, 0))
"""(amplitude, mode of coding)."""

PREDICTORS = 2
REACH = 63
"""The largest bin that carries; a class that asks for a larger one rests."""

HEADER_BITS = 4 + 2 + 3 + 1
SIZE_BITS = 7
TAG_BYTES = 8

# Four classes an octave; the last holds every possible sum of 16 differences of int32.
FLOORS = np.array(
    [*range(4)] + [(4 + part) << octave for octave in range(35) for part in range(4)],
    dtype=np.int64,
)
"""The smallest unrest of each class."""


def size_of(code: int) -> int:
    """Return the shard length, in bytes, that a size code stands for."""
    return 6 + code if code < 6 else (12 + (code - 6) % 12) << (code - 6) // 12  # noqa: PLR2004


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
