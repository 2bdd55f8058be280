"""Linear algebra over GF(2^8) on strips of bytes, by nothing but XOR.

A *row* is a string of bytes cut into eight strips of equal length. The
symbol at bit b of byte j has, as its bit s, that bit of strip s: multiplying
a whole row by a constant is then a few XORs of strips, which run at the speed
of memory, where tables go byte by byte. A matrix becomes a *plan* of XORs
once, and is run over many rows.

The field is that of 0x11D and the points are 0, 1, 2, 4, 8 ..., as in zfec: the
code is zfec's but for which bits make a symbol. Source:
docs/formats/share-v1.md, section 4; Plank et al., "Jerasure", for planes of
bits; Paar 1997, "Optimized arithmetic for Reed-Solomon encoders", for sharing
common parts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Buffer = bytes | bytearray | memoryview
    Row = NDArray[np.uint8]
    Matrix = tuple[tuple[int, ...], ...]

STRIPS = 8
POINTS = 256
_POLYNOMIAL = 0x11D
_ORDER = 255  # of the multiplicative group
_CACHE = 4 << 20  # bytes; what the strips of one block may take together
_BLOCKS = (4096, 65536)  # bytes of a strip: less costs calls, more gains nothing
_FRUGAL = 200  # constants of a matrix up to which looking for common parts takes under 0.5 s


@dataclass(frozen=True, slots=True)
class Plan:
    """XORs that multiply rows by a matrix.

    :param steps: ``(target, a, b)``, in order; without a second operand
        ``b`` is -1. Strips are numbered: those of the inputs, then those of the
        outputs, then scratch.
    """

    inputs: int
    outputs: int
    scratch: int
    steps: tuple[tuple[int, int, int], ...]

    @property
    def strips(self) -> int:
        """How many strips there are."""
        return self.inputs + self.outputs + self.scratch


def multiply(a: int, b: int) -> int:
    """Return the product of two elements."""
    exp, log = _tables()
    return exp[log[a] + log[b]] if a and b else 0


def divide(a: int, b: int) -> int:
    """Return the quotient of two elements.

    :raises ZeroDivisionError: ``b`` is 0.
    """
    if b == 0:
        raise ZeroDivisionError("division by 0 in GF(2^8)")
    exp, log = _tables()
    return exp[log[a] - log[b] + _ORDER] if a else 0


def point(index: int) -> int:
    """Return the point of an index: 0 for 0, else ``2^(index - 1)``."""
    return _tables()[0][index - 1] if index else 0


def powers(index: int, count: int) -> tuple[int, ...]:
    """Return ``1, x, x^2 ...`` of an index's point: what coefficients weigh there."""
    row = [1]
    for _ in range(count - 1):
        row.append(multiply(row[-1], point(index)))
    return tuple(row)


def interpolation(known: Sequence[int], wanted: Sequence[int]) -> Matrix:
    """Return the matrix that turns values at known points into those at others.

    For polynomials of degree less than ``len(known)``, after Lagrange. All are
    indices of points; the known ones must differ.
    """
    return tuple(tuple(_weight(known, j, target) for j in known) for target in wanted)


def apply(
    matrix: Matrix,
    rows: Sequence[Row],
    outs: Sequence[Row],
    draw: Callable[[int], Buffer] = bytes,
) -> None:
    """Multiply rows by a matrix.

    :param rows: uint8, flat, a multiple of 8 long, all equally; one for each
        column, or fewer if the last ones are drawn.
    :param outs: the same, one for each row of the matrix; they are overwritten.
    :param draw: gives so many bytes of the rows that are missing; what it gave
        is done with when it is called again.
    """
    plan, xor = plan_of(matrix), np.bitwise_xor
    sources = [strip for row in rows for strip in row.reshape(STRIPS, -1)]
    targets = [strip for row in outs for strip in row.reshape(STRIPS, -1)]
    missing = plan.inputs - len(sources)
    length = len(targets[0])
    if not length:
        return
    least, most = _BLOCKS
    block = max(least, min(most, _CACHE // plan.strips))
    block = -(-length // -(-length // block))
    scratch = np.empty((plan.scratch, block), np.uint8)
    for start in range(0, length, block):
        here = slice(start, start + block)
        count = min(block, length - start)
        drawn = np.frombuffer(draw(missing * count), np.uint8, missing * count)
        strips = [
            *(strip[here] for strip in sources),
            *drawn.reshape(missing, count),
            *(strip[here] for strip in targets),
            *scratch[:, :count],
        ]
        for target, a, b in plan.steps:
            if b < 0:
                np.copyto(strips[target], strips[a])
            else:
                xor(strips[a], strips[b], strips[target])


@lru_cache(maxsize=64)
def plan_of(matrix: Matrix) -> Plan:
    """Return the plan of a matrix. Always the same for the same matrix."""
    terms, parts = _sums(matrix)
    inputs, outputs = STRIPS * len(matrix[0]), len(terms)
    return _Writer(inputs, outputs, parts).write(terms)


def _weight(known: Sequence[int], of: int, target: int) -> int:
    above, below = 1, 1
    for other in known:
        if other != of:
            above = multiply(above, point(target) ^ point(other))
            below = multiply(below, point(of) ^ point(other))
    return divide(above, below)


@lru_cache(maxsize=1)
def _tables() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return powers of 2 (twice over, so that sums of logarithms need no modulo) and logarithms."""
    exp, log, value = [0] * (2 * _ORDER), [0] * POINTS, 1
    for power in range(_ORDER):
        exp[power] = exp[power + _ORDER] = value
        log[value] = power
        value = value << 1 ^ (_POLYNOMIAL if value & 0x80 else 0)
    return tuple(exp), tuple(log)


def _bits(matrix: Matrix) -> NDArray[np.int32]:
    """Return the matrix over GF(2) that does to bits what the given one does to symbols."""
    grid = np.zeros((STRIPS * len(matrix), STRIPS * len(matrix[0])), np.int32)
    for r, row in enumerate(matrix):
        for c, constant in enumerate(row):
            for bit in range(STRIPS):
                product = multiply(constant, 1 << bit)
                for target in range(STRIPS):
                    grid[STRIPS * r + target, STRIPS * c + bit] = product >> target & 1
    return grid


def _sums(matrix: Matrix) -> tuple[list[list[int]], dict[int, tuple[int, int]]]:
    """Return which terms each output is the sum of, and the common parts among the terms.

    The pair of terms that occurs in most outputs becomes a term of its own, as
    long as one occurs twice (Paar's heuristic).
    """
    grid = _bits(matrix)
    parts: dict[int, tuple[int, int]] = {}
    if len(matrix) * len(matrix[0]) <= _FRUGAL:
        counts = grid.T @ grid
        np.fill_diagonal(counts, 0)
        while counts.max() > 1:
            a, b = sorted(int(i) for i in np.unravel_index(np.argmax(counts), counts.shape))
            both = grid[:, a] & grid[:, b]
            grid[:, a] ^= both
            grid[:, b] ^= both
            parts[grid.shape[1]] = (a, b)
            grid = np.column_stack((grid, both))
            counts = np.pad(counts, ((0, 1), (0, 1)))
            for changed in (a, b, grid.shape[1] - 1):
                counts[changed] = counts[:, changed] = grid.T @ grid[:, changed]
                counts[changed, changed] = 0
    return [[int(i) for i in np.flatnonzero(row)] for row in grid], parts


class _Writer:
    """Puts sums into an order, each common part right before its first use.

    A scratch strip is taken again once nothing later needs what it holds.
    """

    def __init__(self, inputs: int, outputs: int, parts: dict[int, tuple[int, int]]) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._parts = parts
        self._steps: list[tuple[int, int, int]] = []
        self._place: dict[int, int] = {}
        self._uses: Counter[int] = Counter()
        self._free: list[int] = []
        self._scratch = 0

    def write(self, sums: list[list[int]]) -> Plan:
        self._uses = Counter(chain(*sums, *self._parts.values()))
        for output, terms in enumerate(sums):
            target = self._inputs + output
            places = [self._put(term) for term in terms]
            self._steps.append((target, places[0], places[1] if len(places) > 1 else -1))
            self._steps += [(target, target, place) for place in places[2:]]
            for term in terms:
                self._drop(term)
        return Plan(self._inputs, self._outputs, self._scratch, tuple(self._steps))

    def _put(self, term: int) -> int:
        """Return the strip where a term stands, after writing the steps that put it there."""
        if term < self._inputs:
            return term
        if term not in self._place:
            a, b = self._parts[term]
            places = self._put(a), self._put(b)
            self._place[term] = self._take()
            self._steps.append((self._place[term], *places))
            self._drop(a)
            self._drop(b)
        return self._place[term]

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        self._scratch += 1
        return self._inputs + self._outputs + self._scratch - 1

    def _drop(self, term: int) -> None:
        self._uses[term] -= 1
        if term >= self._inputs and not self._uses[term]:
            self._free.append(self._place[term])
