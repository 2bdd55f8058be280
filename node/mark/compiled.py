"""What the compiled kernel stands on: the compiler, tables, and one tile on the desk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numba
import numpy as np

from node.mark.coding import MODES
from node.mark.settings import FLOORS, GRADES, HEADER_BITS, OFFSETS, REACH, SIZES, SLOPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from node.mark.tiles import Field

    Array = NDArray[Any]

F = TypeVar("F", bound="Callable[..., Any]")


def compiled(function: F) -> F:
    """Compile on the first call; the machine code is kept for the next process."""
    machine: Any = numba.njit(cache=True, nogil=True)(function)
    return cast("F", machine)


CLASSES = len(FLOORS)
CALM = 1 << 14
"""Unrest below this finds its class in a table."""

CLASS = (np.searchsorted(FLOORS, np.arange(CALM), side="right") - 1).astype(np.uint8)
EDGES = FLOORS.copy()
STEEPNESS = np.array(SLOPES)
STARTS = np.array(OFFSETS)
STEPS = np.array([step for step, _ in GRADES])
CODES = np.array([mode for _, mode in GRADES])
LENGTHS = np.array(SIZES)
CORNERS = np.array([[0, 0], [1, 1], [0, 1], [1, 0]])
NARROW = 1 << 26
"""Sums of sixteen samples smaller than this stay within 32 bits."""

Words = list[tuple[tuple[int, ...], tuple[int, ...]]]


def _tree(words: Words) -> list[list[int]]:
    """Lay out a prefix code: rows of (next if 0, next if 1), leaves negative, -1 - word."""
    rows = [[0, 0]]
    for number, (word, _) in enumerate(words):
        at = 0
        for digit in word[:-1]:
            if not rows[at][digit]:
                rows[at][digit] = len(rows)
                rows.append([0, 0])
            at = rows[at][digit]
        rows[at][word[-1]] = -1 - number
    return rows + [[0, 0]] * (4 - len(rows))


def _spelt(words: Words) -> list[list[int]]:
    """Lay out what each word stands for: its length, then the digits."""
    rows = [[len(out), *out, *([0] * (3 - len(out)))] for _, out in words]
    return rows + [[0] * 4] * (4 - len(rows))


TO_SYMBOLS: list[Words] = [list(mode.words) for mode in MODES]
TO_BITS: list[Words] = [[(symbols, bits) for bits, symbols in mode.words] for mode in MODES]
BIT_TREE = np.array([_tree(words) for words in TO_SYMBOLS])
SYMBOLS = np.array([_spelt(words) for words in TO_SYMBOLS])
SYMBOL_TREE = np.array([_tree(words) for words in TO_BITS])
BITS = np.array([_spelt(words) for words in TO_BITS])


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
        left out: 1, or 2 if it is not at the brink of its bounds.
    :param spots: where the header stands: positions in the tile.
    :param unrest: of each sample of a layer; so are ``plain`` and ``sharp``,
        the errors by either predictor, and ``excess``.
    :param order: the candidates of a layer in the order of visiting.
    :param place: where in its plane each candidate stands;
        ``side``, ``size`` and ``room`` as in :class:`reversible.Layer`.
    """

    planes: Array
    usable: Array
    spots: Array
    unrest: Array
    plain: Array
    sharp: Array
    excess: Array
    order: Array
    classes: Array
    place: Array
    side: Array
    size: Array
    room: Array


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


def furnish(field: Field) -> tuple[Ground, Desk]:
    """Return the field and a desk for its largest tile."""
    tiles = np.array([(t.row, t.column, t.rows, t.columns) for t in field.grid.tiles])
    samples = np.ascontiguousarray(field.samples)
    narrow = samples.min() > -NARROW and samples.max() < NARROW
    wide = np.int32 if narrow else np.int64
    room = int(((tiles[:, 2] + 3) // 2).max() * ((tiles[:, 3] + 3) // 2).max())
    desk = Desk(
        np.zeros((4, room), wide),
        np.zeros((4, room), np.uint8),
        np.empty(HEADER_BITS, np.int64),
        *(np.empty(room, wide) for _ in range(4)),
        *(np.empty(room, np.int64) for _ in range(6)),
    )
    low, high = (np.ascontiguousarray(bound) for bound in (field.low, field.high))
    return Ground(samples, low, high, tiles), desk


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
    desk.usable[:, : tile.lines * tile.stride] = 0
    for i in range(tile.rows):
        source = ground.samples[tile.top + i, tile.left : tile.left + tile.columns]
        low = ground.low[tile.top + i if len(ground.low) > 1 else 0]
        high = ground.high[tile.top + i if len(ground.high) > 1 else 0]
        for parity in range(2):
            plane = (i + 1 & 1) * 2 + (1 - parity)
            at = (i + 1 >> 1) * tile.stride + parity
            width = (tile.columns - parity + 1) // 2
            target = desk.planes[plane, at : at + width]
            mask = desk.usable[plane, at : at + width]
            if len(low) == 1 and len(high) == 1:
                _take(source[parity:], low[0], high[0], target, mask)
            else:
                for k in range(width):
                    j = parity + 2 * k
                    least = low[min(tile.left + j, len(low) - 1)]
                    most = high[min(tile.left + j, len(high) - 1)]
                    _take(source[j:], least, most, target[k : k + 1], mask[k : k + 1])
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
def _take(source: Array, least: int, most: int, target: Array, mask: Array) -> None:
    """Copy every second sample, and note which may move."""
    for k in range(len(target)):
        value = source[2 * k]
        target[k] = value
        inside = (value >= least) & (value <= most)
        mask[k] = inside + (inside & (value >= least + 2) & (value <= most - 2))


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
def weigh(desk: Desk, part: Part, header: int) -> Array:
    """Set ``excess``: how much larger each error is than the least one that carries.

    Negative where the sample neither carries nor gives way. The class is not
    looked up: its floor is the unrest with all but its first three bits cleared.

    :returns: the errors by the predictor that the header says.
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
    return errors


@compiled
def class_of(unrest: int) -> int:
    """Return the class of a sample."""
    if unrest < CALM:
        return int(CLASS[unrest])
    return int(np.searchsorted(EDGES, unrest, side="right")) - 1
