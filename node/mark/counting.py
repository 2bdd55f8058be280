"""What is counted on an image and its marked copy: sums, from which distances are computed.

``node.mark.fastcounting`` counts the same, compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.int32]
    Sums = NDArray[np.float64]

GREYS = 255


class Scale(NamedTuple):
    """How samples become grey levels: less ``low``, times ``factor``, rounded, 0 to GREYS.

    Both are whatever single precision holds, and so is every step.
    """

    low: float
    factor: float


def spread(original: Samples, marked: Samples) -> tuple[int, int, int, int, int]:
    """Return the largest change, how many changed, their squares' sum; the original's ends."""
    change = marked - original
    return (
        max(int(change.max()), -int(change.min())),
        int(np.count_nonzero(change)),
        int(np.einsum("ij,ij->", change, change, dtype=np.int64)),
        int(original.min()),
        int(original.max()),
    )


def windows(original: Samples, marked: Samples, edges: tuple[int, int], scale: Scale) -> Sums:
    """Return sums over the windows where a grey level changed, one row each, in reading order.

    Of x, x squared, d, d squared and x times d: x is the original's level, d its
    change. Levels are whole, so that sums of single precision are exact:
    64 * 255 * 255 < 2^24.

    :param edges: height and width of a window; they lie side by side, and up
        to so many rows and columns less one at the far edges are in none.
    """
    height, width = edges
    down, right = original.shape[0] // height, original.shape[1] // width
    count: int = down * right
    places = np.flatnonzero(marked != original)
    x = _shown(original.ravel()[places], scale)
    moved = _shown(marked.ravel()[places], scale) - x
    seen = np.flatnonzero(moved)
    row, column = np.divmod(places[seen], original.shape[1])
    row, column = row // height, column // width
    inside = (row < down) & (column < right)
    at, seen = (row * right + column)[inside], seen[inside]
    x, moved = x[seen], moved[seen]
    added, powers, product = (
        np.bincount(at, weights, count) for weights in (moved, moved * moved, x * moved)
    )
    touched = np.flatnonzero(powers)
    whole = original[: down * height, : right * width].reshape(down, height, right, width)
    levels = _shown(whole[touched // right, :, touched % right], scale)
    sums, squares = np.einsum("whi->w", levels), np.einsum("whi,whi->w", levels, levels)
    found = sums, squares, added[touched], powers[touched], product[touched]
    return np.stack(found, axis=1).astype(np.float64)


def _shown(samples: Samples, scale: Scale) -> NDArray[np.float32]:
    levels = samples.astype(np.float32)
    levels -= np.float32(scale.low)
    levels *= np.float32(scale.factor)
    np.rint(levels, out=levels)
    np.maximum(levels, 0, out=levels)
    return np.minimum(levels, GREYS, out=levels)
