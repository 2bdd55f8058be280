"""How far each sample may move, computed alike from the original and from the marked samples.

Three kinds of sample stay as they are: those inside the carrier's padding
range, those that equal the smallest or the largest value of the rest, and, as
undeclared padding and clamped air are common, those at further end values
while the end is crowded. Nobody may move onto a value that is fixed for
everyone, so both ends of the histogram, and with them Smallest and Largest
Image Pixel Value, are the same before and after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.types import Carrier

CROWD = 200
"""An end value is crowded when it holds more than one sample in this many."""

ENDS = 4
"""At most this many values are fixed at each end."""

LEAST, MOST = -(1 << 31), (1 << 31) - 1


def intervals(carrier: Carrier) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the inclusive bounds of every sample; samples outside theirs do not move.

    For any ``marked`` whose moved samples lie inside the bounds of
    ``carrier``, the bounds computed from ``marked`` are the same (where
    ``low`` and ``high`` of the carrier are).

    :returns: two int32 arrays of two dimensions that broadcast against the samples.
    """
    samples = carrier.samples
    low = np.array(carrier.low, dtype=np.int32, ndmin=2)
    high = np.array(carrier.high, dtype=np.int32, ndmin=2)
    rest = samples
    if carrier.padding is not None:
        first, last = carrier.padding
        above, below = samples > last, samples < first
        # Nobody crosses the padding; where it is all on one side, one bound says so.
        if not below.any():
            low = np.maximum(low, min(last + 1, MOST))
        elif not above.any():
            high = np.minimum(high, max(first - 1, LEAST))
        else:
            low = np.where(below, low, np.maximum(low, min(last + 1, MOST)))
            high = np.where(above, high, np.minimum(high, max(first - 1, LEAST)))
        rest = samples[above | below]
    if rest.size:
        floor, ceiling = ends(rest)
        low = np.maximum(low, min(floor + 1, MOST))
        high = np.minimum(high, max(ceiling - 1, LEAST))
    # From an even value to an odd one: so whoever may move may also change its lowest bit.
    low = np.minimum(low.astype(np.int64) + (low & 1), MOST)
    high = np.maximum(high.astype(np.int64) - (~high & 1), LEAST)
    return low.astype(np.int32), high.astype(np.int32)


def ends(rest: NDArray[np.int32]) -> tuple[int, int]:
    """Return the innermost value that is fixed at either end."""
    floor, ceiling = int(rest.min()), int(rest.max())
    top = ceiling
    for _ in range(ENDS - 1):
        if floor == top or np.count_nonzero(rest == floor) * CROWD <= rest.size:
            break
        floor = int(rest.min(where=rest > floor, initial=MOST))
    bottom = int(rest.min())
    for _ in range(ENDS - 1):
        if ceiling == bottom or np.count_nonzero(rest == ceiling) * CROWD <= rest.size:
            break
        ceiling = int(rest.max(where=rest < ceiling, initial=LEAST))
    return floor, ceiling
