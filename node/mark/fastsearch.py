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
        [
            min((int(floor) * slope >> 8) + offset, REACH + 1)
            for slope in SLOPES
            for offset in OFFSETS
        ]
        for floor in FLOORS
    ],
    dtype=np.int32,
)
"""For every class, then slope and offset: the error size that carries, or more than REACH."""

COMBINATIONS = BINS.shape[1]
COURSES = np.ascontiguousarray(BINS.T)
"""The same by slope and offset, then class."""

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


class Track(NamedTuple):
    """What is known of all combinations of slope and offset, class by class.

    :param all: the carriers of each; ``had`` is how many of them came so far.
    :param done: what it costs so far; ``costs`` is the cost of the whole, or -1.
    :param open: the combinations that are still followed.
    :param here: of the class, by bin, how many carry; so is ``more`` what they and those
        that give way cost.
    """

    all: Array
    had: Array
    done: Array
    costs: Array
    open: Array
    here: Array
    more: Array


@compiled
def blank() -> Census:
    """Return an empty census."""
    counts = np.zeros((PREDICTORS, CLASSES, WIDTH), np.int32)
    beyond = np.zeros((PREDICTORS, CLASSES, WIDE), np.int32)
    return Census(counts, beyond, np.zeros(1, np.int64))


@compiled
def pristine() -> Track:
    """Return a track that nothing was followed on."""
    each = np.empty((5, COMBINATIONS), np.int64)
    here, more = np.zeros(WIDTH, np.int64), np.zeros(WIDTH, np.int64)
    return Track(each[0], each[1], each[2], each[3], each[4], here, more)


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
def prices(beyond: Array, track: Track, grade: int, need: int, ends: tuple[int, int]) -> None:
    """Set ``track.costs`` of the first combinations in ``track.open``, or -1 if they cost more.

    :param beyond: of a predictor, the classes that occur.
    :param ends: how many these combinations are, all of which carry; no cost beyond the
        second number matters.
    """
    _, had, done, costs, followed, here, more = track
    number, ceiling = ends
    step, mode = STEPS[grade], CODES[grade]
    carriers = least_of(mode, need)
    had[:], done[:], costs[:] = 0, 0, -1
    for which in range(len(beyond)):
        row = beyond[which]
        if row[0] == 0 or number == 0:
            continue
        _weigh_class(row, step, MOVES[mode], here, more)
        left = 0
        for at in range(number):
            combination = followed[at]
            size = BINS[which, combination]
            if size > REACH:
                continue
            carry = here[size]
            if had[combination] + carry >= carriers:
                # Only the part of the last class that is needed is visited.
                part = more[size] * (carriers - had[combination]) // carry
                if done[combination] + part <= ceiling:
                    costs[combination] = done[combination] + part
                continue
            had[combination] += carry
            done[combination] += more[size]
            if done[combination] <= ceiling:
                followed[left] = combination
                left += 1
        number = left


@compiled
def _weigh_class(row: Array, step: int, moves: int, here: Array, more: Array) -> None:
    """Set what a class carries and costs, for every bin."""
    for size in range(REACH + 1):
        here[size] = row[size] - row[size + step]
        more[size] = SCALE * step * step * row[size + step]
    for inner in range(step):
        cost = SCALE * inner * inner + moves * (2 * inner + 1)
        for size in range(REACH + 1):
            more[size] += cost * (row[size + inner] - row[size + inner + 1])


@compiled
def supply(beyond: Array, track: Track, grade: int, need: int) -> int:
    """Set ``track.all``, how many carriers each has, and list in ``track.open`` whose suffice.

    :param beyond: as in :func:`prices`.
    :returns: how many these are.
    """
    every, here, step = track.all, track.here, STEPS[grade]
    every[:] = 0
    for which in range(len(beyond)):
        row = beyond[which]
        if row[0] == 0:
            continue
        for size in range(REACH + 1):
            here[size] = row[size] - row[size + step]
        for combination in range(COMBINATIONS):
            every[combination] += here[BINS[which, combination]]
    least, number = least_of(CODES[grade], need), 0
    for combination in range(COMBINATIONS):
        if every[combination] >= least:
            track.open[number] = combination
            number += 1
    return number


@compiled
def least_of(mode: int, need: int) -> int:
    """Return how many carriers make sure of ``need`` bits."""
    return enough(need, (RATES[mode, 0], RATES[mode, 1]))


@compiled
def carriers(census: Census, choice: Choice) -> int:
    """Return how many carriers a choice has."""
    beyond = census.beyond[choice.predictor]
    bins, step = COURSES[choice.combination], STEPS[choice.grade]
    had = 0
    for which in range(census.seen[0]):
        size = bins[which]
        if size > REACH:
            break
        had += beyond[which, size] - beyond[which, size + step]
    return had


@compiled
def header_of(choice: Choice) -> int:
    """Return the header that stands for a choice."""
    return choice.combination << 4 | choice.grade << 1 | choice.predictor


@compiled
def doubt(census: Census, choice: Choice, need: int) -> int:
    """Return what is added to the cost of a choice whose carriers may be too few."""
    least = least_of(CODES[choice.grade], need)
    return 0 if ample(carriers(census, choice) - least, least) else DOUBT


@compiled
def cheapest(
    census: Census, track: Track, need: int, amplitude: int, before: int
) -> tuple[int, int]:
    """Return the least cost and its header, or -1, as :func:`node.mark.search.choose` does."""
    best = np.array([NEVER, -1])
    if before >= 0 and amplitude == 1:
        _near(census, need, before, best)
        if best[0] < DOUBT:
            return int(best[0]), int(best[1])
    if before >= 0 and amplitude > 1:  # what is good next door cuts the search short
        _improve(census, track, (before >> 1 & 7, before & 1, before >> 4), need, best)
    for predictor in range(PREDICTORS):
        able = supply(census.beyond[predictor, : census.seen[0]], track, 0, need) > 0
        for combination in range(COMBINATIONS if able else 0):
            _single(census, combination, predictor, need, best)
        for grade in range(len(STEPS)):
            if 1 < STEPS[grade] <= amplitude:
                _improve(census, track, (grade, predictor, -1), need, best)
    return int(best[0]), int(best[1])


@compiled
def _improve(
    census: Census, track: Track, choice: tuple[int, int, int], need: int, best: Array
) -> None:
    """Improve ``best`` by a grade and a predictor, with one combination, or -1 for all."""
    grade, predictor, only = choice
    beyond = census.beyond[predictor, : census.seen[0]]
    number = supply(beyond, track, grade, need)
    if only >= 0:
        number = 1 if track.all[only] >= least_of(CODES[grade], need) else 0
        track.open[0] = only
    if number == 0:
        return
    prices(beyond, track, grade, need, (number, best[0]))
    for combination in range(COMBINATIONS):
        cost = track.costs[combination]
        if cost >= 0:
            _better(census, Choice(combination, grade, predictor), need, cost, best)


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
    beyond, bins = census.beyond[predictor], COURSES[combination]
    had, moved, mode = 0, 0, 0
    carriers = least_of(0, need)
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
            carriers = least_of(mode, need)
        had += here
        moved += more


@compiled
def rank(census: Census, track: Track, need: int, amplitude: int) -> Array:
    """Return the headers worth trying, as :func:`node.mark.search.rank` does; -1 for none."""
    cheap, roomy = np.full((TRIES, 2), NEVER), np.full((TRIES // 2, 2), NEVER)
    cheap[:, 1] = roomy[:, 1] = -1
    for predictor in range(PREDICTORS):
        beyond = census.beyond[predictor, : census.seen[0]]
        for grade in range(len(STEPS)):
            if STEPS[grade] > amplitude:
                continue
            number = supply(beyond, track, grade, need)
            if number == 0:
                continue
            prices(beyond, track, grade, need, (number, cheap[-1, 0]))
            least = least_of(CODES[grade], need)
            for combination in range(COMBINATIONS):
                spare, cost = track.all[combination] - least, track.costs[combination]
                header = header_of(Choice(combination, grade, predictor))
                if cost >= 0:
                    cost += 0 if ample(spare, least) else DOUBT
                    _insert(cheap, cost, header)
                if spare >= 0:
                    _insert(roomy, -spare, header)
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
