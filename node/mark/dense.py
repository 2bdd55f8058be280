"""The evidence for details of cells that may lie anywhere: around every corner of a pixel.

The same as :mod:`node.mark.pattern` computes for cells that lie where they were
marked. Not part of the format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.mark.pattern import ABS_TO_RMS, CLIP, CROWDED, LARGEST, LEAST, TINY

if TYPE_CHECKING:
    from node.mark.pattern import Floats

SPARSE = 7
"""Of so many deviations one is looked at to find the floor."""


def evidence(picture: Floats, half: int) -> list[Floats]:
    """Return the evidence for each detail, each shaped (rows + 1, columns + 1).

    :param half: half the edge of the cells, in pixels.
    """
    across = [_low(picture, 0, half), _high(picture, 0, half)]
    found = [_low(across[1], 1, half), _high(across[0], 1, half), _high(across[1], 1, half)]
    dark, bright = picture <= picture.min() + 1, picture >= picture.max() - 1
    live = np.ones(found[0].shape, np.bool_)
    for end in (dark, bright):
        live &= _low(_low(end.astype(np.float64), 0, half), 1, half) < CROWDED
    if not live.any():
        return [np.zeros(found[0].shape) for _ in found]
    weight = _around(live.astype(np.float64), half) + TINY
    strays = [
        _around(np.minimum(np.abs(detail), LARGEST) * live, half) / weight * ABS_TO_RMS
        for detail in found
    ]
    floor = float(np.percentile(np.stack([stray[live][::SPARSE] for stray in strays]), 25))
    strays = [np.sqrt(stray**2 + floor**2 + LEAST**2) for stray in strays]
    return [
        np.clip(detail / stray, -CLIP, CLIP) / stray * live
        for detail, stray in zip(found, strays, strict=True)
    ]


def _means(values: Floats, axis: int, first: int, last: int) -> Floats:
    """Return the mean from ``first`` to ``last`` pixels away from every corner between pixels."""
    values = np.moveaxis(values, axis, 0)
    reach = max(-first, last)
    ends = [np.repeat(values[:1], reach, 0), values, np.repeat(values[-1:], reach, 0)]
    sums = np.cumsum(np.concatenate([np.zeros_like(values[:1]), *ends]), axis=0)
    count = len(values) + 1
    low, high = reach + first, reach + last
    return np.moveaxis(
        (sums[high : high + count] - sums[low : low + count]) / (last - first), 0, axis
    )


def _low(values: Floats, axis: int, half: int) -> Floats:
    return _means(values, axis, -half, half)


def _high(values: Floats, axis: int, half: int) -> Floats:
    """Haar's detail less an eighth of the slope across the neighbours: rbio1.3."""
    detail = _means(values, axis, -half, 0) - _means(values, axis, 0, half)
    slope = _means(values, axis, -3 * half, -half) - _means(values, axis, half, 3 * half)
    return detail / 2 - slope / 8


def _around(values: Floats, half: int) -> Floats:
    across = _means(values, 0, -3 * half, 3 * half)[:-1]
    return _means(across, 1, -3 * half, 3 * half)[:, :-1]
