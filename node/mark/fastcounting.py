"""The counts of :mod:`node.mark.counting`, compiled: the same numbers, much sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from node.mark.counting import GREYS
from node.mark.machine import compiled, kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.counting import Samples, Scale, Sums

    Array = NDArray[Any]


KINDS = 5
"""Sums for each window: of x, x squared, d, d squared, x times d."""

POWERS = 3


def spread(original: Samples, marked: Samples) -> tuple[int, int, int, int, int]:
    """Return the largest change, how many changed, their squares' sum; the original's ends."""
    found: tuple[int, int, int, int, int] = _spread(_plain(original), _plain(marked))
    return found


def windows(original: Samples, marked: Samples, edges: tuple[int, int], scale: Scale) -> Sums:
    """Return sums over the windows where a grey level changed, as the reference does."""
    low, factor = np.float32(scale.low), np.float32(scale.factor)
    sums: Sums = _windows(_plain(original), _plain(marked), edges, low, factor)
    return sums


def _plain(samples: Samples) -> Samples:
    """Each other layout would be compiled anew."""
    return np.require(samples, np.int32, ["C", "W"])


@kept
def _spread(original: Array, marked: Array) -> tuple[int, int, int, int, int]:
    largest, changed, squares = 0, 0, 0
    least, most = int(original[0, 0]), int(original[0, 0])
    for i in range(len(original)):
        before, after = original[i], marked[i]
        bottom, top = _ends(before)
        widest, many, power = _changes(before, after)
        least, most, largest = min(least, bottom), max(most, top), max(largest, widest)
        changed, squares = changed + many, squares + power
    return largest, changed, squares, least, most


@compiled
def _ends(samples: Array) -> tuple[int, int]:
    least, most = samples[0], samples[0]
    for k in range(len(samples)):
        least = min(least, samples[k])
        most = max(most, samples[k])
    return int(least), int(most)


@compiled
def _changes(before: Array, after: Array) -> tuple[int, int, int]:
    fit = before.dtype.type
    lowest, highest, many, power = fit(0), fit(0), fit(0), 0
    for k in range(len(before)):
        change = fit(after[k] - before[k])
        lowest = min(lowest, change)
        highest = max(highest, change)
        many = fit(many + fit(change != 0))
        power += int(np.int64(change) * np.int64(change))
    return max(int(highest), -int(lowest)), int(many), int(power)


@kept
def _windows(
    original: Array, marked: Array, edges: tuple[int, int], low: Any, factor: Any
) -> Array:
    height, width = edges
    down, right = original.shape[0] // height, original.shape[1] // width
    rows = np.empty((down * right, KINDS))
    columns = np.empty((KINDS, original.shape[1]), np.float32)
    number = 0
    for strip in range(down):
        columns[:] = 0
        for i in range(strip * height, (strip + 1) * height):
            _add_up(original[i], marked[i], columns, low, factor)
        for window in range(right):
            found = rows[number]
            for kind in range(KINDS):
                total = np.float32(0)
                for k in range(window * width, (window + 1) * width):
                    total += columns[kind, k]
                found[kind] = total
            number += found[POWERS] > 0
    return rows[:number]


@compiled
def _add_up(before: Array, after: Array, columns: Array, low: Any, factor: Any) -> None:
    """Add one line to the sums of each column."""
    single, end = np.float32, np.float32(GREYS)
    sums, squares, added, powers, product = columns
    for k in range(len(before)):
        x = single(np.rint(single(single(single(before[k]) - low) * factor)))
        y = single(np.rint(single(single(single(after[k]) - low) * factor)))
        x, y = x if x > 0 else single(0), y if y > 0 else single(0)
        x, y = min(end, x), min(end, y)
        d = single(y - x)
        sums[k] += x
        squares[k] += x * x
        added[k] += d
        powers[k] += d * d
        product[k] += x * d
