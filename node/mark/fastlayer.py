"""Carriers, their order and their moves, compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from node.mark.coding import MODES
from node.mark.desk import mirror, part_of
from node.mark.fastbounds import FAR, NEAR
from node.mark.fastsense import EDGES, class_of, weigh
from node.mark.machine import compiled
from node.mark.reversible import GRIDS
from node.mark.settings import (
    GRADES,
    HEADER_BITS,
    LEAD_BITS,
    LENGTH_BITS,
    SIZE_BITS,
    SIZES,
    TAG_BYTES,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.desk import Desk, Ground, Part, Tile

    Array = NDArray[Any]

STEPS = np.array([step for step, _ in GRADES])
CODES = np.array([mode for _, mode in GRADES])
LENGTHS = np.array(SIZES)
ESCAPE = len(LENGTHS)
LAST = len(GRIDS) - 1
WORD = 8
"""Samples that are looked at in one."""

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


@compiled
def _layer(ground: Ground, desk: Desk, part: Part, header: int, reach: int) -> int:
    """Put the samples of a quarter grid that need a look in order; return how many.

    Those are the carriers, and whatever stands so near a bound that it may be
    stuck or unclear; all the others that give way do so whatever their order.
    Sets ``desk.order``: each as its place in the plane, counted from the start
    of the part. For these ``desk.room`` is the room, or FAR if that is enough
    for anything. Needs what :func:`weigh` sets.

    :param reach: carriers are smaller than that.
    """
    margin = 3 * STEPS[header >> 1 & 7] - 1
    found, classes, order = desk.found, desk.classes, desk.order
    rooms, places, start, length = desk.room, desk.places, part.start, part.length
    usable = desk.usable[part.plane, start : start + length]
    values = desk.planes[part.plane, start : start + length]
    unrest, excess, errors = desk.unrest[:length], desk.excess[:length], desk.error[:length]
    own = ground.low.size > 1
    number = _list(desk, part, reach)
    places[:] = 0
    chosen, last = 0, 0
    for k in found[:number]:
        room = FAR
        if usable[k] <= NEAR:
            low, high = desk.limits[0], desk.limits[1]
            if own:
                low, high = desk.lows[part.plane, start + k], desk.highs[part.plane, start + k]
            room = high - values[k] if errors[k] >= 0 else values[k] - low
            if room + excess[k] < margin:
                continue
        which = class_of(unrest[k])
        found[chosen] = k
        classes[chosen] = which
        rooms[k] = room
        places[which + 1] += 1
        last = max(last, which)
        chosen += 1
    for which in range(last):
        places[which + 1] += places[which]
    for at in range(chosen):
        which = classes[at]
        order[places[which]] = found[at]
        places[which] += 1
    return chosen


@compiled
def _list(desk: Desk, part: Part, reach: int) -> int:
    """List what needs a look; return how many."""
    length, marks = part.length, desk.marks
    _mark_out(desk.usable[part.plane, part.start : part.start + length], desk.excess, reach, marks)
    words = (length + WORD - 1) // WORD
    marks[length : words * WORD] = 0
    number = 0
    whole = marks.view(np.uint64)
    for word in range(words):
        if whole[word]:
            for k in range(word * WORD, word * WORD + WORD):
                desk.found[number] = k
                number += marks[k]
    return number


@compiled
def _mark_out(usable: Array, excess: Array, reach: int, marks: Array) -> None:
    reach = excess.dtype.type(reach)
    for k in range(len(usable)):
        marks[k] = (excess[k] >= 0) & ((excess[k] < reach) | (usable[k] <= NEAR))


@compiled
def _give_way(desk: Desk, part: Part, reach: int, end: int, step: int) -> None:
    """Move all samples that give way, up to one in the order of visiting, if nothing is near."""
    start, length = part.start, part.length
    which = class_of(desk.unrest[end])
    usable = desk.usable[part.plane, start : start + length]
    values = desk.planes[part.plane, start : start + length]
    # Of the last class only those that stand before it are visited.
    for half in range(2):
        first, stop = end * half, length if half else end
        most = int(EDGES[which + 1 - half]) - 1
        if most >= 0:  # else there is no class before
            _shift(
                (usable[first:stop], values[first:stop]),
                (desk.unrest[first:stop], desk.error[first:stop], desk.excess[first:stop]),
                (most, reach, step),
            )


@compiled
def _shift(
    grid: tuple[Array, Array], layer: tuple[Array, Array, Array], how: tuple[int, int, int]
) -> None:
    usable, values = grid
    unrest, errors, excess = layer
    fit, bare = values.dtype.type, unrest.dtype.type
    most, reach, step = bare(how[0]), fit(how[1]), fit(how[2])
    back = fit(-step)
    for k in range(len(values)):
        goes = (excess[k] >= reach) & (usable[k] > NEAR) & (unrest[k] <= most)
        move = step if errors[k] >= 0 else back
        values[k] = fit(values[k] + (move if goes else fit(0)))


@compiled
def _quota(need: int, grid: int) -> int:
    last = max(LEAD_BITS, need - need * 3 // 4)
    if grid == LAST:
        return last
    return (need - last) * (grid + 1) // LAST - (need - last) * grid // LAST


@compiled
def _flags(desk: Desk, number: int, step: int) -> Array:
    """Return the flag of every sample that could be mistaken, in order."""
    flags = np.empty(number, np.uint8)
    unclear = 0
    for at in range(number):
        room = desk.room[desk.order[at]]
        if room < 2 * step:
            size = desk.excess[desk.order[at]]
            if size >= step and (room >= step or size >= 2 * step):
                flags[unclear] = room < step
                unclear += 1
    return flags[:unclear]


@compiled
def write(ground: Ground, desk: Desk, tile: Tile, header: int, bits: Array) -> bool:
    """Move the samples; say whether every quarter grid had carriers enough."""
    end, step = len(bits), STEPS[header >> 1 & 7]
    for grid in range(LAST + 1):
        part = part_of(tile, grid)
        quota = _quota(len(bits), grid)
        due = bits[end - quota : end]
        end -= quota
        weigh(desk, tile, part, header)
        number = _layer(ground, desk, part, header, step)
        stop = _spell(desk, header, number, due)
        if stop == 0:
            return False
        values = desk.planes[part.plane, part.start : part.start + part.length]
        for at in range(stop):
            k = desk.order[at]
            values[k] += desk.moves[at] if desk.error[k] >= 0 else -desk.moves[at]
        _give_way(desk, part, step, desk.order[stop - 1], step)
        mirror(desk, tile)
    return True


@compiled
def _spell(desk: Desk, header: int, number: int, bits: Array) -> int:
    """Set the moves of a layer; return how many samples it visits, or 0: too few carriers."""
    step, code = STEPS[header >> 1 & 7], CODES[header >> 1 & 7]
    flags = _flags(desk, number, step)
    used, seen, due, word, given, length = 0, 0, len(bits), 0, 0, 0
    for at in range(number):
        k = desk.order[at]
        size, room = desk.excess[k], desk.room[k]
        if size >= step:
            seen += room < 2 * step and (room >= step or size >= 2 * step)
            desk.moves[at] = step if room >= step else 0
        else:
            if given == length:
                word = 0
                while word >= 0:
                    bit = 0
                    if used < due:
                        bit = bits[used] if used < len(bits) else flags[used - len(bits)]
                        used += 1
                    word = BIT_TREE[code, word, bit]
                length, given = SYMBOLS[code, -1 - word, 0], 0
            given += 1
            desk.moves[at] = size + SYMBOLS[code, -1 - word, given]
            if given == length:
                due = len(bits) + seen
                if used == due:
                    return at + 1
    return 0


@compiled
def undo(ground: Ground, desk: Desk, tile: Tile, header: int, bits: Array) -> int:
    """Move the samples back and set ``bits``; return their number, or 0 if there are too few."""
    need, start, step = 0, 0, STEPS[header >> 1 & 7]
    for grid in range(LAST, -1, -1):
        part = part_of(tile, grid)
        weigh(desk, tile, part, header)
        number = _layer(ground, desk, part, header, 2 * step)
        if need == 0:
            need = _lead(desk, header, number, bits)
        stop = _read(desk, header, number, _quota(need, grid), bits[start:]) if need else 0
        if stop == 0:
            return 0
        start += _quota(need, grid)
        _move_back(desk, part, step, (start, stop), bits)
        _give_way(desk, part, 2 * step, desk.order[stop - 1], -step)
        mirror(desk, tile)
    return need


@compiled
def _move_back(desk: Desk, part: Part, step: int, ends: tuple[int, int], bits: Array) -> None:
    """Undo the moves of what needed a look.

    :param ends: where its flags begin, and how many samples it visits.
    """
    flag, stop = ends
    values = desk.planes[part.plane, part.start : part.start + part.length]
    for at in range(stop):
        k = desk.order[at]
        size = desk.excess[k]
        move = step
        if size < 2 * step:
            move = (size + 1) >> 1
        elif desk.room[k] < step:
            move = 0 if bits[flag] else step
            flag += 1
        values[k] -= move if desk.error[k] >= 0 else -move


@compiled
def _lead(desk: Desk, header: int, number: int, bits: Array) -> int:
    """Read the first bits of the message; return its length in bits, or 0 if it has none."""
    step, code = STEPS[header >> 1 & 7], CODES[header >> 1 & 7]
    used, node = 0, 0
    for k in desk.order[:number]:
        size = desk.excess[k]
        if size >= 2 * step:
            continue
        node = SYMBOL_TREE[code, node, size & 1]
        if node >= 0:
            continue
        for place in range(BITS[code, -1 - node, 0]):
            bits[used] = BITS[code, -1 - node, place + 1]
            used += 1
        node = 0
        if used >= LEAD_BITS:
            return _length(bits)
    return 0


@compiled
def _read(desk: Desk, header: int, number: int, quota: int, bits: Array) -> int:
    """Read a layer's bits and flags; return how many samples it visits, or 0: too few."""
    step, code = STEPS[header >> 1 & 7], CODES[header >> 1 & 7]
    used, seen, due, node = 0, 0, quota, 0
    for at in range(number):
        k = desk.order[at]
        size = desk.excess[k]
        if size >= 2 * step:
            seen += desk.room[k] < step
            continue
        node = SYMBOL_TREE[code, node, size & 1]
        if node >= 0:
            continue
        for place in range(BITS[code, -1 - node, 0]):
            bit = BITS[code, -1 - node, place + 1]
            if used == due:
                if bit:
                    return 0
            elif used < len(bits):
                bits[used] = bit
                used += 1
            else:
                return 0
        node = 0
        due = quota + seen
        if used == due:
            return at + 1
    return 0


@compiled
def number_in(bits: Array, start: int, width: int) -> int:
    """Return the number that some bits stand for, most significant first."""
    number = 0
    for k in range(start, start + width):
        number = number << 1 | int(bits[k])
    return number


@compiled
def _length(bits: Array) -> int:
    """Return the length of the message that begins with ``bits``, in bits; 0 if it is wrong."""
    code = number_in(bits, HEADER_BITS, SIZE_BITS)
    if code < ESCAPE:
        return HEADER_BITS + SIZE_BITS + 8 * (TAG_BYTES + int(LENGTHS[code]))
    length = number_in(bits, HEADER_BITS + SIZE_BITS, LENGTH_BITS)
    for known in LENGTHS:
        if length == known:
            return 0
    return LEAD_BITS + 8 * (TAG_BYTES + length)
