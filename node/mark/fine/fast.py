"""The reference engine, compiled by numba: the same samples, much sooner.

Each function mirrors one of :mod:`node.mark.fine.plain`, which says what is meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from node.mark.fine.chances import ONE, decay, known, places, weights
from node.mark.fine.fastchances import compiled_chances, reckon
from node.mark.fine.model import LEVELS, PREDICTORS, QUARTERS, STATE_BITS
from node.mark.fine.plain import ORBITS, PAIRS, REACH, Written
from node.mark.fine.stack import FULL, LEAST, WIDE
from node.mark.machine import compiled, kept
from node.mark.reversible import GRIDS
from node.mark.settings import FLOORS, from_bits, to_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.fine.chances import Chances
    from node.mark.fine.model import Model
    from node.mark.fine.plain import Samples, Sheet, Table

    Array = NDArray[Any]

WEIGHTS = np.array(PREDICTORS, dtype=np.int64) * np.array([2, 2, 1, 1, 1])
"""In sixteenths of a quarter."""

SHIFTS = np.array([spot for orbit in ORBITS for spot in orbit], dtype=np.int64)
ENDS = np.cumsum([len(orbit) for orbit in ORBITS])
ACROSS = np.array([one for one, other in PAIRS if one[0] == other[0]], dtype=np.int64)
DOWN = np.array([one for one, other in PAIRS if one[0] != other[0]], dtype=np.int64)
PARTS = 4
"""Classes an octave."""

GROWTH = 12
"""Bits that a sample may add to the stack."""


class NumbaEngine:
    """The compiled engine."""

    name = "numba"

    def chances(self, amplitude: int, shape: int, price: int) -> Chances:
        """Return the chances of :func:`node.mark.fine.chances.chances`."""
        return compiled_chances(amplitude, shape, price)

    def count(self, sheet: Sheet, marked: Samples, amplitude: int) -> Table:
        """Count samples that have room, by predictor, class and distance."""
        size = LEVELS * QUARTERS * amplitude
        found = np.zeros((len(PREDICTORS), len(FLOORS), size), dtype=np.int64)
        _count(sheet.samples, (sheet.low, sheet.high), marked, found, amplitude)
        return found

    def write(self, sheet: Sheet, model: Model, bits: list[int]) -> Written:
        """Move the samples as the message says."""
        samples = sheet.samples.copy()
        content = np.zeros(len(bits) + GROWTH * samples.size, dtype=np.uint8)
        top, state = len(bits) - STATE_BITS, LEAST | from_bits(bits[:STATE_BITS])
        content[:top] = bits[: STATE_BITS - 1 : -1]
        bounds = sheet.low, sheet.high
        done, top, state = _write(
            samples, bounds, _tables(model), (content, top, state), sheet.unit()
        )
        if not done:
            return Written(samples, top, 0, 0)
        return Written(samples, 0, -(-done // sheet.unit()) - 1, state - LEAST)

    def read(
        self, sheet: Sheet, model: Model, stop: int, state: int
    ) -> tuple[Samples, list[int]] | None:
        """Undo :meth:`write`."""
        samples = sheet.samples.copy()
        content = np.zeros(GROWTH * samples.size, dtype=np.uint8)
        left = min((stop + 1) * sheet.unit(), sum(sheet.turns()))
        stack, bounds = (content, 0, LEAST | state), (sheet.low, sheet.high)
        top, last = _read(samples, bounds, _tables(model), stack, left)
        if top < 0:
            return None
        return samples, to_bits(last - LEAST, STATE_BITS) + content[:top][::-1].tolist()


def _tables(model: Model) -> tuple[Array, ...]:
    """Return tables of chances that are filled as they are needed, and what it takes to."""
    step = model.amplitude
    chains = weights(step, model.shape)
    size = known(step) + 1, LEVELS * QUARTERS * step
    moves, comes, crowded = (np.zeros(size, dtype=np.int16) for _ in range(3))
    wide, ready = places(step)[model.base, model.slope], np.zeros(len(chains), dtype=np.uint8)
    numbers = WEIGHTS[model.predictor]
    return moves, comes, crowded, wide, numbers, chains, decay(model.price), ready


@compiled
def _sense(samples: Array, first: int, second: int) -> tuple[Array, Array]:
    """Return the sums of each orbit, and the class, of every sample of a quarter grid."""
    wide = _mirrored(samples)
    across, down = np.zeros_like(wide), np.zeros_like(wide)
    for i in range(wide.shape[0] - 1):
        for j in range(wide.shape[1] - 1):
            across[i, j] = abs(wide[i, j] - wide[i, j + 1])
            down[i, j] = abs(wide[i, j] - wide[i + 1, j])
    stride = wide.shape[1]
    orbit, flat, steep = _steps(SHIFTS, stride), _steps(ACROSS, stride), _steps(DOWN, stride)
    line, across, down = wide.ravel(), across.ravel(), down.ravel()
    rows, columns = (samples.shape[0] - first + 1) // 2, (samples.shape[1] - second + 1) // 2
    sums = np.zeros((rows, columns, len(ENDS)), np.int64)
    classes = np.zeros((rows, columns), np.int64)
    for i in range(rows):
        for j in range(columns):
            spot = (first + 2 * i + REACH) * stride + second + 2 * j + REACH
            begin = 0
            for k in range(len(ENDS)):
                for n in range(begin, ENDS[k]):
                    sums[i, j, k] += line[spot + orbit[n]]
                begin = ENDS[k]
            unrest = 0
            for n in range(len(flat)):
                unrest += across[spot + flat[n]] + down[spot + steep[n]]
            classes[i, j] = _class_of(unrest)
    return sums, classes


@compiled
def _mirrored(samples: Array) -> Array:
    rows, columns = samples.shape
    wide = np.empty((rows + 2 * REACH, columns + 2 * REACH), np.int64)
    across = np.array([_mirror(j - REACH, columns) for j in range(wide.shape[1])])
    for i in range(wide.shape[0]):
        row = _mirror(i - REACH, rows)
        for j in range(wide.shape[1]):
            wide[i, j] = samples[row, across[j]]
    return wide


@compiled
def _mirror(place: int, length: int) -> int:
    while place < 0 or place >= length:
        place = -place if place < 0 else 2 * (length - 1) - place
    return place


@compiled
def _steps(spots: Array, stride: int) -> Array:
    return spots[:, 0] * stride + spots[:, 1]


@compiled
def _class_of(unrest: int) -> int:
    octave = 0
    while unrest >> octave >= 2 * PARTS:
        octave += 1
    return min(PARTS * octave + (unrest >> octave), len(FLOORS) - 1)


@compiled
def _guess(sums: Array, weights: Array) -> int:
    total = 8
    for k in range(len(weights)):
        total += weights[k] * sums[k]
    return total >> 4


@kept
def _count(
    samples: Array, bounds: tuple[Array, Array], marked: Array, found: Array, step: int
) -> None:
    low, high = bounds
    met = samples.copy()
    for first, second in GRIDS:
        sums, classes = _sense(met, first, second)
        for i in range(classes.shape[0]):
            for j in range(classes.shape[1]):
                row, column = first + 2 * i, second + 2 * j
                value = np.int64(samples[row, column])
                if low[row, column] <= value <= high[row, column]:
                    for index in range(len(found)):
                        error = QUARTERS * value - _guess(sums[i, j], WEIGHTS[index])
                        away = abs(error)
                        room = high[row, column] - value if error >= 0 else value - low[row, column]
                        if away < found.shape[2] and room >= step:
                            found[index, classes[i, j], away] += 1
                met[row, column] = marked[row, column]


@compiled
def _place(sample: tuple[int, int, int], guess: int, step: int, reach: int) -> tuple[int, int, int]:
    """Return how far away a sample is (-1 if it rests), what a move adds, how much room it has.

    :param sample: value, low, high.
    """
    value, low, high = sample
    error = QUARTERS * value - guess
    away = abs(error)
    if value < low or value > high or away >= reach:
        return -1, 0, 0
    if error >= 0:
        return away, step, high - value
    return away, -step, value - low


@compiled
def _take(content: Array, top: int, state: int, chance: int) -> tuple[bool, int, int]:
    """Take a choice; the top is below 0 where there were not bits enough."""
    slot, above = state & (ONE - 1), state >> WIDE
    true = slot < chance
    state = chance * above + slot if true else (ONE - chance) * above + slot - chance
    while state < LEAST:
        top -= 1
        state = state << 1 | (content[top] if top >= 0 else 0)
    return true, top, state


@compiled
def _put(
    content: Array,
    top: int,
    state: int,
    chance: int,
    true: bool,  # noqa: FBT001
) -> tuple[int, int]:
    part, start = (chance, 0) if true else (ONE - chance, chance)
    while state >= part << FULL:
        content[top] = state & 1
        top += 1
        state >>= 1
    return top, (state // part << WIDE) + start + state % part


@kept
def _write(
    samples: Array,
    bounds: tuple[Array, Array],
    tables: tuple[Array, ...],
    stack: tuple[Array, int, int],
    unit: int,
) -> tuple[int, int, int]:
    """Return how many rows were visited, how many bits are left, and the last state.

    If the message is too long, no rows.
    """
    step = tables[1].shape[1] // (LEVELS * QUARTERS)
    content, top, state = stack
    done, total = 0, 2 * len(samples)
    for first, second in GRIDS:
        sums, classes = _sense(samples, first, second)
        for i in range(classes.shape[0]):
            for j in range(classes.shape[1]):
                away, way, move, kind = _look(
                    samples, bounds, tables, (first + 2 * i, second + 2 * j),
                    (sums[i, j], classes[i, j]),
                )  # fmt: skip
                if away < 0:
                    continue
                moved = move == ONE
                if 0 < move < ONE:
                    moved, top, state = _take(content, top, state, move)
                    top = max(top, 0)
                come = tables[1][kind, away + QUARTERS * step * moved]
                if come:
                    top, state = _put(content, top, state, come, moved)
                if moved:
                    samples[first + 2 * i, second + 2 * j] += way
            done += 1
            if top == 0 and (done % unit == 0 or done == total):
                return done, top, state
    return 0, max(top, 1), state


@compiled
def _look(
    samples: Array,
    bounds: tuple[Array, Array],
    tables: tuple[Array, ...],
    spot: tuple[int, int],
    near: tuple[Array, int],
) -> tuple[int, int, int, int]:
    """Return how far away a sample is, what a move adds, the chance of one, and the width."""
    moves, comes, crowded, widths, weights, chains, powers, ready = tables
    step = moves.shape[1] // (LEVELS * QUARTERS)
    sums, kind = near
    sample: Any = np.int64(samples[spot]), np.int64(bounds[0][spot]), np.int64(bounds[1][spot])
    away, way, room = _place(sample, _guess(sums, weights), step, moves.shape[1])
    wide = widths[kind]
    if away < 0 or wide == len(moves) - 1:
        return -1, 0, 0, wide
    start = away % (QUARTERS * step)
    chain = wide * QUARTERS * step + start
    if not ready[chain]:
        places_ = slice(start, None, QUARTERS * step)
        reckon(
            chains[chain],
            powers,
            moves[wide, places_],
            comes[wide, places_],
            crowded[wide, places_],
        )
        ready[chain] = 1
    last = away + QUARTERS * (room // step * step)
    if last < moves.shape[1] and crowded[wide, last]:
        return -1, 0, 0, wide
    return away, way, moves[wide, away] if room >= step else 0, wide


@kept
def _read(
    samples: Array,
    bounds: tuple[Array, Array],
    tables: tuple[Array, ...],
    stack: tuple[Array, int, int],
    left: int,
) -> tuple[int, int]:
    """Return how many bits were read, and the last state; -1 if nothing was written so."""
    moves, comes, step = tables[0], tables[1], tables[0].shape[1] // LEVELS
    content, top, state = stack
    behind = 2 * len(samples)
    for first, second in GRIDS[::-1]:
        count = (len(samples) - first + 1) // 2
        behind -= count
        if left <= behind:
            continue
        sums, classes = _sense(samples, first, second)
        for i in range(min(left - behind, count) - 1, -1, -1):
            for j in range(classes.shape[1] - 1, -1, -1):
                away, way, move, kind = _look(
                    samples, bounds, tables, (first + 2 * i, second + 2 * j),
                    (sums[i, j], classes[i, j]),
                )  # fmt: skip
                moved = False
                if away >= 0 and comes[kind, away]:
                    moved, top, state = _take(content, top, state, comes[kind, away])
                    if top < 0:
                        return -1, 0
                if moved:
                    samples[first + 2 * i, second + 2 * j] -= way
                    move = moves[kind, away - step]
                if away >= 0 and 0 < move < ONE:
                    top, state = _put(content, top, state, move, moved)
    return top, state
