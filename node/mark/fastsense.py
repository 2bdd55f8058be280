"""What the samples of a quarter grid look like: errors and unrest, in vector code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from node.mark.machine import compiled
from node.mark.settings import FLOORS, OFFSETS, REACH, SLOPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.desk import Desk, Part, Tile

    Array = NDArray[Any]

CLASSES = len(FLOORS)
CALM = 1 << 14
"""Unrest below this finds its class in a table."""

CLASS = (np.searchsorted(FLOORS, np.arange(CALM), side="right") - 1).astype(np.uint8)
EDGES = FLOORS.copy()
STEEPNESS = np.array(SLOPES)
STARTS = np.array(OFFSETS)


@compiled
def sense(desk: Desk, tile: Tile, part: Part) -> None:
    """Set unrest and either error of every sample of a quarter grid."""
    planes, stride, start, length = desk.planes, tile.stride, part.start, part.length
    # The line above is the one before in a plane of odd rows, the same in one of even rows.
    above = start - part.row * stride
    left = start - part.column
    corner = above - part.column
    upright = planes[part.plane ^ 2]
    beside = planes[part.plane ^ 1]
    across = planes[part.plane ^ 3]
    _sense(
        planes[part.plane, start : start + length],
        (upright[above : above + length], upright[above + stride : above + stride + length]),
        (beside[left : left + length], beside[left + 1 : left + 1 + length]),
        (across[corner : corner + length], across[corner + 1 : corner + 1 + length]),
        (
            across[corner + stride : corner + stride + length],
            across[corner + stride + 1 : corner + stride + 1 + length],
        ),
        desk,
    )


@compiled
def _sense(  # noqa: PLR0917 - one for each line of neighbours
    values: Array,
    upright: tuple[Array, Array],
    beside: tuple[Array, Array],
    over: tuple[Array, Array],
    under: tuple[Array, Array],
    desk: Desk,
) -> None:
    fit = desk.unrest.dtype.type
    unrest, plain, sharp = desk.unrest, desk.plain, desk.sharp
    norths, souths = upright
    wests, easts = beside
    for k in range(len(values)):
        n, s, w, e = norths[k], souths[k], wests[k], easts[k]
        nw, ne, sw, se = over[0][k], over[1][k], under[0][k], under[1][k]
        up, down, near = fit(nw + ne), fit(sw + se), fit(fit(n + s) + fit(w + e))
        unrest[k] = fit(
            fit(abs(fit(up - fit(n + n))) + abs(fit(down - fit(s + s))))
            + fit(abs(fit(fit(nw + sw) - fit(w + w))) + abs(fit(fit(ne + se) - fit(e + e))))
        )
        plain[k] = fit(values[k] - fit(fit(near + fit(2)) >> fit(2)))
        sharp[k] = fit(values[k] - fit(fit(fit(near + near) - fit(up + down) + fit(2)) >> fit(2)))


@compiled
def weigh(desk: Desk, part: Part, header: int) -> None:
    """Set ``excess``: how much larger each error is than the least one that carries.

    Negative where the sample neither carries nor gives way. The class is not
    looked up: its floor is the unrest with all but its first three bits cleared.
    """
    errors = desk.sharp if header & 1 else desk.plain
    fit = desk.unrest.dtype.type
    unrest, excess = desk.unrest, desk.excess
    usable = desk.usable[part.plane, part.start : part.start + part.length]
    slope, offset = fit(STEEPNESS[header >> 6]), fit(STARTS[header >> 4 & 3])
    for k in range(len(usable)):
        # Beyond this unrest every class rests, unless all carry alike.
        calm = min(unrest[k], fit(CALM - 1))
        smear = fit(calm | fit(calm >> fit(1)))
        smear = fit(smear | fit(smear >> fit(2)))
        smear = fit(smear | fit(smear >> fit(4)))
        smear = fit(smear | fit(smear >> fit(8)))
        cleared = fit(max(fit(fit(smear + fit(1)) >> fit(3)), fit(1)) - fit(1))
        least = fit(fit(fit(fit(calm & fit(~cleared)) * slope) >> fit(8)) + offset)
        size = fit(errors[k] ^ fit(errors[k] >> fit(31)))
        excess[k] = fit(size - least) if (least <= fit(REACH)) & (usable[k] > 0) else fit(-1)


@compiled
def class_of(unrest: int) -> int:
    """Return the class of a sample."""
    if unrest < CALM:
        return int(CLASS[unrest])
    return int(np.searchsorted(EDGES, unrest, side="right")) - 1
