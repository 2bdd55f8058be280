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
from node.mark.search import TRIES
from node.mark.settings import (
    HEADER_BITS,
    LEAD_BITS,
    LENGTH_BITS,
    SIZE_BITS,
    TAG_BYTES,
    size_bits,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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

    def rank(
        self, field: Field, tiles: Iterable[int], size: int, amplitude: int
    ) -> dict[int, list[int]]:
        """Return for some tiles the headers worth trying, the best first."""
        need = HEADER_BITS + len(size_bits(size)) + 8 * (TAG_BYTES + size)
        which = np.array(sorted(tiles), dtype=np.int64)
        headers = _rank(lay_out(field), which, need, amplitude)
        return {
            index: [header for header in row if header >= 0]
            for index, row in zip(which.tolist(), headers.tolist(), strict=True)
        }

    def hide(
        self, field: Field, data: Mapping[int, tuple[int, bytes]], marked: NDArray[np.int32]
    ) -> set[int]:
        """Write tiles, by header and data, into ``marked``; return those that are too full."""
        which = np.array(list(data), dtype=np.int64)
        headers = np.array([header for header, _ in data.values()], dtype=np.int64)
        messages = [np.frombuffer(message, dtype=np.uint8) for _, message in data.values()]
        lead = [0] * HEADER_BITS + size_bits(len(messages[0]) - TAG_BYTES)
        bits = np.empty((len(which), len(lead) + 8 * len(messages[0])), dtype=np.uint8)
        bits[:, : len(lead)] = lead
        bits[:, len(lead) :] = np.unpackbits(np.stack(messages), axis=1)
        full = _hide(lay_out(field), which, headers, bits, marked)
        return set(which[full].tolist())

    def reveal(self, field: Field) -> tuple[NDArray[np.int32], dict[int, tuple[int, bytes]]]:
        """Return the samples before, and header and data of each tile; proves nothing."""
        samples = field.samples.copy()
        stream, starts, headers = _reveal(lay_out(field), samples)
        packed, cuts = stream.tobytes(), starts.tolist()
        return samples, {
            index: (int(headers[index]), packed[start:end])
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
def _rank(arrays: Arrays, which: Array, need: int, amplitude: int) -> Array:
    ground = Ground(*arrays)
    desk, census = furnish(ground), blank()
    headers = np.full((len(which), TRIES + TRIES // 2), -1)
    for row in range(len(which)):
        tile = tile_at(ground, which[row])
        if load(ground, desk, tile):
            count(desk, tile, census)
            headers[row] = rank(census, need, amplitude)
    return headers


@kept
def _hide(arrays: Arrays, which: Array, headers: Array, messages: Array, marked: Array) -> Array:
    """Write the marked tiles into ``marked``; return which messages found no room.

    :param messages: their bits, with room for those that the header replaces in front.
    """
    ground = Ground(*arrays)
    desk = furnish(ground)
    full = np.ones(len(which), np.bool_)
    for row in range(len(which)):
        tile, header, bits = tile_at(ground, which[row]), headers[row], messages[row]
        if not load(ground, desk, tile):
            continue
        for k in range(HEADER_BITS):
            i, j = divmod(desk.spots[k], tile.columns)
            bits[k] = ground.samples[tile.top + i, tile.left + j] & 1
        if _write(ground, desk, tile, header, bits):
            for k in range(HEADER_BITS):
                plane, at = seat(tile, desk.spots[k])
                desk.planes[plane, at] |= header >> (HEADER_BITS - 1 - k) & 1
            store(tile, desk, marked)
            full[row] = False
    return full


@kept
def _reveal(arrays: Arrays, restored: Array) -> tuple[Array, Array, Array]:
    """Restore the tiles in ``restored``.

    Return all data, where each tile's begins and ends, and the headers.
    """
    ground = Ground(*arrays)
    desk = furnish(ground)
    bits = np.empty(3 * desk.usable.size, np.uint8)
    stream = np.empty(ground.samples.size // 2, np.uint8)
    starts = np.zeros(len(ground.tiles) + 1, np.int64)
    headers = np.zeros(len(ground.tiles), np.int64)
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
        headers[index] = header
        need = _undo(ground, desk, tile, header, bits)
        if need == 0:
            continue
        for k in range(HEADER_BITS):
            plane, at = seat(tile, desk.spots[k])
            desk.planes[plane, at] |= bits[k]
        store(tile, desk, restored)
        lead = HEADER_BITS + SIZE_BITS
        if _number(bits, HEADER_BITS, SIZE_BITS) == ESCAPE:
            lead = LEAD_BITS
        length = (need - lead) // 8
        for byte in range(length):
            stream[start + byte] = _number(bits, lead + 8 * byte, 8)
        starts[index + 1] = start + length
    return stream, starts, headers


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
def _undo(ground: Ground, desk: Desk, tile: Tile, header: int, bits: Array) -> int:
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
def _number(bits: Array, start: int, width: int) -> int:
    number = 0
    for k in range(start, start + width):
        number = number << 1 | int(bits[k])
    return number


@compiled
def _length(bits: Array) -> int:
    """Return the length of the message that begins with ``bits``, in bits; 0 if it is wrong."""
    code = _number(bits, HEADER_BITS, SIZE_BITS)
    if code < ESCAPE:
        return HEADER_BITS + SIZE_BITS + 8 * (TAG_BYTES + int(LENGTHS[code]))
    length = _number(bits, HEADER_BITS + SIZE_BITS, LENGTH_BITS)
    for known in LENGTHS:
        if length == known:
            return 0
    return LEAD_BITS + 8 * (TAG_BYTES + length)
