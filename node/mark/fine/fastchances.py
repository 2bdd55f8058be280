"""The chances of :mod:`node.mark.fine.chances`, compiled: the same numbers, much sooner."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from node.mark.fine.chances import CROWDED, LIKELY, ONE, RARE, decay, unfold, weights
from node.mark.machine import compiled, kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.fine.chances import Chances

    Array = NDArray[Any]


@lru_cache(maxsize=128)
def compiled_chances(amplitude: int, shape: int, price: int) -> Chances:
    """Return what ``chances`` does."""
    moves, comes, crowded = _every(weights(amplitude, shape), decay(price))
    return unfold(moves, amplitude), unfold(comes, amplitude), unfold(crowded, amplitude)


@kept
def _every(chains: Array, powers: Array) -> tuple[Array, Array, Array]:
    moves, comes, crowded = (
        np.zeros(chains.shape, np.int16),
        np.zeros(chains.shape, np.int16),
        np.zeros(chains.shape, np.int16),
    )
    for row in range(len(chains)):
        reckon(chains[row], powers, moves[row], comes[row], crowded[row])
    return moves, comes, crowded


@compiled
def reckon(chain: Array, powers: Array, moves: Array, comes: Array, crowded: Array) -> None:
    """Fill one chain of the three tables, which hold zeros."""
    flat = _flattened(chain, powers)
    total = chain.sum()
    ahead, came = 0, 0
    for level in range(len(chain)):
        weight = chain[level]
        ahead += weight - flat[level]
        move = (min(max(ahead, 0), weight) << 12) // max(weight, 1)
        move = move if move >= RARE and level < len(chain) - 1 else 0
        gone = weight * move >> 12
        if level and moves[level - 1]:
            chance = (came << 12) // max(weight - gone + came, 1)
            chance = min(max(chance, RARE), ONE - RARE)
            comes[level] = chance
            crowded[level] = chance >= CROWDED and weight << LIKELY >= total
        moves[level], came = move, gone


@compiled
def _flattened(chain: Array, powers: Array) -> Array:
    levels = len(chain)
    masses, lengths, firsts = np.zeros((3, levels), np.int64)
    top = -1
    for level in range(levels):
        mass, length, first = chain[level], 1, chain[level]
        while top >= 0 and first < firsts[top] * powers[lengths[top]] >> 16:
            mass, length = mass + masses[top], length + lengths[top]
            first = (mass << 16) // powers[:length].sum()
            top -= 1
        top += 1
        masses[top], lengths[top], firsts[top] = mass, length, first
    flat = np.zeros(levels, np.int64)
    level = 0
    for block in range(top + 1):
        for inside in range(lengths[block]):
            flat[level] = firsts[block] * powers[inside] >> 16
            level += 1
    return flat
