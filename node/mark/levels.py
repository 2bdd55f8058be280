"""Small numbers, most of them 0, as few bytes as can be: adaptive binary range coding.

A number is coded in unary, at most ``MOST`` decisions. The chance of each
decision is learnt in a context: which detail the number is of, how many
decisions went before, and how busy its neighbourhood is. 32-bit range, 12-bit
chances, integers only. Format: docs/formats/robust-v1.md, section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Shape = tuple[int, int, int]

MOST = 15
"""The largest number."""

BUSY = 5
"""Classes of neighbourhoods, by how many numbers in them are not 0."""

ONE, RATE = 1 << 12, 4
"""A chance of 1, and how slowly chances are learnt."""

TOP, MASK = 1 << 24, (1 << 32) - 1


def encode(levels: NDArray[np.int32]) -> bytes:
    """Return the bytes of an array (rows, columns, details) of numbers from 0 to MOST."""
    flat: list[int] = levels.ravel().tolist()
    coder = _Encoder()

    def write(index: int, context: int) -> int:
        level = flat[index]
        for step in range(level):
            coder.put(context + step, bit=True)
        if level < MOST:
            coder.put(context + level, bit=False)
        return level

    rows, columns, details = levels.shape
    _visit((rows, columns, details), write)
    return coder.finish()


def decode(data: bytes, shape: Shape) -> NDArray[np.int32]:
    """Undo :func:`encode`.

    :raises UnreadableError: the bytes are not what it makes of any array of this shape.
    """
    flat: list[int] = []
    coder = _Decoder(data)

    def read(_index: int, context: int) -> int:
        level = 0
        while level < MOST and coder.take(context + level):
            level += 1
        flat.append(level)
        return level

    _visit(shape, read)
    levels = np.array(flat, np.int32).reshape(shape)
    if encode(levels) != data:
        raise UnreadableError("the levels of the robust mark are damaged", code="robust")
    return levels


def _visit(shape: Shape, code: Callable[[int, int], int]) -> None:
    """Call ``code(index, context)`` for every number in order; it returns the number."""
    rows, columns, details = shape
    above = [0] * columns
    index = 0
    for _ in range(rows):
        left = 0
        for column in range(columns):
            around, own = above[column] + left, 0
            for detail in range(details):
                busy = min((around + 1) // 2 + own, BUSY - 1)
                if code(index, (detail * BUSY + busy) * (MOST + 1)):
                    own += 1
                index += 1
            above[column] = left = own


class _Encoder:
    """A range coder; a carry runs back through the bytes already out."""

    def __init__(self) -> None:
        self._chances: dict[int, int] = {}
        self._out = bytearray()
        self._low, self._range = 0, MASK

    def put(self, context: int, *, bit: bool) -> None:
        chance = self._chances.get(context, ONE // 2)
        bound = (self._range >> 12) * chance
        if bit:
            self._low += bound
            self._range -= bound
            self._chances[context] = chance - (chance >> RATE)
            if self._low > MASK:
                self._low &= MASK
                self._carry()
        else:
            self._range = bound
            self._chances[context] = chance + ((ONE - chance) >> RATE)
        while self._range < TOP:
            self._range <<= 8
            self._out.append(self._low >> 24)
            self._low = self._low << 8 & MASK

    def finish(self) -> bytes:
        """Return the fewest bytes that, with zeros after them, name the range."""
        for size in range(5):
            unit = 1 << 8 * (4 - size)
            value = -(-self._low // unit) * unit
            if value < self._low + self._range:
                break
        if value > MASK:
            self._carry()
        self._out += (value & MASK).to_bytes(4, "big")[:size]
        return bytes(self._out).rstrip(b"\0")

    def _carry(self) -> None:
        place = len(self._out) - 1
        while self._out[place] == 0xFF:  # noqa: PLR2004 - a full byte
            self._out[place] = 0
            place -= 1
        self._out[place] += 1


class _Decoder:
    """The other end; zeros follow the data."""

    def __init__(self, data: bytes) -> None:
        self._chances: dict[int, int] = {}
        self._data = data
        self._code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self._at, self._range = 4, MASK

    def take(self, context: int) -> bool:
        chance = self._chances.get(context, ONE // 2)
        bound = (self._range >> 12) * chance
        bit = self._code >= bound
        if bit:
            self._code -= bound
            self._range -= bound
            self._chances[context] = chance - (chance >> RATE)
        else:
            self._range = bound
            self._chances[context] = chance + ((ONE - chance) >> RATE)
        while self._range < TOP:
            following = self._data[self._at] if self._at < len(self._data) else 0
            self._code = (self._code << 8 | following) & MASK
            self._range <<= 8
            self._at += 1
        return bit
