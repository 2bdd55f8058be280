"""What the samples of a quarter grid look like: errors and unrest, in vector code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from node.mark.machine import compiled
from node.mark.settings import FLOORS, OFFSETS, REACH, SLOPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.desk import Desk, Part, Tile

    Array = NDArray[Any]

CALM = 1 << 14
"""Unrest below this finds its class in a table."""

CLASS = (np.searchsorted(FLOORS, np.arange(CALM), side="right") - 1).astype(np.uint8)
EDGES = FLOORS.copy()
STEEPNESS = np.array(SLOPES)
STARTS = np.array(OFFSETS)
RESTING = np.array(
    [next((floor for floor in FLOORS if floor * slope >> 8 > REACH), 0) for slope in SLOPES]
)
"""For every slope, the smallest unrest that rests whatever the offset; 0 where all carry alike."""


class Around(NamedTuple):
    """The samples of a quarter grid and, in the same order, their neighbours."""

    values: Array
    n: Array
    s: Array
    w: Array
    e: Array
    nw: Array
    ne: Array
    sw: Array
    se: Array


@compiled
def around(desk: Desk, tile: Tile, part: Part) -> Around:
    """Return the neighbourhoods of a quarter grid."""
    planes, stride, start, length = desk.planes, tile.stride, part.start, part.length
    # The line above is the one before in a plane of odd rows, the same in one of even rows.
    above = start - part.row * stride
    left = start - part.column
    corner = above - part.column
    upright = planes[part.plane ^ 2]
    beside = planes[part.plane ^ 1]
    across = planes[part.plane ^ 3]
    return Around(
        planes[part.plane, start : start + length],
        upright[above : above + length],
        upright[above + stride : above + stride + length],
        beside[left : left + length],
        beside[left + 1 : left + 1 + length],
        across[corner : corner + length],
        across[corner + 1 : corner + 1 + length],
        across[corner + stride : corner + stride + length],
        across[corner + stride + 1 : corner + stride + 1 + length],
    )


@compiled
def sense(desk: Desk, tile: Tile, part: Part) -> None:
    """Set the unrest of every sample of a quarter grid, and the sizes of either error."""
    _sense(around(desk, tile, part), desk.unrest, desk.sizes[0], desk.sizes[1])


@compiled
def _sense(near: Around, unrest: Array, plain: Array, sharp: Array) -> None:
    fit, bare = near.values.dtype.type, unrest.dtype.type
    for k in range(len(near.values)):
        n, s, w, e = near.n[k], near.s[k], near.w[k], near.e[k]
        up, down = fit(near.nw[k] + near.ne[k]), fit(near.sw[k] + near.se[k])
        left, right = fit(near.nw[k] + near.sw[k]), fit(near.ne[k] + near.se[k])
        up, down = fit(up - fit(n + n)), fit(down - fit(s + s))
        left, right = fit(left - fit(w + w)), fit(right - fit(e + e))
        corners = fit(fit(up + fit(n + n)) + fit(down + fit(s + s)))
        up, down = up if up >= 0 else fit(-up), down if down >= 0 else fit(-down)
        left, right = left if left >= 0 else fit(-left), right if right >= 0 else fit(-right)
        unrest[k] = bare(bare(bare(up) + bare(down)) + bare(bare(left) + bare(right)))
        sides = fit(fit(n + s) + fit(w + e))
        error = fit(near.values[k] - fit(fit(sides + fit(2)) >> fit(2)))
        size = error if error >= 0 else fit(~error)
        plain[k] = min(size, fit(REACH + 1))
        error = fit(near.values[k] - _sharp(sides, corners, fit))
        size = error if error >= 0 else fit(~error)
        sharp[k] = min(size, fit(REACH + 1))


@compiled
def _sharp(sides: int, corners: int, fit: Any) -> int:
    """Return ``(2 * sides - corners + 2) >> 2``, without a number beyond three spans."""
    odd = fit(corners & fit(1))
    found: int = fit(fit(fit(sides - fit(corners >> fit(1))) + fit(fit(1) - odd)) >> fit(1))
    return found


@compiled
def weigh(desk: Desk, tile: Tile, part: Part, header: int) -> None:
    """Set unrest, error and ``excess``: how much larger each is than the least that carries.

    The excess is negative where the sample neither carries nor gives way.
    """
    near = around(desk, tile, part)
    bare = desk.unrest.dtype.type
    start, length = part.start, part.length
    usable = desk.usable[part.plane, start : start + length]
    if header & 1:
        _weigh_sharp(near, desk.unrest, desk.error)
    else:
        _weigh_plain(near, desk.unrest, desk.error)
    slope = header >> 6
    limit, steep, begin = (
        bare(RESTING[slope]),
        bare(STEEPNESS[slope]),
        bare(STARTS[header >> 4 & 3]),
    )
    _exceed(usable, (desk.unrest, desk.error, desk.excess), limit, steep, begin)


@compiled
def _weigh_plain(near: Around, unrest: Array, errors: Array) -> None:
    fit, bare = near.values.dtype.type, unrest.dtype.type
    for k in range(len(near.values)):
        n, s, w, e = near.n[k], near.s[k], near.w[k], near.e[k]
        up, down = fit(near.nw[k] + near.ne[k]), fit(near.sw[k] + near.se[k])
        left, right = fit(near.nw[k] + near.sw[k]), fit(near.ne[k] + near.se[k])
        up, down = fit(up - fit(n + n)), fit(down - fit(s + s))
        left, right = fit(left - fit(w + w)), fit(right - fit(e + e))
        up, down = up if up >= 0 else fit(-up), down if down >= 0 else fit(-down)
        left, right = left if left >= 0 else fit(-left), right if right >= 0 else fit(-right)
        unrest[k] = bare(bare(bare(up) + bare(down)) + bare(bare(left) + bare(right)))
        sides = fit(fit(n + s) + fit(w + e))
        errors[k] = fit(near.values[k] - fit(fit(sides + fit(2)) >> fit(2)))


@compiled
def _weigh_sharp(near: Around, unrest: Array, errors: Array) -> None:
    fit, bare = near.values.dtype.type, unrest.dtype.type
    for k in range(len(near.values)):
        n, s, w, e = near.n[k], near.s[k], near.w[k], near.e[k]
        over, under = fit(near.nw[k] + near.ne[k]), fit(near.sw[k] + near.se[k])
        left, right = fit(near.nw[k] + near.sw[k]), fit(near.ne[k] + near.se[k])
        up, down = fit(over - fit(n + n)), fit(under - fit(s + s))
        left, right = fit(left - fit(w + w)), fit(right - fit(e + e))
        up, down = up if up >= 0 else fit(-up), down if down >= 0 else fit(-down)
        left, right = left if left >= 0 else fit(-left), right if right >= 0 else fit(-right)
        unrest[k] = bare(bare(bare(up) + bare(down)) + bare(bare(left) + bare(right)))
        sides, corners = fit(fit(n + s) + fit(w + e)), fit(over + under)
        errors[k] = fit(near.values[k] - _sharp(sides, corners, fit))


@compiled
def _exceed(
    usable: Array, layer: tuple[Array, Array, Array], limit: int, steep: int, begin: int
) -> None:
    """The class is not looked up: its floor is the unrest with all but its first three bits 0."""
    unrest, errors, excess = layer
    fit, bare = errors.dtype.type, unrest.dtype.type
    for k in range(len(usable)):
        calm = min(unrest[k], limit)
        smear = bare(calm | bare(calm >> bare(1)))
        smear = bare(smear | bare(smear >> bare(2)))
        smear = bare(smear | bare(smear >> bare(4)))
        smear = bare(smear | bare(smear >> bare(8)))
        cleared = bare(max(bare(bare(smear + bare(1)) >> bare(3)), bare(1)) - bare(1))
        least = bare(bare(bare(bare(calm & bare(~cleared)) * steep) >> bare(8)) + begin)
        size = errors[k] if errors[k] >= 0 else fit(~errors[k])
        open_ = (least <= bare(REACH)) & (usable[k] > 0)
        excess[k] = fit(size - fit(least)) if open_ else fit(-1)


@compiled
def class_of(unrest: int) -> int:
    """Return the class of a sample."""
    if unrest < CALM:
        return int(CLASS[unrest])
    return int(np.searchsorted(EDGES, unrest, side="right")) - 1
