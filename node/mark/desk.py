"""One tile in memory, as the compiled kernel works on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from node.mark.bounds import CROWD, LEAST, MOST
from node.mark.machine import compiled
from node.mark.reversible import GRIDS
from node.mark.settings import GRADES, HEADER_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.tiles import Field

    Array = NDArray[Any]

CORNERS = np.array(GRIDS)
NARROW = 1 << 26
"""Sums of sixteen samples smaller than this stay within 32 bits."""

NEAR, FAR = 2, 3 * max(step for step, _ in GRADES)
"""Room on both sides that makes a sample a sure carrier at amplitude 1, and at any."""


class Ground(NamedTuple):
    """A field, as the compiled functions take it.

    :param low: bounds of one row or all, one column or all; so is ``high``.
    :param tiles: row, column, rows and columns of each.
    """

    samples: Array
    low: Array
    high: Array
    tiles: Array


class Desk(NamedTuple):
    """One tile that is worked on, and memory to work with.

    The tile with a margin of one is kept as four planes, the quarter grids,
    so that all neighbours of a sample lie at one distance from it and the
    compiler can make vector code.

    :param planes: int32 or int64, four flat planes.
    :param usable: for each sample of them, whether it may move, the header's
        left out: 1, or 2 if it has NEAR room on both sides, 3 if FAR.
    :param spots: where the header stands: positions in the tile.
    :param ends: the innermost values that are fixed.
    :param unrest: of each sample of a layer; so are ``plain`` and ``sharp``,
        the errors by either predictor, and ``excess``.
    :param found: the samples of a layer that carry or give way; ``order``
        the same in the order of visiting, ``room`` as in the reference, and
        ``classes`` their classes.
    """

    planes: Array
    usable: Array
    spots: Array
    ends: Array
    unrest: Array
    plain: Array
    sharp: Array
    excess: Array
    found: Array
    order: Array
    room: Array
    classes: Array


class Tile(NamedTuple):
    """Where the tile on the desk comes from, and how its planes are laid out."""

    top: int
    left: int
    rows: int
    columns: int
    lines: int
    stride: int


class Part(NamedTuple):
    """Where one quarter grid stands in its plane.

    :param plane: which one; the others are those with one or both bits flipped.
    :param row: of its first sample in the tile; so is ``column``.
    :param start: of its first sample in the plane.
    :param length: up to its last sample, margins between the lines included.
    """

    plane: int
    row: int
    column: int
    start: int
    length: int


def lay_out(field: Field) -> tuple[Array, Array, Array, Array]:
    """Return the arrays of a :class:`Ground`; the type of the bounds is the type to count in."""
    tiles = np.array([(t.row, t.column, t.rows, t.columns) for t in field.grid.tiles])
    samples = np.ascontiguousarray(field.samples)
    narrow = samples.min() > -NARROW and samples.max() < NARROW
    wide, least, most = (np.int32, -2 * NARROW, 2 * NARROW) if narrow else (np.int64, LEAST, MOST)
    # No sample is as large as that, so the clipped bounds mean the same.
    low, high = (
        np.ascontiguousarray(np.clip(bound, least, most).astype(wide))
        for bound in (field.low, field.high)
    )
    return samples, low, high, tiles


@compiled
def furnish(ground: Ground) -> Desk:
    """Return a desk for the largest tile."""
    lines, stride = (ground.tiles[:, 2].max() + 3) // 2, (ground.tiles[:, 3].max() + 3) // 2
    room = lines * stride
    wide = ground.low.dtype
    return Desk(
        np.zeros((4, room), wide),
        np.zeros((4, room), np.uint8),
        np.empty(HEADER_BITS, np.int64),
        np.empty(2, np.int64),
        np.empty(room, wide),
        np.empty(room, wide),
        np.empty(room, wide),
        np.empty(room, wide),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
    )


@compiled
def tile_at(ground: Ground, index: int) -> Tile:
    """Return the tile's place and layout."""
    top, left, rows, columns = ground.tiles[index]
    return Tile(top, left, rows, columns, (rows + 3) // 2, (columns + 3) // 2)


@compiled
def part_of(tile: Tile, grid: int) -> Part:
    """Return where a quarter grid stands."""
    row, column = CORNERS[grid]
    lines, width = (tile.rows - row + 1) // 2, (tile.columns - column + 1) // 2
    start = row * tile.stride + column
    length = max(0, (lines - 1) * tile.stride + width)
    return Part((1 - row) * 2 + 1 - column, row, column, start, length)


@compiled
def load(ground: Ground, desk: Desk, tile: Tile) -> bool:
    """Put a tile on the desk and clear its header; say whether it has one."""
    if min(tile.rows, tile.columns) <= 1:
        return False
    _take(ground.samples, desk.planes, desk.usable, tile)
    alike = len(ground.low) == len(ground.low[0]) == len(ground.high) == len(ground.high[0]) == 1
    if alike:
        for plane in range(4):
            _limit(desk, tile, plane, ground.low[0, 0], ground.high[0, 0])
    else:
        _limit_each(ground, desk, tile)
    if not _settle(desk, tile):
        return False
    if alike:
        low, high = settled(ground, desk, tile.top, tile.left)
        for plane in range(4):
            _permit(desk, plane, (0, tile.lines * tile.stride), low, high)
    else:
        for position in range(tile.rows * tile.columns):
            plane, at = seat(tile, position)
            row, column = position // tile.columns, position % tile.columns
            low, high = settled(ground, desk, tile.top + row, tile.left + column)
            _permit(desk, plane, (at, at + 1), low, high)
    return _find_header(desk, tile)


@compiled
def _take(samples: Array, planes: Array, usable: Array, tile: Tile) -> None:
    """Copy the samples of a tile into the planes, and note where they stand."""
    usable[:, : tile.lines * tile.stride] = 0
    even, odd = (tile.columns + 1) // 2, tile.columns // 2
    for i in range(tile.rows):
        source = samples[tile.top + i, tile.left : tile.left + tile.columns]
        pair, at = (i + 1 & 1) * 2, (i + 1 >> 1) * tile.stride
        target, mask = planes[pair + 1, at : at + even], usable[pair + 1, at : at + even]
        for k in range(even):
            target[k] = source[2 * k]
        mask[:] = 1
        target, mask = planes[pair, at + 1 : at + 1 + odd], usable[pair, at + 1 : at + 1 + odd]
        for k in range(odd):
            target[k] = source[2 * k + 1]
        mask[:] = 1


@compiled
def _limit(desk: Desk, tile: Tile, plane: int, low: int, high: int) -> None:
    """Leave out the samples of a plane that are outside these limits."""
    area = tile.lines * tile.stride
    values, usable = desk.planes[plane, :area], desk.usable[plane, :area]
    for k in range(area):
        usable[k] &= (values[k] >= low) & (values[k] <= high)


@compiled
def _limit_each(ground: Ground, desk: Desk, tile: Tile) -> None:
    """Leave out the samples that are outside limits of their own."""
    low, high = ground.low, ground.high
    for position in range(tile.rows * tile.columns):
        plane, at = seat(tile, position)
        row, column = tile.top + position // tile.columns, tile.left + position % tile.columns
        value = desk.planes[plane, at]
        least = low[min(row, len(low) - 1), min(column, low.shape[1] - 1)]
        most = high[min(row, len(high) - 1), min(column, high.shape[1] - 1)]
        desk.usable[plane, at] = least <= value <= most


@compiled
def settled(ground: Ground, desk: Desk, row: int, column: int) -> tuple[int, int]:
    """Return the bounds of a sample: within the limits, inside the ends, low even, high odd."""
    low, high = ground.low, ground.high
    bottom = max(int(low[min(row, len(low) - 1), min(column, low.shape[1] - 1)]), desk.ends[0] + 1)
    top = min(int(high[min(row, len(high) - 1), min(column, high.shape[1] - 1)]), desk.ends[1] - 1)
    return min(bottom + (bottom & 1), MOST), max(top - (~top & 1), LEAST)


@compiled
def _permit(desk: Desk, plane: int, span: tuple[int, int], low: int, high: int) -> None:
    """Say of samples inside their limits whether they may move, and how freely."""
    values = desk.planes[plane, span[0] : span[1]]
    usable = desk.usable[plane, span[0] : span[1]]
    for k in range(len(values)):
        value = np.int64(values[k])
        room = min(value - low, high - value)
        usable[k] = usable[k] * ((room >= 0) + (room >= NEAR) + (room >= FAR))


@compiled
def _settle(desk: Desk, tile: Tile) -> bool:
    """Set the ends: the innermost values that are fixed; say whether there are any."""
    area = tile.lines * tile.stride
    fit = desk.unrest.dtype.type
    least, most, number = fit(MOST), fit(LEAST), 0
    for plane in range(4):
        values, usable = desk.planes[plane, :area], desk.usable[plane, :area]
        for k in range(area):
            least = min(least, values[k] if usable[k] else fit(MOST))
            most = max(most, values[k] if usable[k] else fit(LEAST))
            number += usable[k]
    for end in range(2):
        value = most if end else least
        crowd = 0
        for plane in range(4):
            values, usable = desk.planes[plane, :area], desk.usable[plane, :area]
            for k in range(area):
                crowd += (values[k] == value) & (usable[k] > 0)
        desk.ends[end] = value
        if crowd * CROWD > number:
            desk.ends[end] = _further(desk, area, int(value), 1 - 2 * end)
    return bool(number > 0)


@compiled
def _further(desk: Desk, area: int, end: int, way: int) -> int:
    """Return the next value after an end: upwards if ``way`` is 1, downwards if -1."""
    nearest = 1 << 40
    for plane in range(4):
        values, usable = desk.planes[plane, :area], desk.usable[plane, :area]
        for k in range(area):
            ahead = way * (int(values[k]) - end)
            if usable[k] and ahead > 0:
                nearest = min(nearest, ahead)
    return min(max(end + way * nearest, LEAST), MOST)


@compiled
def _find_header(desk: Desk, tile: Tile) -> bool:
    """Find the last samples that may move, and clear their lowest bits."""
    missing = HEADER_BITS
    for position in range(tile.rows * tile.columns - 1, -1, -1):
        plane, at = seat(tile, position)
        if desk.usable[plane, at]:
            missing -= 1
            desk.spots[missing] = position
            if missing == 0:
                break
    if missing:
        return False
    for position in desk.spots:
        plane, at = seat(tile, position)
        desk.usable[plane, at] = 0
        desk.planes[plane, at] &= ~1
    mirror(desk, tile)
    return True


@compiled
def seat(tile: Tile, position: int) -> tuple[int, int]:
    """Return plane and place of a position in the tile."""
    row, column = position // tile.columns + 1, position % tile.columns + 1
    return (row & 1) * 2 + (column & 1), (row >> 1) * tile.stride + (column >> 1)


@compiled
def store(tile: Tile, desk: Desk, target: Array) -> None:
    """Copy the tile from the desk to its place in ``target``."""
    for i in range(tile.rows):
        for parity in range(2):
            plane = desk.planes[(i + 1 & 1) * 2 + (1 - parity)]
            source = plane[(i + 1 >> 1) * tile.stride + parity :]
            line = target[tile.top + i, tile.left + parity : tile.left + tile.columns]
            for k in range((tile.columns - parity + 1) // 2):
                line[2 * k] = source[k]


@compiled
def mirror(desk: Desk, tile: Tile) -> None:
    """Fill the margin: the samples beyond the edge are those as far inside it."""
    stride = tile.stride
    for side in range(2):
        # The planes of even rows hold the margin above, at their first line; whichever
        # has row ``rows + 1`` holds the one below. Columns are alike.
        below = desk.planes[(tile.rows + 1 & 1) * 2 + side]
        last = (tile.rows + 1 >> 1) * stride
        above = desk.planes[side]
        for k in range(stride):
            above[k] = above[stride + k]
            below[last + k] = below[last - stride + k]
    for side in range(2):
        right = desk.planes[side * 2 + (tile.columns + 1 & 1)]
        last = tile.columns + 1 >> 1
        left = desk.planes[side * 2]
        for line in range(0, tile.lines * stride, stride):
            left[line] = left[line + 1]
            right[line + last] = right[line + last - 1]
