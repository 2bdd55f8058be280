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

    :param around: the tile with a margin of one; int32 or int64.
    :param usable: which samples may move, the header's left out: 1, or 2 if
        they are not at the brink of their bounds.
    :param spots: where the header stands: positions in the tile.
    :param unrest: of every second sample of a row; so are ``plain``,
        ``sharp`` and ``excess``.
    :param order: the candidates of a layer in the order of visiting.
    :param place: where in ``around`` (flat) each candidate stands;
        ``side``, ``size`` and ``room`` as in :class:`reversible.Layer`.
    """

    around: Array
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


def furnish(field: Field) -> tuple[Ground, Desk]:
    """Return the field and a desk for its largest tile."""
    tiles = np.array([(t.row, t.column, t.rows, t.columns) for t in field.grid.tiles])
    samples = np.ascontiguousarray(field.samples)
    rows, columns = int(tiles[:, 2].max()), int(tiles[:, 3].max())
    narrow = samples.min() > -NARROW and samples.max() < NARROW
    wide = np.int32 if narrow else np.int64
    layer = ((rows + 1) // 2) * ((columns + 1) // 2)
    desk = Desk(
        around=np.empty((rows + 2) * (columns + 2), wide),
        usable=np.empty((rows, columns), np.uint8),
        spots=np.empty(HEADER_BITS, np.int64),
        unrest=np.empty(columns, wide),
        plain=np.empty(columns, wide),
        sharp=np.empty(columns, wide),
        excess=np.empty(columns, wide),
        order=np.empty(layer, np.int64),
        classes=np.empty(layer, np.int64),
        place=np.empty(layer, np.int64),
        side=np.empty(layer, np.int64),
        size=np.empty(layer, np.int64),
        room=np.empty(layer, np.int64),
    )
    low, high = (np.ascontiguousarray(bound) for bound in (field.low, field.high))
    return Ground(samples, low, high, tiles), desk


@compiled
def load(ground: Ground, desk: Desk, index: int) -> bool:
    """Put a tile on the desk and clear its header; say whether it has one."""
    top, left, rows, columns = ground.tiles[index]
    if min(rows, columns) <= 1:
        return False
    around = desk.around[: (rows + 2) * (columns + 2)].reshape(rows + 2, columns + 2)
    for i in range(rows):
        source, target, mask = ground.samples[top + i], around[i + 1], desk.usable[i]
        low = ground.low[top + i if len(ground.low) > 1 else 0]
        high = ground.high[top + i if len(ground.high) > 1 else 0]
        one = len(low) == 1 and len(high) == 1
        least, most = low[0], high[0]
        for j in range(columns):
            value = source[left + j]
            if not one:
                least, most = low[min(left + j, len(low) - 1)], high[min(left + j, len(high) - 1)]
            inside = (value >= least) & (value <= most)
            roomy = (value >= least + 2) & (value <= most - 2)
            target[j + 1] = value
            mask[j] = inside + (inside & roomy)
    missing = HEADER_BITS
    for position in range(rows * columns - 1, -1, -1):
        if desk.usable[position // columns, position % columns]:
            missing -= 1
            desk.spots[missing] = position
            if missing == 0:
                break
    if missing:
        return False
    for position in desk.spots:
        i, j = position // columns, position % columns
        desk.usable[i, j] = 0
        around[i + 1, j + 1] &= ~1
    mirror(around)
    return True


@compiled
def store(ground: Ground, desk: Desk, index: int, target: Array) -> None:
    """Copy the tile from the desk to its place in ``target``."""
    top, left, rows, columns = ground.tiles[index]
    around = desk.around[: (rows + 2) * (columns + 2)].reshape(rows + 2, columns + 2)
    for i in range(rows):
        for j in range(columns):
            target[top + i, left + j] = around[i + 1, j + 1]


@compiled
def mirror(around: Array) -> None:
    """Fill the margin: the samples beyond the edge are those as far inside it."""
    rows, columns = around.shape
    for j in range(columns):
        around[0, j] = around[2, j]
        around[rows - 1, j] = around[rows - 3, j]
    for i in range(rows):
        around[i, 0] = around[i, 2]
        around[i, columns - 1] = around[i, columns - 3]


@compiled
def sense(above: Array, row: Array, below: Array, first: int, desk: Desk) -> int:
    """Find unrest and error sizes of every second sample of a row; return how many there are.

    Sets ``unrest``, and ``plain`` and ``sharp``: the error sizes by either
    predictor, negated less one where the error is negative. Written for the
    compiler, which makes vector code of it.
    """
    fit = desk.unrest.dtype.type
    unrest, plain, sharp = desk.unrest, desk.plain, desk.sharp
    number = (len(row) - 1 - first) // 2
    for k in range(number):
        j = first + 2 * k
        nw, n, ne = above[j], above[j + 1], above[j + 2]
        w, value, e = row[j], row[j + 1], row[j + 2]
        sw, s, se = below[j], below[j + 1], below[j + 2]
        up, down, near = fit(nw + ne), fit(sw + se), fit(fit(n + s) + fit(w + e))
        unrest[k] = fit(
            fit(abs(fit(up - fit(n + n))) + abs(fit(down - fit(s + s))))
            + fit(abs(fit(fit(nw + sw) - fit(w + w))) + abs(fit(fit(ne + se) - fit(e + e))))
        )
        plain[k] = fit(value - fit(fit(near + fit(2)) >> fit(2)))
        sharp[k] = fit(value - fit(fit(fit(near + near) - fit(up + down) + fit(2)) >> fit(2)))
    return number


@compiled
def weigh(errors: Array, desk: Desk, number: int, header: int) -> None:
    """Set ``excess``: how much larger each error is than the least one that carries.

    Negative where the sample neither carries nor gives way. The class is not
    looked up: its floor is the unrest with all but its first three bits cleared.
    """
    fit = desk.unrest.dtype.type
    unrest, excess = desk.unrest, desk.excess
    slope, offset = fit(STEEPNESS[header >> 6]), fit(STARTS[header >> 4 & 3])
    for k in range(number):
        # Beyond this unrest every class rests, unless all carry alike.
        calm = min(unrest[k], fit(CALM - 1))
        smear = fit(calm | fit(calm >> fit(1)))
        smear = fit(smear | fit(smear >> fit(2)))
        smear = fit(smear | fit(smear >> fit(4)))
        smear = fit(smear | fit(smear >> fit(8)))
        cleared = fit(max(fit(fit(smear + fit(1)) >> fit(3)), fit(1)) - fit(1))
        least = fit(fit(fit(fit(calm & fit(~cleared)) * slope) >> fit(8)) + offset)
        size = fit(errors[k] ^ fit(errors[k] >> fit(31)))
        excess[k] = fit(size - least) if least <= fit(REACH) else fit(-1)


@compiled
def class_of(unrest: int) -> int:
    """Return the class of a sample."""
    if unrest < CALM:
        return int(CLASS[unrest])
    return int(np.searchsorted(EDGES, unrest, side="right")) - 1
