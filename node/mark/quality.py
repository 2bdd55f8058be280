"""How far a marked image is from its original, in numbers that can be compared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from node.types import Quality

if TYPE_CHECKING:
    from numpy.typing import NDArray


def measure(original: NDArray[np.int32], marked: NDArray[np.int32], bits_stored: int) -> Quality:
    """Return the distance between two images of the same shape.

    PSNR is 20 log10(peak) - 10 log10(MSE) in dB, once with the range of
    ``bits_stored`` as its peak and once with the original's own range: the
    first flatters deep images.
    """
    change = marked - original
    changed = int(np.count_nonzero(change))
    if not changed:
        return Quality(0, 0, math.inf, math.inf)
    error = float(np.einsum("ij,ij->", change, change, dtype=np.float64)) / change.size
    own = int(original.max()) - int(original.min())
    return Quality(
        max_change=int(np.abs(change).max()),
        changed=changed,
        psnr_stored=_psnr((1 << bits_stored) - 1, error),
        psnr_data=_psnr(own, error),
    )


def _psnr(peak: int, error: float) -> float:
    return 20.0 * math.log10(max(peak, 1)) - 10.0 * math.log10(error)
