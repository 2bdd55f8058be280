"""The reference kernel, compiled by numba: the same samples, much sooner.

Each function mirrors one of :mod:`node.mark.reversible`, which says what is meant.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from node.mark.compiled import (
    BIT_TREE,
    BITS,
    CLASSES,
    CODES,
    FAR,
    LENGTHS,
    NEAR,
    STEPS,
    SYMBOL_TREE,
    SYMBOLS,
    Desk,
    Ground,
    Part,
    Tile,
    class_of,
    compiled,
    furnish,
    kept,
    lay_out,
    load,
    mirror,
    part_of,
    seat,
    sense,
    settled,
    store,
    tile_at,
    weigh,
)
from node.mark.fastsearch import blank, cheapest, count, rank, total
from node.mark.reversible import GRIDS
from node.mark.settings import HEADER_BITS, LEAD_BITS, SIZE_BITS, TAG_BYTES, size_bits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from node.mark.tiles import Field

    Array = NDArray[Any]

ESCAPE = len(LENGTHS)
LAST = len(GRIDS) - 1


class NumbaKernel:
    """The compiled kernel. Its first use in an environment compiles it: some seconds."""

    name = "numba"

    def rooms(self, field: Field, amplitude: int) -> list[int]:
        """Return about how many bytes fit in each tile, tags included."""
        rooms: list[int] = _rooms(lay_out(field), amplitude).tolist()
        return rooms

    def choose(self, field: Field, size: int, amplitude: int) -> list[int]:
        """Return for each tile the header that should carry a shard at least harm, or -1."""
        need = HEADER_BITS + len(size_bits(size)) + 8 * (TAG_BYTES + size)
        headers: list[int] = _choose(lay_out(field), need, amplitude).tolist()
        return headers

    def hide(
        self, field: Field, data: Mapping[int, bytes], headers: Sequence[int], amplitude: int
    ) -> tuple[NDArray[np.int32], set[int]]:
        """Return the marked samples, and the tiles in which their data does not fit."""
        which = np.array(list(data), dtype=np.int64)
        size = len(next(iter(data.values())))
        payload = np.frombuffer(b"".join(data.values()), dtype=np.uint8).reshape(-1, size)
        lead = np.array([0] * HEADER_BITS + size_bits(size - TAG_BYTES), dtype=np.uint8)
        messages = np.concatenate(
            [np.broadcast_to(lead, (len(which), len(lead))), np.unpackbits(payload, axis=1)], axis=1
        )
        marked = field.samples.copy()
        plan = np.stack([which, np.array(headers)[which]], axis=1)
        full = _hide(lay_out(field), plan, messages, amplitude, marked)
        return marked, set(which[full].tolist())

    def reveal(self, field: Field) -> tuple[NDArray[np.int32], dict[int, bytes]]:
        """Return the samples before, and what each tile seems to carry; proves nothing."""
        samples = field.samples.copy()
        stream, starts = _reveal(lay_out(field), samples)
        packed, cuts = stream.tobytes(), starts.tolist()
        return samples, {
            index: packed[start:end]
            for index, (start, end) in enumerate(pairwise(cuts))
            if end > start
        }


Arrays = tuple["Array", "Array", "Array", "Array"]


@kept
def _rooms(arrays: Arrays, amplitude: int) -> Array:
    ground = Ground(*arrays)
    desk, census = furnish(ground), blank()
    rooms = np.zeros(len(ground.tiles), np.int64)
    for index in range(len(ground.tiles)):
        tile = tile_at(ground, index)
        if load(ground, desk, tile):
            count(desk, tile, census)
            rooms[index] = max(0, total(census, amplitude) - LEAD_BITS) // 8
    return rooms


@kept
def _choose(arrays: Arrays, need: int, amplitude: int) -> Array:
    ground = Ground(*arrays)
    desk, census = furnish(ground), blank()
    headers = np.full(len(ground.tiles), -1)
    for index in range(len(ground.tiles)):
        tile = tile_at(ground, index)
        if load(ground, desk, tile):
            count(desk, tile, census)
            headers[index] = cheapest(census, need, amplitude)
    return headers


@kept
def _hide(arrays: Arrays, plan: Array, messages: Array, amplitude: int, marked: Array) -> Array:
    """Write the marked tiles into ``marked``; return which messages found no room.

    :param plan: rows of tile and header to try first.
    :param messages: their bits, with room for those that the header replaces in front.
    """
    ground = Ground(*arrays)
    desk, census = furnish(ground), blank()
    full = np.zeros(len(plan), np.bool_)
    for row in range(len(plan)):
        tile, header = tile_at(ground, plan[row, 0]), plan[row, 1]
        bits = messages[row]
        if not load(ground, desk, tile):
            full[row] = True
            continue
        for k in range(HEADER_BITS):
            i, j = divmod(desk.spots[k], tile.columns)
            bits[k] = ground.samples[tile.top + i, tile.left + j] & 1
        if not _write(ground, desk, tile, header, bits):
            load(ground, desk, tile)
            count(desk, tile, census)
            header = -1
            for other in rank(census, len(bits), amplitude):
                if other >= 0:
                    load(ground, desk, tile)
                    if _write(ground, desk, tile, other, bits):
                        header = other
                        break
        if header < 0:
            full[row] = True
            continue
        for k in range(HEADER_BITS):
            plane, at = seat(tile, desk.spots[k])
            desk.planes[plane, at] |= header >> (HEADER_BITS - 1 - k) & 1
        store(tile, desk, marked)
    return full


@kept
def _reveal(arrays: Arrays, restored: Array) -> tuple[Array, Array]:
    """Restore each tile in ``restored``; return all data and where each tile's begins and ends."""
    ground = Ground(*arrays)
    desk = furnish(ground)
    bits = np.empty(3 * desk.usable.size, np.uint8)
    stream = np.empty(ground.samples.size // 2, np.uint8)
    starts = np.zeros(len(ground.tiles) + 1, np.int64)
    for index in range(len(ground.tiles)):
        start = starts[index]
        starts[index + 1] = start
        tile = tile_at(ground, index)
        if not load(ground, desk, tile):
            continue
        header = 0
        for k in range(HEADER_BITS):
            i, j = divmod(desk.spots[k], tile.columns)
            header = header << 1 | ground.samples[tile.top + i, tile.left + j] & 1
        need = _undo(ground, desk, tile, header, bits)
        if need == 0:
            continue
        for k in range(HEADER_BITS):
            plane, at = seat(tile, desk.spots[k])
            desk.planes[plane, at] |= bits[k]
        store(tile, desk, restored)
        lead = LEAD_BITS if _number(bits, HEADER_BITS, SIZE_BITS) == ESCAPE else LEAD_BITS - 16
        length = (need - lead) // 8
        for byte in range(length):
            stream[start + byte] = _number(bits, lead + 8 * byte, 8)
        starts[index + 1] = start + length
    return stream, starts


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
def _write(ground: Ground, desk: Desk, tile: Tile, header: int, bits: Array) -> bool:
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
    used, seen, word, given, length = 0, 0, 0, 0, 0
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
                    if used < len(bits):
                        bit = bits[used]
                    elif used - len(bits) < len(flags):
                        bit = flags[used - len(bits)]
                    used += 1
                    word = BIT_TREE[code, word, bit]
                length, given = SYMBOLS[code, -1 - word, 0], 0
            given += 1
            move = size + SYMBOLS[code, -1 - word, given]
        values[k] += move if errors[k] >= 0 else -move
        if size < step and given == length and used >= len(bits) + seen:
            return True
    return False


@compiled
def _undo(ground: Ground, desk: Desk, tile: Tile, header: int, bits: Array) -> int:
    """Move the samples back and set ``bits``; return their number, or 0 if there are too few."""
    step = STEPS[header >> 1 & 7]
    errors = desk.sharp if header & 1 else desk.plain
    need, start = 0, 0
    for grid in range(LAST, -1, -1):
        part = part_of(tile, grid)
        number = _layer(ground, desk, tile, part, header)
        stop = _read(desk, header, number, _quota(need, grid) if need else 0, bits[start:])
        if stop == 0:
            return 0
        need = need or _length(bits)
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
def _read(desk: Desk, header: int, number: int, quota: int, bits: Array) -> int:
    """Read a layer's bits and flags; return how many samples it visits, or 0: too few.

    :param quota: the layer's bits without flags, or 0 if they tell it themselves.
    """
    step, code = STEPS[header >> 1 & 7], CODES[header >> 1 & 7]
    used, seen, node = 0, 0, 0
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
            if used == len(bits):
                return 0
            bits[used] = BITS[code, -1 - node, place + 1]
            used += 1
        node = 0
        if quota == 0 and used >= LEAD_BITS:
            quota = _quota(_length(bits), LAST)
        if quota and used >= quota + seen:
            return at + 1
    return 0


@compiled
def _number(bits: Array, start: int, width: int) -> int:
    number = 0
    for k in range(start, start + width):
        number = number << 1 | int(bits[k])
    return number


@compiled
def _length(bits: Array) -> int:
    """Return the length of the message that begins with ``bits``, in bits."""
    code = _number(bits, HEADER_BITS, SIZE_BITS)
    if code < ESCAPE:
        return HEADER_BITS + SIZE_BITS + 8 * (TAG_BYTES + int(LENGTHS[code]))
    return LEAD_BITS + 8 * (TAG_BYTES + _number(bits, HEADER_BITS + SIZE_BITS, LEAD_BITS - 17))
