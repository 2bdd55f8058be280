"""Who may move in one tile, compiled: :mod:`node.mark.bounds` says what is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from node.mark.bounds import CROWD
from node.mark.machine import compiled
from node.mark.settings import GRADES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.desk import Desk, Ground

    Array = NDArray[Any]

NARROW = 1 << 13
"""Samples that span less than this are worked on in 16 bits: then unrest stays below 2^16."""

MEDIUM = 1 << 26
"""So are these in 32 bits."""

NEAR, FAR = 2, 3 * max(step for step, _ in GRADES)
"""Room on both sides that makes a sample a sure carrier at amplitude 1, and at any."""


@compiled
def outside(ground: Ground) -> int:
    """Return a number beyond all bounds, as is its opposite."""
    if ground.low.itemsize == 2:  # noqa: PLR2004 - bytes
        return 2 * NARROW
    return 4 * MEDIUM if ground.low.itemsize == 4 else 1 << 40  # noqa: PLR2004


@compiled
def settle(ground: Ground, desk: Desk, area: int) -> bool:
    """Set ends and limits; say whether any sample is inside its bounds."""
    beyond = outside(ground)
    least, most, number = _survey(ground, desk, area, (-beyond, beyond))
    for end in range(2):
        value = most if end else least
        if _survey(ground, desk, area, (value, value))[2] * CROWD > number:
            if end:
                value = _survey(ground, desk, area, (-beyond, value - 1))[1]
            else:
                value = _survey(ground, desk, area, (value + 1, beyond))[0]
        desk.ends[end] = value
    low, high = max(-beyond, desk.ends[0] + 1), min(beyond, desk.ends[1] - 1)
    if ground.low.size == 1:
        low, high = max(low, int(ground.low[0, 0])), min(high, int(ground.high[0, 0]))
    desk.limits[0] = min(low + (low & 1), beyond)
    desk.limits[1] = max(high - (~high & 1), -beyond)
    return bool(number > 0)


@compiled
def _survey(ground: Ground, desk: Desk, area: int, span: tuple[int, int]) -> tuple[int, int, int]:
    """Return the least and the most of the samples inside their bounds and a span; their number.

    Of none, the least is beyond all bounds, and so is the most.
    """
    fit, beyond = desk.planes.dtype.type, outside(ground)
    least, most, number = beyond, -beyond, 0
    for plane in range(4):
        values = desk.planes[plane, :area]
        if ground.low.size == 1:
            low, high = max(span[0], int(ground.low[0, 0])), min(span[1], int(ground.high[0, 0]))
            found = _scan_alike(values, fit(low), fit(high), fit(beyond))
        else:
            lows, highs = desk.lows[plane, :area], desk.highs[plane, :area]
            found = _scan(values, lows, highs, (fit(span[0]), fit(span[1])), fit(beyond))
        least, most, number = min(least, found[0]), max(most, found[1]), number + found[2]
    return least, most, number


@compiled
def _scan_alike(values: Array, low: int, high: int, beyond: int) -> tuple[int, int, int]:
    fit = values.dtype.type
    least, most, number = beyond, fit(-beyond), np.int32(0)
    for k in range(len(values)):
        value = values[k]
        inside = (value >= low) & (value <= high)
        least = min(least, value if inside else beyond)
        most = max(most, value if inside else fit(-beyond))
        number = np.int32(number + inside)
    return int(least), int(most), int(number)


@compiled
def _scan(
    values: Array, lows: Array, highs: Array, span: tuple[int, int], beyond: int
) -> tuple[int, int, int]:
    fit = values.dtype.type
    least, most, number = beyond, fit(-beyond), np.int32(0)
    for k in range(len(values)):
        value = values[k]
        inside = (value >= lows[k]) & (value <= highs[k])
        inside &= (value >= span[0]) & (value <= span[1])
        least = min(least, value if inside else beyond)
        most = max(most, value if inside else fit(-beyond))
        number = np.int32(number + inside)
    return int(least), int(most), int(number)


@compiled
def permit(ground: Ground, desk: Desk, area: int) -> None:
    """Set for each sample whether it may move; needs what :func:`settle` sets."""
    fit = desk.planes.dtype.type
    low, high = fit(desk.limits[0]), fit(desk.limits[1])
    for plane in range(4):
        values, usable = desk.planes[plane, :area], desk.usable[plane, :area]
        if ground.low.size > 1:
            lows, highs = desk.lows[plane, :area], desk.highs[plane, :area]
            _bound(lows, highs, low, high)
            _permit(values, usable, lows, highs)
        else:
            _permit_alike(values, usable, low, high)


@compiled
def _bound(lows: Array, highs: Array, low: int, high: int) -> None:
    """Bring bounds inside the limits: low even, high odd."""
    fit = lows.dtype.type
    for k in range(len(lows)):
        lows[k] = max(low, fit(lows[k] + (lows[k] & fit(1))))
        highs[k] = min(high, fit(highs[k] - (~highs[k] & fit(1))))


@compiled
def _permit(values: Array, usable: Array, lows: Array, highs: Array) -> None:
    """Say of each sample whether it may move, and how freely."""
    fit = values.dtype.type
    for k in range(len(values)):
        room = min(fit(values[k] - lows[k]), fit(highs[k] - values[k]))
        usable[k] = (room >= 0) + (room >= NEAR) + (room >= FAR)


@compiled
def _permit_alike(values: Array, usable: Array, low: int, high: int) -> None:
    fit = values.dtype.type
    for k in range(len(values)):
        room = min(fit(values[k] - low), fit(high - values[k]))
        usable[k] = (room >= 0) + (room >= NEAR) + (room >= FAR)
