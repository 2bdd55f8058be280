"""Shamir's sharing over GF(2^8): k shares give a secret, fewer say nothing about it.

Source: Shamir 1979, "How to share a secret"; docs/formats/share-v1.md, section 4.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from node.crypto.shares import field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Buffer = bytes | bytearray | memoryview
    Draw = Callable[[int], Buffer]


def share_bytes(length: int) -> int:
    """Return how long each share of a secret is."""
    return -(-length // field.STRIPS) * field.STRIPS


def split(secret: Buffer, k: int, shares: Sequence[NDArray[np.uint8]], draw: Draw) -> None:
    """Write the shares of a secret, those of the indices 1 to n in order.

    :param shares: n flat arrays, uint8, each ``share_bytes(len(secret))`` long.
    :param draw: gives so many unpredictable bytes: the coefficients.
    """
    row = np.frombuffer(secret, np.uint8)
    if missing := share_bytes(len(row)) - len(row):
        row = np.concatenate((row, np.zeros(missing, np.uint8)))
    field.apply(_matrix(k, len(shares)), [row], shares, draw)


def join(shares: Mapping[int, Buffer]) -> NDArray[np.uint8]:
    """Return the secret that all the given shares make, with the zeros that pad it.

    Of fewer shares than it was split for this is as good as random.

    :param shares: by index, all equally long.
    """
    indices = sorted(shares)
    rows = [np.frombuffer(shares[index], np.uint8) for index in indices]
    secret = np.empty(len(rows[0]), np.uint8)
    field.apply(field.interpolation(indices, [0]), rows, [secret])
    return secret


@lru_cache(maxsize=64)
def _matrix(k: int, n: int) -> field.Matrix:
    return tuple(field.powers(index, k) for index in range(1, n + 1))
