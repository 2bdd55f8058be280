"""Predict, count, write and read the samples of one tile: the reference.

Every sample is predicted from others around it, none on its own quarter grid,
so that whoever undoes the grids in reverse order predicts the same. What is
hidden decides which samples move away from their prediction. Whether a sample
came from nearer by or was there already is itself a choice, and goes back on
the stack of what is still to be hidden: so nothing needs a map, nothing moves
only to make room, and a sample without room needs no flag.

Format: docs/formats/mark-v2.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from node.mark.fine.chances import ONE, chances, known, places
from node.mark.fine.model import LEVELS, PREDICTORS, QUARTERS, STATE_BITS
from node.mark.fine.stack import LEAST, Stack
from node.mark.reversible import GRIDS
from node.mark.settings import FLOORS, from_bits, to_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.fine.chances import Chances
    from node.mark.fine.model import Layout, Model

    Samples = NDArray[np.int32]
    Table = NDArray[np.int64]
    Small = NDArray[np.int16]

REACH = 4
"""Samples so many steps away, up, down, left or right, tell how restless it is around one."""

AROUND = tuple(
    (row, column)
    for row in range(-3, 4)
    for column in range(-3, 4)
    if abs(row) + abs(column) <= REACH and (row % 2 or column % 2)
)
"""The samples around one that are looked at: all of them on other quarter grids."""

PAIRS = tuple(
    (one, other)
    for one in AROUND
    for other in ((one[0], one[1] + 1), (one[0] + 1, one[1]))
    if other in AROUND
)
"""Those of them that touch."""

ORBITS = (
    ((-1, 0), (1, 0)),
    ((0, -1), (0, 1)),
    ((-1, -1), (-1, 1), (1, -1), (1, 1)),
    ((-2, -1), (-2, 1), (2, -1), (2, 1)),
    ((-1, -2), (-1, 2), (1, -2), (1, 2)),
)
"""Samples that count alike in a prediction."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The samples of one tile, the lowest bits of the header cleared.

    :param low: least value; above ``high`` for a sample that must not move, which is left out.
    """

    samples: Samples
    low: Samples
    high: Samples
    layout: Layout

    def turns(self) -> list[int]:
        """Return how many rows each quarter grid has."""
        return [len(range(row, self.samples.shape[0], 2)) for row, _ in GRIDS]

    def unit(self) -> int:
        """Return in what steps of rows a message may end."""
        return -(-sum(self.turns()) // (1 << self.layout.stop_bits))


@dataclass(frozen=True, slots=True)
class Written:
    """What came of writing a message.

    :param samples: as they were moved.
    :param left: bits that did not fit.
    :param stop: where the message ends; it and ``state`` say nothing if bits are left.
    """

    samples: Samples
    left: int
    stop: int
    state: int


@dataclass(frozen=True, slots=True)
class Layer:
    """The samples of one quarter grid as they are now.

    :param way: what a move adds to each.
    :param move: chance that it moves from here.
    :param come: chance that it came here.
    :param further: chance that a sample an amplitude further out came there.
    :param nearer: chance that a sample an amplitude nearer moves from there.
    """

    way: Samples
    move: Small
    come: Small
    further: Small
    nearer: Small

    def outward(self, row: int) -> list[list[int]]:
        """Return columns, and chances to go, of the samples of a row that do not rest."""
        return self._table(row, self.move, self.come, self.further)

    def inward(self, row: int) -> list[list[int]]:
        """Return the same the other way round: columns, last first, and chances to have come."""
        return self._table(row, self.come, self.move, self.nearer)[::-1]

    def _table(self, row: int, *chances: Small) -> list[list[int]]:
        active = np.flatnonzero((self.move[row] > 0) | (self.come[row] > 0))
        found: list[list[int]] = np.stack(
            [active, *(table[row, active] for table in chances)], axis=1
        ).tolist()
        return found


class PlainEngine:
    """The reference; others give the same samples."""

    name = "numpy"

    def chances(self, amplitude: int, shape: int, price: int) -> Chances:
        """Return the chances of :func:`node.mark.fine.chances.chances`."""
        return chances(amplitude, shape, price)

    def count(self, sheet: Sheet, marked: Samples, amplitude: int) -> Table:
        """Count samples that have room, by predictor, class and distance.

        :param marked: they are met as they are in writing this.
        :returns: shape (predictors, classes, LEVELS * QUARTERS * amplitude).
        """
        size = LEVELS * QUARTERS * amplitude
        found = np.zeros((len(PREDICTORS), len(FLOORS) * size), dtype=np.int64)
        met = sheet.samples.copy()
        for grid in GRIDS:
            part = _part(grid)
            value = sheet.samples[part].astype(np.int64)
            low, high = sheet.low[part], sheet.high[part]
            inside = (low <= value) & (value <= high)
            sums, classes = _surroundings(met, grid)
            for index in range(len(PREDICTORS)):
                error = QUARTERS * value - _guess(sums, index)
                away, room = abs(error), np.where(error >= 0, high - value, value - low)
                counted = inside & (away < size) & (room >= amplitude)
                spots = classes[counted] * size + away[counted]
                found[index] += np.bincount(spots, minlength=found.shape[1])
            met[part] = marked[part]
        return found.reshape(len(PREDICTORS), len(FLOORS), size)

    def write(self, sheet: Sheet, model: Model, bits: list[int]) -> Written:
        """Move the samples as the message says.

        :param bits: the message, STATE_BITS at least.
        """
        samples = sheet.samples.copy()
        stack = Stack(bits[: STATE_BITS - 1 : -1], LEAST | from_bits(bits[:STATE_BITS]))
        done, total, unit = 0, sum(sheet.turns()), sheet.unit()
        for grid, rows in zip(GRIDS, sheet.turns(), strict=True):
            layer = _layer(samples, sheet, grid, model)
            for row in range(rows):
                hits = [column for column, *odds in layer.outward(row) if _go(stack, *odds)]
                samples[_part(grid)][row, hits] += layer.way[row, hits]
                done += 1
                if not stack.content and (done % unit == 0 or done == total):
                    return Written(samples, 0, -(-done // unit) - 1, stack.state - LEAST)
        return Written(samples, max(len(stack.content), 1), 0, 0)

    def read(
        self, sheet: Sheet, model: Model, stop: int, state: int
    ) -> tuple[Samples, list[int]] | None:
        """Undo :meth:`write`: return the samples before, and the message, zeros behind it.

        None if this cannot have been written.
        """
        samples = sheet.samples.copy()
        stack = Stack([], LEAST | state)
        left = min((stop + 1) * sheet.unit(), sum(sheet.turns()))
        ends = [
            min(max(left - sum(sheet.turns()[:index]), 0), rows)
            for index, rows in enumerate(sheet.turns())
        ]
        for grid, end in zip(reversed(GRIDS), reversed(ends), strict=True):
            if not end:
                continue
            layer = _layer(samples, sheet, grid, model)
            for row in reversed(range(end)):
                hits = [column for column, *odds in layer.inward(row) if _back(stack, *odds)]
                samples[_part(grid)][row, hits] -= layer.way[row, hits]
                if stack.short:
                    return None
        return samples, to_bits(stack.state - LEAST, STATE_BITS) + stack.content[::-1]


def _go(stack: Stack, move: int, come: int, further: int) -> bool:
    """Decide whether a sample moves."""
    moved = move == ONE or (move > 0 and stack.take(move))
    came = further if moved else come
    if came:
        stack.put(came, true=moved)
    return moved


def _back(stack: Stack, come: int, move: int, nearer: int) -> bool:
    """Find out whether a sample moved, the other way round."""
    moved = come > 0 and stack.take(come)
    went = nearer if moved else move
    if 0 < went < ONE:
        stack.put(went, true=moved)
    return moved


def _part(grid: tuple[int, int]) -> tuple[slice, slice]:
    return slice(grid[0], None, 2), slice(grid[1], None, 2)


def _surroundings(samples: Samples, grid: tuple[int, int]) -> tuple[list[Table], NDArray[np.intp]]:
    """Return the sums of each orbit, and the class, of every sample of a quarter grid."""
    rows, columns = samples.shape
    wide = np.pad(samples, REACH, mode="reflect").astype(np.int64)

    def at(spot: tuple[int, int]) -> Table:
        row, column = (first + step + REACH for first, step in zip(grid, spot, strict=True))
        return wide[row : rows + spot[0] + REACH : 2, column : columns + spot[1] + REACH : 2]

    sums = [np.sum([at(spot) for spot in orbit], axis=0) for orbit in ORBITS]
    unrest = np.sum([abs(at(one) - at(other)) for one, other in PAIRS], axis=0)
    return sums, np.searchsorted(FLOORS, unrest, side="right") - 1


def _guess(sums: list[Table], predictor: int) -> Table:
    """Return the predictions, in quarters."""
    above, beside, corners, tall, flat = PREDICTORS[predictor]
    whole = 2 * (above * sums[0] + beside * sums[1])
    return (whole + corners * sums[2] + tall * sums[3] + flat * sums[4] + 8) >> 4


def _layer(samples: Samples, sheet: Sheet, grid: tuple[int, int], model: Model) -> Layer:
    part, step = _part(grid), model.amplitude
    sums, classes = _surroundings(samples, grid)
    value = samples[part].astype(np.int64)
    low, high = sheet.low[part], sheet.high[part]
    away = QUARTERS * value - _guess(sums, model.predictor)
    up = away >= 0
    away = abs(away)
    moves, comes, crowded = chances(step, model.shape, model.price)
    inside = (low <= value) & (value <= high) & (away < moves.shape[1])
    wide = np.where(inside, places(step)[model.base, model.slope][classes], known(step))
    away = np.where(inside, away, 0)
    room = np.where(inside, np.where(up, high - value, value - low), 0)
    last = np.minimum(away + QUARTERS * (room // step * step), moves.shape[1] - 1)
    wide = np.where(crowded[wide, last], known(step), wide)
    further = np.minimum(away + QUARTERS * step, moves.shape[1] - 1)
    return Layer(
        way=np.where(up, step, -step).astype(np.int32),
        move=moves[wide, away] * (room >= step),
        come=comes[wide, away],
        further=comes[wide, further],
        nearer=moves[wide, np.maximum(away - QUARTERS * step, 0)],
    )
