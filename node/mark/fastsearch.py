"""The estimates of :mod:`node.mark.search`, compiled: the same choices, much sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from node.mark.coding import MODES
from node.mark.compiled import (
    BINS,
    CLASSES,
    CODES,
    STEPS,
    Desk,
    class_of,
    compiled,
    predict,
    sense,
)
from node.mark.search import SCALE, TRIES, carriers_for
from node.mark.settings import GRADES, OFFSETS, PREDICTORS, REACH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

WIDTH = REACH + 2
WIDE = 2 * REACH + 2 + 2 * max(step for step, _ in GRADES)
COMBINATIONS = len(BINS)
RATES = np.array([mode.rate for mode in MODES])
MOVES = np.array([SCALE * mode.moves[0] // mode.moves[1] for mode in MODES])
STARTS = np.array(OFFSETS)
ROWS = len(GRADES) * COMBINATIONS * PREDICTORS
NEVER = 1 << 62


class Census(NamedTuple):
    """What was counted on a tile.

    :param counts: for each predictor, samples by class and error size.
    :param beyond: the same, summed up from the right: errors so large or larger.
    :param seen: one number: the classes that occur.
    """

    counts: Array
    beyond: Array
    seen: Array


def blank() -> Census:
    """Return an empty census."""
    counts = np.zeros((PREDICTORS, CLASSES, WIDTH), np.int32)
    beyond = np.zeros((PREDICTORS, CLASSES, WIDE), np.int32)
    return Census(counts, beyond, np.zeros(1, np.int64))


@compiled
def count(desk: Desk, rows: int, columns: int, census: Census) -> None:
    """Count on the tile on the desk."""
    counts, beyond = census.counts, census.beyond
    counts[:, : census.seen[0]] = 0
    around = desk.around[: (rows + 2) * (columns + 2)].reshape(rows + 2, columns + 2)
    seen = 0
    for i in range(rows):
        row, mask, first = around[i + 1], desk.usable[i], i & 1
        number = sense(around[i], row, around[i + 2], first, desk)
        for k in range(number):
            if mask[first + 2 * k] > 1:
                which = class_of(desk.unrest[k])
                seen = max(seen, which + 1)
                for predictor in range(PREDICTORS):
                    guess = predict(desk.nearest[k], desk.diagonal[k], predictor)
                    error = row[first + 2 * k + 1] - guess
                    size = min(error if error >= 0 else -1 - error, REACH + 1)
                    counts[predictor, which, size] += 1
    census.seen[0] = seen
    for predictor in range(PREDICTORS):
        for which in range(seen):
            many = 0
            for size in range(WIDTH - 1, -1, -1):
                many += counts[predictor, which, size]
                beyond[predictor, which, size] = many


@compiled
def total(census: Census, amplitude: int) -> int:
    """Return about how many bits fit at most."""
    fullest = 0
    for predictor in range(PREDICTORS):
        for offset in STARTS:
            for step in STEPS:
                if step <= amplitude:
                    full = 0
                    for which in range(census.seen[0]):
                        full += census.beyond[predictor, which, offset]
                        full -= census.beyond[predictor, which, offset + step]
                    fullest = max(fullest, full)
    return 2 * fullest - fullest // 8


enough = compiled(carriers_for)


class Choice(NamedTuple):
    """One setting of a header, but for the predictor's place in it."""

    combination: int
    grade: int
    predictor: int


@compiled
def price(census: Census, choice: Choice, need: int, ceiling: int) -> tuple[int, int]:
    """Return cost and minus the spare carriers of a choice; cost -1 if it cannot carry.

    :param ceiling: beyond this cost the choice does not matter; then also -1.
    """
    beyond = census.beyond[choice.predictor]
    bins = BINS[choice.combination]
    step, mode = STEPS[choice.grade], CODES[choice.grade]
    carriers = enough(need, (RATES[mode, 0], RATES[mode, 1]))
    had = 0
    done = 0
    cost = -1
    for which in range(census.seen[0]):
        size = bins[which]
        if size > REACH:
            break
        here = 0
        surely = step * step * beyond[which, size + step]
        maybe = 0
        for inner in range(step):
            number = beyond[which, size + inner] - beyond[which, size + inner + 1]
            here += number
            surely += inner * inner * number
            maybe += (2 * inner + 1) * number
        if cost < 0:
            more = SCALE * surely + MOVES[mode] * maybe
            if had + here >= carriers:
                cost = done + more * (carriers - had) // here
            done += more
            if (done if cost < 0 else cost) > ceiling:
                return -1, 0
        had += here
    return cost, carriers - had


@compiled
def header_of(choice: Choice) -> int:
    """Return the header that stands for a choice."""
    return choice.combination << 4 | choice.grade << 1 | choice.predictor


@compiled
def cheapest(census: Census, need: int, amplitude: int) -> int:
    """Return the best header, or -1."""
    least, extra, best = NEVER, 0, -1
    for predictor in range(PREDICTORS):
        for grade in range(len(STEPS)):
            for combination in range(COMBINATIONS if STEPS[grade] <= amplitude else 0):
                choice = Choice(combination, grade, predictor)
                cost, spare = price(census, choice, need, least)
                if cost < 0:
                    continue
                header = header_of(choice)
                if (cost, spare, header) < (least, extra, best) or best < 0:
                    least, extra, best = cost, spare, header
    return best


@compiled
def rank(census: Census, need: int, amplitude: int) -> Array:
    """Return the headers worth trying, as :func:`node.mark.search.choose` does; -1 for none."""
    found = np.empty((ROWS, 3), np.int64)
    number = 0
    for predictor in range(PREDICTORS):
        for grade in range(len(STEPS)):
            for combination in range(COMBINATIONS if STEPS[grade] <= amplitude else 0):
                choice = Choice(combination, grade, predictor)
                cost, spare = price(census, choice, need, NEVER)
                if cost >= 0:
                    found[number] = cost, spare, header_of(choice)
                    number += 1
    headers = np.full(TRIES + TRIES // 2, -1)
    for key in range(2):
        # Each time the least row that was not taken yet.
        taken = np.zeros(number, np.bool_)
        for place in range(min(TRIES if key == 0 else TRIES // 2, number)):
            best = -1
            for row in range(number):
                if taken[row]:
                    continue
                here = (found[row, 0] * (1 - key), found[row, 1], found[row, 2])
                if best < 0 or here < (
                    found[best, 0] * (1 - key),
                    found[best, 1],
                    found[best, 2],
                ):
                    best = row
            taken[best] = True
            headers[key * TRIES + place] = found[best, 2]
    return headers
