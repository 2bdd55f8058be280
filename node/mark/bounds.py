"""How far each sample may move, computed alike from the original and from the marked samples.

What the carrier allows holds for the whole image; the ends of the histogram
are looked for in each tile alone, so that an edit elsewhere changes nothing
here. Three kinds of sample stay as they are: those outside the carrier's
bounds or inside its padding, those that equal the smallest or the largest
value of the rest of the tile, and, as undeclared padding and clamped air are
common, those at the next value if that end is crowded. Nobody moves onto
these values or beyond, so Smallest and Largest Image Pixel Value stay true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.types import Carrier

    Samples = NDArray[np.int32]

CROWD = 16
"""An end value is crowded when it holds more than one sample in this many."""

LEAST, MOST = -(1 << 31), (1 << 31) - 1


def limits(carrier: Carrier) -> tuple[Samples, Samples]:
    """Return the inclusive bounds that hold for the whole carrier, its padding left out.

    :returns: two int32 arrays of two dimensions that broadcast against the
        samples. A sample outside its bounds does not move.
    """
    low = np.array(carrier.low, dtype=np.int32, ndmin=2)
    high = np.array(carrier.high, dtype=np.int32, ndmin=2)
    if carrier.padding is not None:
        first, last = carrier.padding
        # Nobody crosses the padding; where all are on one side, one bound says so.
        if carrier.ends[0] >= first:
            low = np.maximum(low, min(last + 1, MOST))
        elif carrier.ends[1] <= last:
            high = np.minimum(high, max(first - 1, LEAST))
        else:
            above, below = carrier.samples > last, carrier.samples < first
            low = np.where(below, low, np.maximum(low, min(last + 1, MOST)))
            high = np.where(above, high, np.minimum(high, max(first - 1, LEAST)))
    return low.astype(np.int32), high.astype(np.int32)


def settle(samples: Samples, low: Samples, high: Samples) -> tuple[Samples, Samples]:
    """Return the bounds inside one tile, shaped like its samples.

    For any ``marked`` whose moved samples lie inside them, the bounds computed
    from ``marked`` are the same. A sample outside its bounds does not move;
    one that may move may also change its lowest bit: low is even, high is odd.
    """
    inside = samples[(low <= samples) & (samples <= high)]
    floor, ceiling = ends(inside) if inside.size else (MOST, LEAST)
    bottom = np.maximum(low, min(floor + 1, MOST)).astype(np.int64)
    top = np.minimum(high, max(ceiling - 1, LEAST)).astype(np.int64)
    bottom = np.minimum(bottom + (bottom & 1), MOST).astype(np.int32)
    top = np.maximum(top - (~top & 1), LEAST).astype(np.int32)
    return np.broadcast_to(bottom, samples.shape), np.broadcast_to(top, samples.shape)


def ends(samples: Samples) -> tuple[int, int]:
    """Return the innermost value that is fixed at either end, of one sample at least."""
    floor, ceiling = int(samples.min()), int(samples.max())
    if np.count_nonzero(samples == floor) * CROWD > samples.size:
        floor = int(samples.min(where=samples > floor, initial=MOST))
    if np.count_nonzero(samples == ceiling) * CROWD > samples.size:
        ceiling = int(samples.max(where=samples < ceiling, initial=LEAST))
    return floor, ceiling
