"""What a tile says about its samples, and the tables that this points into.

Format: docs/formats/mark-v2.md, sections 3 and 4.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AMPLITUDES = (1, 2, 3, 4, 6, 8)

PREDICTORS = (
    (8, 8, 0, 0, 0), (12, 12, -8, 0, 0), (15, 15, -12, -1, -1), (17, 17, -18, 0, 0),
    (8, 16, -8, 0, 0), (16, 8, -8, 0, 0), (9, 13, -2, -1, -3), (13, 9, -2, -3, -1),
    (0, 16, 6, 0, -6), (16, 0, 6, -6, 0), (3, 19, -3, -1, -2), (19, 3, -3, -2, -1),
    (3, 7, 12, -3, -3), (7, 3, 12, -3, -3), (-8, 18, 9, 0, -3), (18, -8, 9, -3, 0),
)  # fmt: skip
"""Sixteenths of a prediction that come from the samples above and below, left and right, at the
corners, a knight's move away by two rows, and by two columns."""

SHAPES = ((11, 6), (3, 2), (5, 3), (31, 16))
"""Freedom and power: an error of ``z`` widths weighs ``(1 + z * z / freedom) ** -power``."""

BASES = tuple((4 + step % 4) << (step // 4 + 1) for step in range(32))
SLOPES = (0, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)

PRICES = tuple(round(65536 * 2 ** (-(2 ** (step / 36 - 5)))) for step in range(256))
"""How much rarer, in 65536ths, an error may be than one that is an amplitude smaller."""

QUARTERS = 4
"""Predictions are in quarters of a sample."""

LEVELS = 64
"""Errors of so many amplitudes and more rest."""

WIDEST = 1024
"""Classes wider than so many 64ths of an amplitude rest."""

STATE_BITS = 16

SMALL = 128 * 128
"""Tiles of at most so many samples have the short header."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the header of a tile is laid out.

    :param widths: bits of amplitude, predictor, shape, base, slope, price and stop.
    :param strides: of which every how many values of these can be named.
    """

    widths: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def model_bits(self) -> int:
        """Bits that name the model."""
        return sum(self.widths[:-1])

    @property
    def stop_bits(self) -> int:
        """Bits that say where the message ends."""
        return self.widths[-1]

    @property
    def bits(self) -> int:
        """Bits of the whole header."""
        return sum(self.widths) + STATE_BITS


LONG = Layout((3, 4, 2, 5, 4, 8, 8), (1, 1, 1, 1, 1, 1))
SHORT = Layout((3, 3, 1, 5, 3, 5, 5), (1, 1, 1, 1, 2, 8))


def layout(samples: int) -> Layout:
    """Return the layout for a tile of so many samples."""
    return SHORT if samples <= SMALL else LONG


@dataclass(frozen=True, slots=True)
class Model:
    """Indices into AMPLITUDES, PREDICTORS, SHAPES, BASES, SLOPES and PRICES."""

    grade: int
    predictor: int
    shape: int
    base: int
    slope: int
    price: int

    @property
    def number(self) -> int:
        """The model as a number of 26 bits."""
        return self.packed(LONG)

    @classmethod
    def of(cls, number: int) -> Model:
        """Undo :attr:`number`."""
        return cls(*_split(number, LONG.widths[:-1]))

    def packed(self, layout: Layout) -> int:
        """Return the model as it stands in a header."""
        values = astuple(self)
        parts = [value // stride for value, stride in zip(values, layout.strides, strict=True)]
        return _join(parts, layout.widths)

    @classmethod
    def unpack(cls, number: int, layout: Layout) -> Model | None:
        """Undo :meth:`packed`; None if it names an amplitude that there is not."""
        parts = _split(number, layout.widths[:-1])
        if parts[0] >= len(AMPLITUDES):
            return None
        return cls(*(part * stride for part, stride in zip(parts, layout.strides, strict=True)))

    @property
    def amplitude(self) -> int:
        """How far a sample moves."""
        return AMPLITUDES[self.grade]


def _join(parts: Iterable[int], widths: Sequence[int]) -> int:
    number = 0
    for part, width in zip(parts, widths, strict=False):
        number = number << width | part
    return number


def _split(number: int, widths: Sequence[int]) -> list[int]:
    parts = []
    for width in reversed(widths):
        parts.append(number & (1 << width) - 1)
        number >>= width
    return parts[::-1]
