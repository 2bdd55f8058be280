"""One tile in memory, as the compiled kernel works on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from node.mark.bounds import MOST
from node.mark.fastbounds import MEDIUM, NARROW, outside, permit, settle
from node.mark.machine import compiled
from node.mark.reversible import GRIDS
from node.mark.settings import FLOORS, HEADER_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.tiles import Field

    Array = NDArray[Any]

CORNERS = np.array(GRIDS)
CLASSES = len(FLOORS)


class Ground(NamedTuple):
    """A field, as the compiled functions take it.

    :param low: bounds, of all samples or of each, counted from ``base``; so is ``high``.
    :param tiles: row, column, rows and columns of each.
    :param unrest: of no length: the type of unrest.
    :param base: an even number in the midst of the samples.
    """

    samples: Array
    low: Array
    high: Array
    tiles: Array
    unrest: Array
    base: int


class Desk(NamedTuple):
    """One tile that is worked on, and memory to work with.

    The tile with a margin of one is kept as four planes, the quarter grids,
    so that all neighbours of a sample lie at one distance from it and the
    compiler can make vector code.

    :param planes: four flat planes of samples, counted from the base.
    :param lows: the bounds of each sample of them; so is ``highs``. Only where
        samples have bounds of their own.
    :param usable: for each sample of them, whether it may move, the header's
        left out: 1, or 2 if it has NEAR room on both sides, 3 if FAR.
    :param spots: where the header stands: positions in the tile.
    :param ends: the innermost values that are fixed.
    :param limits: the bounds of all samples of the tile, if they are alike.
    :param unrest: of each sample of a layer; so are its ``error`` and ``excess``.
    :param sizes: of the errors by either predictor, REACH + 1 at most.
    :param marks: 1 where a sample of a layer needs a look, else 0.
    :param found: the samples of a layer that need a look; ``order``
        the same in the order of visiting, ``room`` as in the reference, ``moves``
        how far each goes, in that order, and ``classes`` their classes.
    :param places: where each class begins in ``order``.
    :param line: of the tile.
    """

    planes: Array
    lows: Array
    highs: Array
    usable: Array
    spots: Array
    ends: Array
    limits: Array
    unrest: Array
    error: Array
    excess: Array
    sizes: Array
    found: Array
    order: Array
    room: Array
    moves: Array
    marks: Array
    classes: Array
    places: Array
    line: Array


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


def lay_out(field: Field) -> tuple[Array, Array, Array, Array, Array, int]:
    """Return what makes a :class:`Ground`; the type of the bounds is the type to count in."""
    tiles = np.array([(t.row, t.column, t.rows, t.columns) for t in field.grid.tiles])
    samples = np.ascontiguousarray(field.samples)
    first, last = field.ends
    base, reach = 0, MOST
    kinds: tuple[type[np.integer[Any]], type[np.integer[Any]]] = (np.int64, np.int64)
    if last - first < MEDIUM:
        base, reach, kinds = first + last >> 2 << 1, 2 * MEDIUM, (np.int32, np.int32)
    if last - first < NARROW:
        reach, kinds = NARROW, (np.int16, np.uint16)
    # No sample is as far from the base as that, so the clipped bounds mean the same.
    bounds = (
        np.clip(bound.astype(np.int64) - base, ~reach, reach) for bound in (field.low, field.high)
    )
    low, high = np.broadcast_arrays(*bounds)
    if low.size > 1:
        low, high = np.broadcast_to(low, samples.shape), np.broadcast_to(high, samples.shape)
    low, high = (np.ascontiguousarray(bound, kinds[0]) for bound in (low, high))
    return samples, low, high, tiles, np.empty(0, kinds[1]), base


@compiled
def furnish(ground: Ground) -> Desk:
    """Return a desk for the largest tile."""
    lines, stride = (ground.tiles[:, 2].max() + 3) // 2, (ground.tiles[:, 3].max() + 3) // 2
    room = lines * stride
    wide = ground.low.dtype
    own = room if ground.low.size > 1 else 0
    return Desk(
        np.zeros((4, room), wide),
        np.zeros((4, own), wide),
        np.zeros((4, own), wide),
        np.zeros((4, room), np.uint8),
        np.empty(HEADER_BITS, np.int64),
        np.empty(2, np.int64),
        np.empty(2, np.int64),
        np.empty(room, ground.unrest.dtype),
        np.empty(room, wide),
        np.empty(room, wide),
        np.empty((2, room), np.uint8),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.empty(room + 8 & ~7, np.uint8),
        np.empty(room, np.uint8),
        np.empty(CLASSES + 1, np.int32),
        np.empty(2 * stride, np.int32),
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
    area = tile.lines * tile.stride
    fit = desk.planes.dtype.type
    # The margins stay outside of all bounds until they are mirrored.
    for plane in range(4):
        _fill(desk.planes[plane, :area], fit(outside(ground)))
    _take(ground.samples, desk.planes, tile, ground.base)
    alike = ground.low.size == 1
    if not alike:
        _take(ground.low, desk.lows, tile, 0)
        _take(ground.high, desk.highs, tile, 0)
    if not settle(ground, desk, area):
        return False
    permit(ground, desk, area)
    return _find_header(desk, tile)


@compiled
def _fill(values: Array, value: int) -> None:
    for k in range(len(values)):
        values[k] = value


@compiled
def _take(source: Array, planes: Array, tile: Tile, base: int) -> None:
    """Copy the samples of a tile into the planes, counted from the base."""
    fit, shift = planes.dtype.type, source.dtype.type(base)
    even, odd = (tile.columns + 1) // 2, tile.columns // 2
    for i in range(tile.rows):
        line = source[tile.top + i, tile.left : tile.left + tile.columns]
        pair, at = (i + 1 & 1) * 2, (i + 1 >> 1) * tile.stride
        first, second = planes[pair + 1, at : at + even], planes[pair, at + 1 : at + 1 + odd]
        for k in range(odd):
            first[k] = fit(line[2 * k] - shift)
            second[k] = fit(line[2 * k + 1] - shift)
        if even > odd:
            first[odd] = fit(line[2 * odd] - shift)


@compiled
def _find_header(desk: Desk, tile: Tile) -> bool:
    """Find the last samples that may move, and clear their lowest bits."""
    missing = HEADER_BITS
    for row in range(tile.rows - 1, -1, -1):
        for column in range(tile.columns - 1, -1, -1):
            plane = (row + 1 & 1) * 2 + (column + 1 & 1)
            at = (row + 1 >> 1) * tile.stride + (column + 1 >> 1)
            if missing and desk.usable[plane, at]:
                missing -= 1
                desk.spots[missing] = row * tile.columns + column
                desk.usable[plane, at] = 0
                desk.planes[plane, at] &= ~1
        if missing == 0:
            break
    mirror(desk, tile)
    return missing == 0


@compiled
def seat(tile: Tile, position: int) -> tuple[int, int]:
    """Return plane and place of a position in the tile."""
    row, column = position // tile.columns + 1, position % tile.columns + 1
    return (row & 1) * 2 + (column & 1), (row >> 1) * tile.stride + (column >> 1)


@compiled
def store(ground: Ground, tile: Tile, desk: Desk, target: Array) -> None:
    """Copy the tile from the desk to its place in ``target``."""
    shift = np.int32(ground.base)
    even, odd = (tile.columns + 1) // 2, tile.columns // 2
    line = desk.line
    for i in range(tile.rows):
        pair, at = (i + 1 & 1) * 2, (i + 1 >> 1) * tile.stride
        first = desk.planes[pair + 1, at : at + even]
        second = desk.planes[pair, at + 1 : at + 1 + odd]
        for k in range(odd):
            line[2 * k] = np.int32(first[k] + shift)
            line[2 * k + 1] = np.int32(second[k] + shift)
        if even > odd:
            line[2 * odd] = np.int32(first[odd] + shift)
        # Written in one go: single samples would each wait for their part of the memory.
        there = target[tile.top + i, tile.left : tile.left + tile.columns]
        for k in range(tile.columns):
            there[k] = line[k]


@compiled
def keep(ground: Ground, tile: Tile, target: Array) -> None:
    """Copy the tile as it is to its place in ``target``."""
    for i in range(tile.top, tile.top + tile.rows):
        there = target[i, tile.left : tile.left + tile.columns]
        there[:] = ground.samples[i, tile.left : tile.left + tile.columns]


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
