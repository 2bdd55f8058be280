"""How likely a sample is to move, and one that is there to have come.

Errors of prediction are taken to be spread like Student's t. Moved, they fall
off nowhere faster than the price allows: of all spreads with as much room for
a message, that one takes the fewest moves. Format: docs/formats/mark-v2.md,
section 4. After Zhang et al., IEEE TIP 22(7), 2013: which change of a histogram
takes the fewest moves.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from node.mark.fine.model import BASES, LEVELS, PRICES, QUARTERS, SHAPES, SLOPES, WIDEST
from node.mark.settings import FLOORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = NDArray[np.int64]
    Small = NDArray[np.int16]
    Chances = tuple[Small, Small, Small]

ONE = 1 << 12
"""A chance of one."""

RARE = 4
"""The least chance that is not nought."""

CROWDED, LIKELY = 1 << 11, 6
"""A place is crowded if the chance of having come is as large, and if more than one in
``1 << LIKELY`` of its chain are thought to be there."""

PEAK = 30
"""Bits of the weight of no error."""


WIDTHS = np.array([(4 + part) << octave for octave in range(1, 12) for part in range(4)])
"""The widths that there are, in 64ths of a sample: four an octave."""


@cache
def known(amplitude: int) -> int:
    """Return how many of the widths an amplitude has a use for."""
    return int(np.searchsorted(WIDTHS, WIDEST * amplitude, side="right"))


@cache
def places(amplitude: int) -> Table:
    """Return for every base, slope and class which width it has; :func:`known` if it rests."""
    wide = np.array(BASES)[:, np.newaxis, np.newaxis] * amplitude
    wide = wide + (FLOORS * np.array(SLOPES)[:, np.newaxis] >> 8)
    found: Table = np.searchsorted(WIDTHS, wide, side="right") - 1
    return np.minimum(found, known(amplitude))


@lru_cache(maxsize=128)
def chances(amplitude: int, shape: int, price: int) -> Chances:
    """Return the chances that a sample moves, and that one has come, and which places are crowded.

    :returns: three tables, by width and by quarters of a sample from the
        prediction: in parts of ONE, and 1 or 0; zeros for samples that rest.
    """
    chains, powers = weights(amplitude, shape), decay(price)
    moves, comes = _passages(chains, _flattened(chains, powers))
    crowded = (comes >= CROWDED) & (chains << LIKELY >= chains.sum(axis=1, keepdims=True))
    return unfold(moves, amplitude), unfold(comes, amplitude), unfold(crowded, amplitude)


@lru_cache(maxsize=32)
def weights(amplitude: int, shape: int) -> Table:
    """Return how errors are spread: for each width, and each first distance, level by level."""
    step = QUARTERS * amplitude
    freedom, power = SHAPES[shape]
    wide = WIDTHS[: known(amplitude), np.newaxis].astype(np.int64)
    peak = freedom * wide * wide
    away = 16 * np.arange(LEVELS * step, dtype=np.int64)
    part = (peak << PEAK) // (peak + away * away)
    weight = part
    for _ in range(power - 1):
        weight = weight * part >> PEAK
    return weight.reshape(-1, LEVELS, step).transpose(0, 2, 1).reshape(-1, LEVELS)


def decay(price: int) -> Table:
    """Return the powers of a price, in 65536ths."""
    powers = accumulate(
        range(LEVELS), lambda power, _: power * PRICES[price] >> 16, initial=1 << 16
    )
    return np.array(list(powers), dtype=np.int64)


def unfold(chains: NDArray[np.generic], amplitude: int) -> Small:
    """Return chains as one row for each width, and a row of zeros for classes that rest."""
    step = QUARTERS * amplitude
    small = chains.astype(np.int16)
    rows = small.reshape(-1, step, LEVELS).transpose(0, 2, 1).reshape(-1, step * LEVELS)
    return np.vstack([rows, np.zeros_like(rows[:1])])


def _flattened(chains: Table, powers: Table) -> Table:
    """Pool levels, from the outside in, until nothing falls faster than the powers do.

    The blocks of every chain are kept on stacks side by side: mass, length and first value.
    """
    count = len(chains)
    rows = np.arange(count)
    sums = np.concatenate([[0], powers.cumsum()])
    masses, lengths, firsts = (np.zeros((count, LEVELS), dtype=np.int64) for _ in range(3))
    top = np.full(count, -1)
    for level in range(LEVELS):
        mass, first = chains[:, level].copy(), chains[:, level].copy()
        length = np.ones(count, dtype=np.int64)
        steep = rows[_steep(top, firsts[rows, top], lengths[rows, top], powers, first)]
        while steep.size:
            at = steep, top[steep]
            mass[steep] += masses[at]
            length[steep] += lengths[at]
            first[steep] = (mass[steep] << 16) // sums[length[steep]]
            top[steep] -= 1
            at = steep, top[steep]
            steep = steep[_steep(top[steep], firsts[at], lengths[at], powers, first[steep])]
        top += 1
        masses[rows, top], lengths[rows, top], firsts[rows, top] = mass, length, first
    flat = np.zeros_like(chains)
    block, inside = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for level in range(LEVELS):
        flat[:, level] = firsts[rows, block] * powers[inside] >> 16
        inside += 1
        over = inside == lengths[rows, block]
        block, inside = np.where(over, block + 1, block), np.where(over, 0, inside)
    return flat


def _steep(
    top: Table, before: Table, length: Table, powers: Table, first: Table
) -> NDArray[np.bool_]:
    """Return where a block begins lower than the one before it may end."""
    return (top >= 0) & (first < before * powers[length] >> 16)


def _passages(chains: Table, flat: Table) -> tuple[Table, Table]:
    """Return the chances that turn one spread into the other, level by level."""
    ahead = np.clip((chains - flat).cumsum(axis=1), 0, chains)
    ahead[:, -1] = 0
    moves = (ahead << 12) // np.maximum(chains, 1)
    moves[moves < RARE] = 0
    gone = chains * moves >> 12
    came = np.zeros_like(gone)
    came[:, 1:] = gone[:, :-1]
    rest = chains - gone + came
    comes = np.clip((came << 12) // np.maximum(rest, 1), RARE, ONE - RARE)
    comes[:, 1:][moves[:, :-1] == 0] = 0
    comes[:, 0] = 0
    return moves, comes
