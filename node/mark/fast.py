"""The reference kernel, compiled by numba: the same samples, much sooner.

Each function mirrors one of :mod:`node.mark.reversible`, which says what is meant.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from node.mark.desk import Ground, furnish, keep, lay_out, load, seat, store, tile_at
from node.mark.fastlayer import ESCAPE, number_in, undo, write
from node.mark.fastsearch import blank, cheapest, count, pristine, rank, total
from node.mark.machine import compiled, kept
from node.mark.search import DOUBT
from node.mark.settings import HEADER_BITS, LEAD_BITS, SIZE_BITS, TAG_BYTES, size_bits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from node.mark.desk import Desk, Tile
    from node.mark.tiles import Field

    Array = NDArray[Any]


class NumbaKernel:
    """The compiled kernel. Its first use in an environment compiles it: some seconds."""

    name = "numba"

    def __init__(self, field: Field) -> None:
        self._field = field
        self._arrays = lay_out(field)

    def rooms(self, amplitude: int) -> list[int]:
        """Return about how many bytes fit in each tile, tags included."""
        rooms: list[int] = _rooms(self._arrays, amplitude).tolist()
        return rooms

    def choose(self, size: int, amplitude: int) -> tuple[list[int], set[int]]:
        """Return for each tile the header that should carry a shard at least harm, or -1.

        And the tiles for which that is doubtful.
        """
        costs, headers = _choose(self._arrays, _need(size), amplitude)
        doubtful = np.flatnonzero((costs >= DOUBT) & (headers >= 0))
        return headers.tolist(), set(doubtful.tolist())

    def second(
        self, data: Mapping[int, tuple[int, bytes]], amplitude: int, most: int
    ) -> dict[int, int]:
        """Return for tiles where data does not fit the best other header by which it would.

        Those without any are left out; once they are more than ``most``, so are all others.
        """
        which, first, bits = _spelt(data)
        others = _second(self._arrays, which, first, bits, (amplitude, most)).tolist()
        found = zip(data, others, strict=True)
        return {index: header for index, header in found if header >= 0}

    def hide(self, data: Mapping[int, tuple[int, bytes]], marked: NDArray[np.int32]) -> set[int]:
        """Write tiles, by header and data, into ``marked``; return those that are too full."""
        which, headers, bits = _spelt(data)
        full = _hide(self._arrays, which, headers, bits, marked)
        return set(which[full].tolist())

    def reveal(self) -> tuple[NDArray[np.int32], dict[int, tuple[int, bytes]]]:
        """Return the samples before, and header and data of each tile; proves nothing."""
        samples = np.empty_like(self._field.samples)
        stream, starts, headers = _reveal(self._arrays, samples)
        cuts = starts.tolist()
        packed = stream[: cuts[-1]].tobytes()
        return samples, {
            index: (header, packed[start:end])
            for index, (header, (start, end)) in enumerate(
                zip(headers.tolist(), pairwise(cuts), strict=True)
            )
            if end > start
        }


def _spelt(data: Mapping[int, tuple[int, bytes]]) -> tuple[Array, Array, Array]:
    """Return tiles, headers and the bits of each message, with room for the header's in front."""
    which = np.array(list(data), dtype=np.int64)
    headers = np.array([header for header, _ in data.values()], dtype=np.int64)
    messages = np.frombuffer(b"".join([message for _, message in data.values()]), np.uint8)
    messages = messages.reshape(len(which), -1)
    lead = [0] * HEADER_BITS + size_bits(messages.shape[1] - TAG_BYTES)
    bits = np.empty((len(which), len(lead) + 8 * messages.shape[1]), dtype=np.uint8)
    bits[:, : len(lead)] = lead
    bits[:, len(lead) :] = np.unpackbits(messages, axis=1)
    return which, headers, bits


def _need(size: int) -> int:
    return HEADER_BITS + len(size_bits(size)) + 8 * (TAG_BYTES + size)


Arrays = tuple["Array", "Array", "Array", "Array", "Array", int]


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
def _choose(arrays: Arrays, need: int, amplitude: int) -> tuple[Array, Array]:
    """Return the least cost and its header for each tile."""
    ground = Ground(*arrays)
    desk, census, track = furnish(ground), blank(), pristine()
    costs = np.zeros(len(ground.tiles), np.int64)
    headers = np.full(len(ground.tiles), -1)
    before = -1
    for index in range(len(ground.tiles)):
        tile = tile_at(ground, index)
        if load(ground, desk, tile):
            count(desk, tile, census)
            costs[index], headers[index] = cheapest(census, track, need, amplitude, before)
            before = headers[index] if headers[index] >= 0 else before
    return costs, headers


@kept
def _second(
    arrays: Arrays, which: Array, first: Array, messages: Array, ends: tuple[int, int]
) -> Array:
    """Return the header for each message, or -1.

    :param ends: the amplitude, and how many may find none before the others are left out.
    """
    amplitude, most = ends
    ground = Ground(*arrays)
    desk, census, track = furnish(ground), blank(), pristine()
    planes = np.empty_like(desk.planes)
    others = np.full(len(which), -1)
    without = 0
    for row in range(len(which)):
        if without > most:
            break
        tile, bits = tile_at(ground, which[row]), messages[row]
        without += 1
        if not load(ground, desk, tile):
            continue
        count(desk, tile, census)
        _keep_lowest(ground, desk, tile, bits)
        area = tile.lines * tile.stride
        planes[:, :area] = desk.planes[:, :area]
        for header in rank(census, track, len(bits), amplitude):
            if header >= 0 and header != first[row]:
                desk.planes[:, :area] = planes[:, :area]
                if write(ground, desk, tile, header, bits):
                    others[row] = header
                    without -= 1
                    break
    return others


@compiled
def _keep_lowest(ground: Ground, desk: Desk, tile: Tile, bits: Array) -> None:
    """Begin a message with the bits that the header will replace."""
    for k in range(HEADER_BITS):
        i, j = divmod(desk.spots[k], tile.columns)
        bits[k] = ground.samples[tile.top + i, tile.left + j] & 1


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
        _keep_lowest(ground, desk, tile, bits)
        if write(ground, desk, tile, header, bits):
            for k in range(HEADER_BITS):
                plane, at = seat(tile, desk.spots[k])
                desk.planes[plane, at] |= header >> (HEADER_BITS - 1 - k) & 1
            store(ground, tile, desk, marked)
            full[row] = False
    return full


@kept
def _reveal(arrays: Arrays, restored: Array) -> tuple[Array, Array, Array]:
    """Write all tiles into ``restored``: those that seem to be marked as they were before.

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
            keep(ground, tile, restored)
            continue
        header = 0
        for k in range(HEADER_BITS):
            i, j = divmod(desk.spots[k], tile.columns)
            header = header << 1 | ground.samples[tile.top + i, tile.left + j] & 1
        headers[index] = header
        need = undo(ground, desk, tile, header, bits)
        if need == 0:
            keep(ground, tile, restored)
            continue
        for k in range(HEADER_BITS):
            plane, at = seat(tile, desk.spots[k])
            desk.planes[plane, at] |= bits[k]
        store(ground, tile, desk, restored)
        lead = HEADER_BITS + SIZE_BITS
        if number_in(bits, HEADER_BITS, SIZE_BITS) == ESCAPE:
            lead = LEAD_BITS
        length = (need - lead) // 8
        for byte in range(length):
            stream[start + byte] = number_in(bits, lead + 8 * byte, 8)
        starts[index + 1] = start + length
    return stream, starts, headers
