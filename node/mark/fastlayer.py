"""Carriers, their order and their moves, compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from node.mark.coding import MODES
from node.mark.desk import FAR, NEAR, mirror, part_of, settled
from node.mark.fastsense import CLASSES, class_of, sense, weigh
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
def _layer(ground: Ground, desk: Desk, tile: Tile, part: Part, header: int) -> int:
    """Find the samples of a quarter grid that carry or give way; return how many.

    Sets ``desk.order``: each as its place in the plane, counted from the start
    of the part. For these ``desk.excess`` is the size, and ``desk.room`` the
    room, or FAR if that is enough for anything.
    """
    margin = 3 * STEPS[header >> 1 & 7] - 1
    sense(desk, tile, part)
    weigh(desk, part, header)
    excess, found, classes, order = desk.excess, desk.found, desk.classes, desk.order
    rooms = desk.room
    usable = desk.usable[part.plane, part.start : part.start + part.length]
    number = 0
    for k in range(part.length):
        found[number] = k
        number += excess[k] >= 0
    errors = desk.sharp if header & 1 else desk.plain
    values = desk.planes[part.plane, part.start : part.start + part.length]
    places = np.zeros(CLASSES + 1, np.int64)
    chosen = 0
    for k in found[:number]:
        room = FAR
        if usable[k] <= NEAR:
            row = tile.top + 2 * (k // tile.stride) + part.row
            column = tile.left + 2 * (k % tile.stride) + part.column
            low, high = settled(ground, desk, row, column)
            room = high - values[k] if errors[k] >= 0 else values[k] - low
            if room + excess[k] < margin:
                continue
        which = class_of(desk.unrest[k])
        found[chosen] = k
        classes[chosen] = which
        rooms[k] = room
        places[which + 1] += 1
        chosen += 1
    for which in range(CLASSES):
        places[which + 1] += places[which]
    for at in range(chosen):
        which = classes[at]
        order[places[which]] = found[at]
        places[which] += 1
    return chosen


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
    end = len(bits)
    for grid in range(LAST + 1):
        part = part_of(tile, grid)
        number = _layer(ground, desk, tile, part, header)
        start = end - _quota(len(bits), grid)
        if not _spell(desk, part, header, number, bits[start:end]):
            return False
        end = start
        mirror(desk, tile)
    return True


@compiled
def _spell(desk: Desk, part: Part, header: int, number: int, bits: Array) -> bool:
    """Move the samples of a layer; say whether there were carriers enough."""
    step, code = STEPS[header >> 1 & 7], CODES[header >> 1 & 7]
    errors = desk.sharp if header & 1 else desk.plain
    values = desk.planes[part.plane, part.start : part.start + part.length]
    flags = _flags(desk, number, step)
    used, seen, due, word, given, length = 0, 0, len(bits), 0, 0, 0
    for at in range(number):
        k = desk.order[at]
        size, room = desk.excess[k], desk.room[k]
        if size >= step:
            seen += room < 2 * step and (room >= step or size >= 2 * step)
            move = step if room >= step else 0
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
            move = size + SYMBOLS[code, -1 - word, given]
        values[k] += move if errors[k] >= 0 else -move
        if size < step and given == length:
            due = len(bits) + seen
            if used == due:
                return True
    return False


@compiled
def undo(ground: Ground, desk: Desk, tile: Tile, header: int, bits: Array) -> int:
    """Move the samples back and set ``bits``; return their number, or 0 if there are too few."""
    step = STEPS[header >> 1 & 7]
    errors = desk.sharp if header & 1 else desk.plain
    need, start = 0, 0
    for grid in range(LAST, -1, -1):
        part = part_of(tile, grid)
        number = _layer(ground, desk, tile, part, header)
        if need == 0:
            need = _lead(desk, header, number, bits)
            if need == 0:
                return 0
        stop = _read(desk, header, number, _quota(need, grid), bits[start:])
        if stop == 0:
            return 0
        start += _quota(need, grid)
        flag = start
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
            values[k] -= move if errors[k] >= 0 else -move
        mirror(desk, tile)
    return need


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
