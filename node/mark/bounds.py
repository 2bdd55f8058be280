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

MOST = (1 << 31) - 1

ENDS = 4
"""At most this many values are fixed at each end."""


def intervals(carrier: Carrier) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the inclusive bounds of every sample; fixed where both equal the sample.

    For any ``marked`` whose samples lie inside the bounds of ``carrier``, the
    bounds computed from ``marked`` are the same (where ``low`` and ``high``
    of the carrier are).

    :returns: two int32 arrays shaped like the samples.
    """
    samples = carrier.samples
    low = np.array(np.broadcast_to(carrier.low, samples.shape), dtype=np.int32)
    high = np.array(np.broadcast_to(carrier.high, samples.shape), dtype=np.int32)
    fixed = (samples < low) | (samples > high)
    rest = samples
    if carrier.padding is not None:
        first, last = carrier.padding
        padded = (samples >= first) & (samples <= last)
        fixed |= padded
        np.maximum(low, min(last + 1, MOST), out=low, where=samples > last)
        np.minimum(high, max(first - 1, -MOST - 1), out=high, where=samples < first)
        rest = samples[~padded]
    if rest.size:
        values, counts = np.unique(rest, return_counts=True)
        floor = _end(values, counts, rest.size)
        ceiling = _end(values[::-1], counts[::-1], rest.size)
        fixed |= (samples <= floor) | (samples >= ceiling)
        np.maximum(low, min(floor + 1, MOST), out=low)
        np.minimum(high, max(ceiling - 1, -MOST - 1), out=high)
    np.copyto(low, samples, where=fixed)
    np.copyto(high, samples, where=fixed)
    return low, high


def _end(values: NDArray[np.int32], counts: NDArray[np.intp], total: int) -> int:
    """Return the innermost value that is fixed, walking in from one end."""
    last = 0
    while last + 1 < min(ENDS, len(values)) and int(counts[last]) * CROWD > total:
        last += 1
    return int(values[last])
