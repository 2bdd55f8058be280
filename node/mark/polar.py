"""A polar code of low rate with a list decoder that takes soft values.

Encoding multiplies by the m-th Kronecker power of [[1, 0], [1, 1]]; the least
reliable places carry a known 0. Places are ranked by polarization weight, the
sum of ``b_j 2^(j/4)`` over the bits of their index (He et al., "Beta-expansion",
2017): plain arithmetic, the same everywhere. Decoding is successive
cancellation with a list (Tal and Vardy, 2015), min-sum. Why this code:
docs/decisions/0302-robust.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Values = NDArray[np.float64]


class PolarCode:
    """Carries ``size`` bits in ``length`` symbols; ``length`` is a power of two."""

    def __init__(self, length: int, size: int) -> None:
        self.length, self.size = length, size
        place = np.arange(length)
        steps = range(length.bit_length() - 1)
        weight = np.sum([(place >> j & 1) * 2.0 ** (j / 4) for j in steps], axis=0)
        self._free = np.sort(np.argsort(weight, kind="stable")[length - size :])
        self._frozen = np.ones(length, np.bool_)
        self._frozen[self._free] = False

    def encode(self, bits: Bits) -> Bits:
        """Return the codeword of ``size`` bits, along the last axis."""
        words = np.zeros((*bits.shape[:-1], self.length), np.uint8)
        words[..., self._free] = bits
        return _transform(words)

    def decode(self, soft: Values, width: int) -> Bits:
        """Return up to ``width`` messages, the likeliest first, shape (n, size).

        :param soft: a value per symbol: positive for 0, negative for 1, the
            surer the larger, 0 for one that was not received. Scale is free.
        """
        run = _Run(self._frozen, width)
        words, _ = run.descend(soft.astype(np.float64)[None, :], 0)
        best = np.argsort(run.penalties, kind="stable")
        messages: Bits = _transform(words[best])[:, self._free]
        return messages


class _Run:
    """One decoding: the paths alive, and how much each contradicts what was received."""

    def __init__(self, frozen: NDArray[np.bool_], width: int) -> None:
        self._frozen = frozen
        self._width = width
        self.penalties = np.zeros(1)

    def descend(self, soft: Values, start: int) -> tuple[Bits, NDArray[np.intp]]:
        """Decide the symbols of a subtree.

        :param soft: shape (paths, symbols of the subtree).
        :returns: the codeword of each path alive afterwards, and which path
            at entry it goes on from.
        """
        size = soft.shape[1]
        frozen = self._frozen[start : start + size]
        if frozen.all():
            self.penalties = self.penalties + np.maximum(-soft, 0).sum(axis=1)
            return np.zeros(soft.shape, np.uint8), np.arange(len(soft))
        if frozen[:-1].all():  # one free bit: all symbols are equal
            costs = np.stack([np.maximum(-soft, 0).sum(axis=1), np.maximum(soft, 0).sum(axis=1)], 1)
            parents, bits = self._keep(self.penalties[:, None] + costs)
            return np.repeat(bits[:, None], size, axis=1), parents
        half = size // 2
        left, right = soft[:, :half], soft[:, half:]
        signs = np.where((left < 0) ^ (right < 0), -1.0, 1.0)
        upper, first = self.descend(signs * np.minimum(np.abs(left), np.abs(right)), start)
        left, right = left[first], right[first]
        lower, second = self.descend(right + np.where(upper, -left, left), start + half)
        upper = upper[second]
        return np.concatenate([upper ^ lower, lower], axis=1), first[second]

    def _keep(self, penalties: Values) -> tuple[NDArray[np.intp], Bits]:
        """Keep the best of both continuations of every path."""
        flat = penalties.ravel()
        kept = np.argsort(flat, kind="stable")[: self._width]
        self.penalties = flat[kept]
        return kept >> 1, (kept & 1).astype(np.uint8)


def _transform(words: Bits) -> Bits:
    """Multiply by the kernel's power, its own inverse, along the last axis."""
    out = words.copy()
    step = 1
    while step < out.shape[-1]:
        pairs = out.reshape(*out.shape[:-1], -1, 2, step)
        pairs[..., 0, :] ^= pairs[..., 1, :]
        step *= 2
    return out
