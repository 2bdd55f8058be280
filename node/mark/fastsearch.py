"""The estimates of :mod:`node.mark.search`, compiled: the same choices, much sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from node.mark.coding import MODES
from node.mark.desk import CLASSES, part_of
from node.mark.fastlayer import CODES, STEPS
from node.mark.fastsense import class_of, sense
from node.mark.machine import compiled
from node.mark.search import BESIDE, DOUBT, SCALE, TRIES, carriers_for, sure
from node.mark.settings import FLOORS, GRADES, OFFSETS, PREDICTORS, REACH, SLOPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.desk import Desk, Tile

    Array = NDArray[Any]

WIDTH = REACH + 2
WIDE = 2 * REACH + 2 + 2 * max(step for step, _ in GRADES)
BINS = np.array(
    [
        [min((int(floor) * slope >> 8) + offset, REACH + 1) for floor in FLOORS]
        for slope in SLOPES
        for offset in OFFSETS
    ],
    dtype=np.int32,
)
"""For every slope and offset, then every class: the error size that carries, or more than REACH."""

COMBINATIONS = len(BINS)
RATES = np.array([mode.rate for mode in MODES])
MOVES = np.array([SCALE * mode.moves[0] // mode.moves[1] for mode in MODES])
STARTS = np.array(OFFSETS)
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


@compiled
def blank() -> Census:
    """Return an empty census."""
    counts = np.zeros((PREDICTORS, CLASSES, WIDTH), np.int32)
    beyond = np.zeros((PREDICTORS, CLASSES, WIDE), np.int32)
    return Census(counts, beyond, np.zeros(1, np.int64))


@compiled
def count(desk: Desk, tile: Tile, census: Census) -> None:
    """Count on the tile on the desk."""
    counts, beyond = census.counts, census.beyond
    counts[:, : census.seen[0]] = 0
    seen = 0
    for grid in range(2):
        part = part_of(tile, grid)
        sense(desk, tile, part)
        usable = desk.usable[part.plane, part.start : part.start + part.length]
        for k in range(len(usable)):
            if usable[k] > 1:
                which = class_of(desk.unrest[k])
                seen = max(seen, which + 1)
                counts[0, which, desk.sizes[0, k]] += 1
                counts[1, which, desk.sizes[1, k]] += 1
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
    return 2 * fullest - fullest // 4


enough = compiled(carriers_for)
ample = compiled(sure)


class Choice(NamedTuple):
    """One setting of a header."""

    combination: int
    grade: int
    predictor: int


@compiled
def price(census: Census, choice: Choice, need: int, ceiling: int) -> int:
    """Return the cost of a choice, or -1 if it cannot carry or costs more than ``ceiling``."""
    beyond = census.beyond[choice.predictor]
    bins = BINS[choice.combination]
    step, mode = STEPS[choice.grade], CODES[choice.grade]
    carriers = enough(need, (RATES[mode, 0], RATES[mode, 1]))
    moves = MOVES[mode]
    had, done = 0, 0
    for which in range(census.seen[0]):
        size = bins[which]
        if size > REACH or done > ceiling:
            break
        row = beyond[which]
        here = row[size] - row[size + step]
        if step == 1:
            more = SCALE * row[size + 1] + moves * here
        else:
            surely, maybe = step * step * row[size + step], 0
            for inner in range(step):
                number = row[size + inner] - row[size + inner + 1]
                surely += inner * inner * number
                maybe += (2 * inner + 1) * number
            more = SCALE * surely + moves * maybe
        if had + here >= carriers:
            cost = done + more * (carriers - had) // here
            return cost if cost <= ceiling else -1
        had += here
        done += more
    return -1


@compiled
def carriers(census: Census, choice: Choice) -> int:
    """Return how many carriers a choice has."""
    beyond = census.beyond[choice.predictor]
    bins = BINS[choice.combination]
    step = STEPS[choice.grade]
    had = 0
    for which in range(census.seen[0]):
        if bins[which] > REACH:
            break
        had += beyond[which, bins[which]] - beyond[which, bins[which] + step]
    return had


@compiled
def header_of(choice: Choice) -> int:
    """Return the header that stands for a choice."""
    return choice.combination << 4 | choice.grade << 1 | choice.predictor


@compiled
def doubt(census: Census, choice: Choice, need: int) -> int:
    """Return what is added to the cost of a choice whose carriers may be too few."""
    mode = CODES[choice.grade]
    least = enough(need, (RATES[mode, 0], RATES[mode, 1]))
    return 0 if ample(carriers(census, choice) - least, least) else DOUBT


@compiled
def cheapest(census: Census, need: int, amplitude: int, before: int) -> tuple[int, int]:
    """Return the least cost and its header, or -1, as :func:`node.mark.search.choose` does."""
    best = np.array([NEVER, -1])
    if before >= 0 and amplitude == 1:
        _near(census, need, before, best)
        if best[0] < DOUBT:
            return int(best[0]), int(best[1])
    for predictor in range(PREDICTORS):
        for combination in range(COMBINATIONS):
            _single(census, combination, predictor, need, best)
        for grade in range(len(STEPS)):
            for combination in range(COMBINATIONS if 1 < STEPS[grade] <= amplitude else 0):
                choice = Choice(combination, grade, predictor)
                cost = price(census, choice, need, best[0])
                if cost >= 0:
                    _better(census, choice, need, cost, best)
    return int(best[0]), int(best[1])


@compiled
def _near(census: Census, need: int, before: int, best: Array) -> None:
    """Set ``best`` to the least beside a header, or beside the best of these, and so on."""
    _single(census, before >> 4, before & 1, need, best)
    found = before >> 6
    slope = -1
    while found != slope:
        slope = found
        first, last = max(0, slope - BESIDE), min(len(SLOPES) - 1, slope + BESIDE)
        for combination in range(first * len(STARTS), (last + 1) * len(STARTS)):
            for predictor in range(PREDICTORS):
                _single(census, combination, predictor, need, best)
        if best[1] < 0:
            return
        found = best[1] >> 6


@compiled
def _better(census: Census, choice: Choice, need: int, cost: int, best: Array) -> None:
    if cost > best[0]:
        return
    cost += doubt(census, choice, need)
    header = header_of(choice)
    if cost < best[0] or (cost == best[0] and header < best[1]):
        best[0], best[1] = cost, header


@compiled
def _single(census: Census, combination: int, predictor: int, need: int, best: Array) -> None:
    """Improve ``best`` by the grades of amplitude 1, which come first: ``price`` in one go."""
    beyond, bins = census.beyond[predictor], BINS[combination]
    had, moved, mode = 0, 0, 0
    carriers = enough(need, (RATES[0, 0], RATES[0, 1]))
    for which in range(census.seen[0]):
        size = bins[which]
        if size > REACH or SCALE * moved > best[0]:
            break
        more = beyond[which, size + 1]
        here = beyond[which, size] - more
        while had + here >= carriers:
            # Grades and modes agree so far; each mode needs more carriers than the one before.
            done = SCALE * moved + MOVES[mode] * had
            cost = done + (SCALE * more + MOVES[mode] * here) * (carriers - had) // here
            _better(census, Choice(combination, mode, predictor), need, cost, best)
            mode += 1
            if mode == len(MOVES):
                return
            carriers = enough(need, (RATES[mode, 0], RATES[mode, 1]))
        had += here
        moved += more


@compiled
def rank(census: Census, need: int, amplitude: int) -> Array:
    """Return the headers worth trying, as :func:`node.mark.search.rank` does; -1 for none."""
    cheap, roomy = np.full((TRIES, 2), NEVER), np.full((TRIES // 2, 2), NEVER)
    cheap[:, 1] = roomy[:, 1] = -1
    for predictor in range(PREDICTORS):
        for combination in range(COMBINATIONS):
            had, step = 0, 0
            for grade in range(len(STEPS)):
                if STEPS[grade] > amplitude:
                    continue
                choice, mode = Choice(combination, grade, predictor), CODES[grade]
                if step != STEPS[grade]:
                    had, step = carriers(census, choice), STEPS[grade]
                least = enough(need, (RATES[mode, 0], RATES[mode, 1]))
                if had >= least:
                    cost = price(census, choice, need, NEVER)
                    cost += 0 if ample(had - least, least) else DOUBT
                    _insert(cheap, cost, header_of(choice))
                    _insert(roomy, least - had, header_of(choice))
    return np.concatenate((cheap[:, 1], roomy[:, 1]))


@compiled
def _insert(least: Array, key: int, header: int) -> None:
    """Put a header among the least by key, then by header, if it is one of them."""
    at = len(least)
    while at > 0 and (
        key < least[at - 1, 0] or (key == least[at - 1, 0] and header < least[at - 1, 1])
    ):
        at -= 1
        if at + 1 < len(least):
            least[at + 1] = least[at]
    if at < len(least):
        least[at, 0], least[at, 1] = key, header
