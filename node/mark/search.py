"""Which settings carry a message with the least harm. Not part of the format.

The estimate counts half of the samples of the unmarked tile; embedding
disturbs the counts a little. So it asks for more than is needed, and offers
several settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from node.mark.coding import MODES
from node.mark.settings import FLOORS, GRADES, OFFSETS, REACH, SLOPES, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Table = NDArray[np.int64]

MARGIN = 2
"""Square of the deviations that are reckoned with."""

TRIES = 6
"""Settings that are tried before a tile is given up."""

BESIDE = 2
"""Slopes on either side of a good one that are looked at."""

SCALE = 2 * 7 * 19
"""Keeps the fractions of the coding modes whole."""

DOUBT = 1 << 60
"""Added to the cost of settings whose carriers may be too few."""


def most(tables: Sequence[Table], amplitude: int) -> int:
    """Return about how many bits fit at most.

    :param tables: for each predictor, counts by class and error size.
    """
    fullest = max(
        int(table[:, offset : offset + step].sum())
        for table in tables
        for offset in OFFSETS
        for step, _ in GRADES
        if step <= amplitude
    )
    return 2 * fullest - fullest // 4


def rank(
    tables: Sequence[Table], need: int, amplitude: int, *, whole: bool = False
) -> list[tuple[int, int]]:
    """Return costs and headers that should carry ``need`` bits: the least squared change first.

    The last few are those with the most carriers to spare, for tiles that are nearly full.

    :param whole: return all that should carry, the least squared change first.
    """
    ranked: list[tuple[int, int, int]] = []
    steps = sorted({step for step, _ in GRADES if step <= amplitude})
    for predictor, table in enumerate(tables):
        last = int(np.flatnonzero(table.any(axis=1))[-1]) + 1 if table.any() else 0
        for step in steps if last else ():
            curves = _curves(table[:last], step)
            for grade, (size, mode) in enumerate(GRADES):
                if size == step:
                    ranked += [
                        (cost, -spare, Settings(which // 4, which % 4, grade, predictor).number)
                        for cost, spare, which in _costs(curves, need, mode)
                    ]
    cheap = sorted(ranked, key=lambda choice: (choice[0], choice[2]))
    if whole:
        return [(cost, header) for cost, _, header in cheap]
    roomy = sorted(ranked, key=lambda choice: (choice[1], choice[2]))[: TRIES // 2]
    return [(cost, header) for cost, _, header in cheap[:TRIES] + roomy]


def choose(
    tables: Sequence[Table], need: int, amplitude: int, before: int
) -> tuple[int, int] | None:
    """Return the least cost and its header; None if nothing carries.

    At amplitude 1 the slopes beside that of the header ``before``, if it is
    not -1, are looked at first, and beside the best of these, and so on. That
    is taken if it is no matter of doubt.
    """
    ranked = rank(tables, need, amplitude, whole=True)
    slope, found = before >> 6, before
    while before >= 0 and amplitude == 1 and found >= 0:
        near = (choice for choice in ranked if abs((choice[1] >> 6) - slope) <= BESIDE)
        cost, found = next(near, (DOUBT, -1))
        if cost < DOUBT and found >> 6 == slope:
            return cost, found
        slope = found >> 6
    return ranked[0] if ranked else None


def carriers_for(need: int, rate: tuple[int, int]) -> int:
    """Return how many of the counted carriers make sure of ``need`` bits."""
    return -(-(need + need // 8) * rate[1] // (2 * rate[0]))


def sure(spare: Any, carriers: int) -> Any:
    """Return whether so many carriers beyond those needed are enough for every quarter grid.

    They are counted on two, and the others may have fewer by chance: about their root.
    """
    return spare * spare >= MARGIN * carriers


def _curves(table: Table, step: int) -> NDArray[np.int64]:
    """Sum up, class by class, for every slope and offset (slope first).

    :returns: shape (3, slopes * offsets, classes): carriers; squared change
        whatever the symbols are; further squared change for each symbol 1.
    """
    classes = np.arange(len(table))
    steepness = np.repeat(np.array(SLOPES), len(OFFSETS))[:, np.newaxis]
    bins = (FLOORS[classes] * steepness >> 8) + np.tile(OFFSETS, len(SLOPES))[:, np.newaxis]
    rests = bins > REACH
    wide = np.pad(table, ((0, 0), (0, 2 * max(step for step, _ in GRADES) + REACH)))
    bins[rests] = REACH + 2  # nothing is counted from there on
    beyond = wide[:, ::-1].cumsum(axis=1)[:, ::-1]
    curves = np.zeros((3, *bins.shape), dtype=np.int64)
    for inner in range(step):
        count = wide[classes, bins + inner]
        curves += np.array([1, inner * inner, 2 * inner + 1])[:, np.newaxis, np.newaxis] * count
    curves[1] += step * step * beyond[classes, bins + step]
    return curves.cumsum(axis=2)


def _costs(curves: NDArray[np.int64], need: int, mode: int) -> list[tuple[int, int, int]]:
    """Return (cost, spare carriers, index of slope and offset) wherever the carriers suffice."""
    code = MODES[mode]
    carriers = carriers_for(need, code.rate)
    cost = SCALE * curves[1] + SCALE * code.moves[0] // code.moves[1] * curves[2]
    enough = np.flatnonzero(curves[0][:, -1] >= carriers)
    last = (curves[0][enough] < carriers).sum(axis=1)
    had = np.where(last > 0, curves[0][enough, last - 1], 0)
    done = np.where(last > 0, cost[enough, last - 1], 0)
    # Only the part of the last class that is needed is visited.
    part = (cost[enough, last] - done) * (carriers - had) // (curves[0][enough, last] - had)
    spare = curves[0][enough, -1] - carriers
    doubt = np.where(sure(spare, carriers), 0, DOUBT)
    return list(zip((done + part + doubt).tolist(), spare.tolist(), enough.tolist(), strict=True))
