"""Hide a few bytes in one tile and take them out again: the reference kernel.

The four quarter grids of the tile are visited one after the other; each
sample is predicted from its eight neighbours, all on other grids, so that
whoever undoes the grids in reverse order predicts the same. Samples whose
prediction error has a chosen size carry a symbol, and larger errors move out
of the way (histogram shifting). The chosen size grows with the unrest of the
neighbourhood: far out on the flank of the errors there are few to shift.

Format: docs/formats/mark-v1.md. After Sachnev et al., IEEE TCSVT 19(7), 2009
(sorting), and Li et al., IEEE TIFS 10(9), 2015 (many histograms).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from node.mark.coding import lead, read, spell
from node.mark.search import DOUBT, choose, most, rank
from node.mark.settings import (
    FLOORS,
    HEADER_BITS,
    LEAD_BITS,
    PREDICTORS,
    REACH,
    TAG_BYTES,
    Settings,
    from_bits,
    read_size,
    size_bits,
    to_bits,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from node.mark.tiles import Field, Patch

    Samples = NDArray[np.int32]
    Spots = tuple[NDArray[np.intp], ...]

GRIDS = ((0, 0), (1, 1), (0, 1), (1, 0))
"""(row, column) of the first sample of each quarter grid, in the order of embedding."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The usable samples of one quarter grid, in the order of visiting.

    :param where: rows and columns in the tile.
    :param side: 1 where the prediction error is not negative, else -1; the
        way the sample may move.
    :param size: how much larger the error is than the least one that carries.
    :param room: how far the sample may move that way.
    """

    where: tuple[NDArray[np.intp], NDArray[np.intp]]
    side: Samples
    size: NDArray[np.int64]
    room: NDArray[np.int64]


class NumpyKernel:
    """The reference: plain and slow; every other kernel gives the same samples."""

    name = "numpy"

    def __init__(self, field: Field) -> None:
        self._field = field

    def rooms(self, amplitude: int) -> list[int]:
        """Return about how many bytes fit in each tile, tags included."""
        return [_room(self._field.patch(index), amplitude) for index in self._tiles()]

    def choose(self, size: int, amplitude: int) -> tuple[list[int], set[int]]:
        """Return for each tile the header that should carry a shard at least harm, or -1.

        And the tiles for which that is doubtful. An estimate: neither this nor
        ``rooms`` nor ``second`` is part of the format.
        """
        headers, doubtful, before = [], set(), -1
        for index in self._tiles():
            cost, header = _chosen(self._field.patch(index), _need(size), amplitude, before)
            headers.append(header)
            before = header if header >= 0 else before
            if cost >= DOUBT:
                doubtful.add(index)
        return headers, doubtful

    def second(
        self, data: Mapping[int, tuple[int, bytes]], amplitude: int, most: int
    ) -> dict[int, int]:
        """Return for tiles where data does not fit the best other header by which it would.

        Those without any are left out; once they are more than ``most``, so are all others.
        """
        found: dict[int, int] = {}
        for tried, (index, (first, message)) in enumerate(data.items()):
            if tried - len(found) > most:
                break
            patch = self._field.patch(index)
            for _, header in _ranked(patch, _need(len(message) - TAG_BYTES), amplitude):
                if header != first and _hide(patch, header, message) is not None:
                    found[index] = header
                    break
        return found

    def hide(self, data: Mapping[int, tuple[int, bytes]], marked: Samples) -> set[int]:
        """Write tiles into ``marked``; return those in which their data does not fit.

        :param data: for each tile its header and its data: tag and shard.
        """
        full = set()
        for index, (header, message) in data.items():
            hidden = _hide(self._field.patch(index), header, message)
            if hidden is None:
                full.add(index)
            else:
                self._field.grid.tiles[index].of(marked)[...] = hidden
        return full

    def reveal(self) -> tuple[Samples, dict[int, tuple[int, bytes]]]:
        """Return the samples before, and the header and data of each tile that seems to have any.

        This proves nothing yet: what is read from an unmarked tile is noise,
        and so are the samples restored with it.
        """
        samples = self._field.samples.copy()
        data = {}
        for index, tile in enumerate(self._field.grid.tiles):
            found = _reveal(self._field.patch(index))
            if found is not None:
                header, message, tile.of(samples)[...] = found
                data[index] = header, message
        return samples, data

    def _tiles(self) -> range:
        return range(len(self._field.grid.tiles))


def _need(size: int) -> int:
    return HEADER_BITS + len(size_bits(size)) + 8 * (TAG_BYTES + size)


def _room(patch: Patch, amplitude: int) -> int:
    spots = _spots(patch)
    if spots is None:
        return 0
    return max(0, most(_tables(patch, spots), amplitude) - LEAD_BITS) // 8


def _chosen(patch: Patch, need: int, amplitude: int, before: int) -> tuple[int, int]:
    """Return the cost and the header, or 0 and -1."""
    spots = _spots(patch)
    found = choose(_tables(patch, spots), need, amplitude, before) if spots is not None else None
    return found or (0, -1)


def _ranked(patch: Patch, need: int, amplitude: int) -> list[tuple[int, int]]:
    spots = _spots(patch)
    return rank(_tables(patch, spots), need, amplitude) if spots is not None else []


def _hide(patch: Patch, header: int, data: bytes) -> Samples | None:
    spots = _spots(patch)
    if spots is None:
        return None
    bits = [
        *(patch.samples[spots] & 1).tolist(),
        *size_bits(len(data) - TAG_BYTES),
        *np.unpackbits(np.frombuffer(data, dtype=np.uint8)).tolist(),
    ]
    samples = _clear(patch, spots)
    if not _write(samples, patch, spots, Settings.parse(header), bits):
        return None
    samples[spots] |= np.array(to_bits(header, HEADER_BITS), dtype=np.int32)
    return samples


def _reveal(patch: Patch) -> tuple[int, bytes, Samples] | None:
    spots = _spots(patch)
    if spots is None:
        return None
    header = from_bits((patch.samples[spots] & 1).tolist())
    samples = _clear(patch, spots)
    bits = _undo(samples, patch, spots, Settings.parse(header))
    if not bits:
        return None
    samples[spots] |= np.array(bits[:HEADER_BITS], dtype=np.int32)
    data = bits[HEADER_BITS + read_size(bits[HEADER_BITS:])[1] :]
    return header, np.packbits(np.array(data, dtype=np.uint8)).tobytes(), samples


def _quotas(total: int) -> list[int]:
    """How many bits each quarter grid carries, in the order of visiting.

    The last grid is read first, and holds at least what tells the total.
    """
    last = max(LEAD_BITS, total - total * 3 // 4)
    rest = total - last
    return [rest // 3, rest * 2 // 3 - rest // 3, rest - rest * 2 // 3, last]


def _spots(patch: Patch) -> Spots | None:
    """Find where the header stands: in the lowest bits of the last samples that may move."""
    if min(patch.samples.shape) < 2:  # noqa: PLR2004 - a line has no neighbours above and below
        return None
    flat = np.flatnonzero(_movable(patch))[-HEADER_BITS:]
    return np.unravel_index(flat, patch.samples.shape) if flat.size == HEADER_BITS else None


def _movable(patch: Patch) -> NDArray[np.bool_]:
    return (patch.low <= patch.samples) & (patch.samples <= patch.high)


def _clear(patch: Patch, spots: Spots) -> Samples:
    """Return a copy of the samples, the lowest bits of the header cleared."""
    samples = patch.samples.copy()
    samples[spots] &= ~1
    return samples


def _usable(patch: Patch, spots: Spots) -> NDArray[np.bool_]:
    usable = _movable(patch)
    usable[spots] = False
    return usable


def _calm(
    samples: Samples, grid: tuple[int, int], predictor: int
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return prediction and class of every sample of a quarter grid."""
    rows, columns = samples.shape
    around = np.pad(samples, 1, mode="reflect").astype(np.int64)

    def at(down: int, right: int) -> NDArray[np.int64]:
        row, column = grid[0] + down + 1, grid[1] + right + 1
        return around[row : rows + down + 1 : 2, column : columns + right + 1 : 2]

    n, s, w, e = at(-1, 0), at(1, 0), at(0, -1), at(0, 1)
    nw, ne, sw, se = at(-1, -1), at(-1, 1), at(1, -1), at(1, 1)
    guess = (n + s + w + e + 2) >> 2
    if predictor:
        guess = (2 * (n + s + w + e) - (nw + ne + sw + se) + 2) >> 2
    unrest = abs(nw - 2 * n + ne) + abs(sw - 2 * s + se)
    unrest += abs(nw - 2 * w + sw) + abs(ne - 2 * e + se)
    return guess, np.searchsorted(FLOORS, unrest, side="right") - 1


def _tables(patch: Patch, spots: Spots) -> list[NDArray[np.int64]]:
    """For each predictor, count samples by class and error size.

    Counts only the first two quarter grids, which stand for the others, and
    only samples that are not at the brink of their bounds. Sizes above REACH
    are counted together.
    """
    clear = _clear(patch, spots)
    inside = (patch.low + 2 <= clear) & (clear <= patch.high - 2) & _usable(patch, spots)
    tables = []
    for predictor in range(PREDICTORS):
        table = np.zeros((len(FLOORS), REACH + 2), dtype=np.int64)
        for grid in GRIDS[:2]:
            part = (slice(grid[0], None, 2), slice(grid[1], None, 2))
            guess, classes = _calm(clear, grid, predictor)
            error = clear[part] - guess
            size = np.minimum(np.where(error >= 0, error, -1 - error), REACH + 1)
            np.add.at(table, (classes[inside[part]], size[inside[part]]), 1)
        tables.append(table)
    return tables


def _layer(
    samples: Samples, patch: Patch, spots: Spots, grid: tuple[int, int], settings: Settings
) -> Layer:
    """Order the usable samples of a quarter grid: calm classes first, then as they stand.

    Left out are those of resting classes and those so near a bound that a
    carrying sample could not be told from one that found no room.
    """
    part = (slice(grid[0], None, 2), slice(grid[1], None, 2))
    guess, classes = _calm(samples, grid, settings.predictor)
    bins = settings.bins()[classes]
    value, low, high = samples[part], patch.low[part], patch.high[part]
    error = value - guess
    up = error >= 0
    size = np.where(up, error, -1 - error) - bins
    room = np.where(up, high.astype(np.int64) - value, value.astype(np.int64) - low)
    # room + size is the same before and after any move
    open_ = (bins <= REACH) & (room + size >= 3 * settings.amplitude - 1)
    row, column = np.nonzero(_usable(patch, spots)[part] & open_)
    order = np.argsort(classes[row, column], kind="stable")
    row, column = row[order], column[order]
    return Layer(
        where=(2 * row + grid[0], 2 * column + grid[1]),
        side=np.where(up[row, column], 1, -1).astype(np.int32),
        size=size[row, column],
        room=room[row, column],
    )


def _write(
    samples: Samples, patch: Patch, spots: Spots, settings: Settings, bits: list[int]
) -> bool:
    """Move the samples; say whether every quarter grid had carriers enough."""
    step = settings.amplitude
    end = len(bits)
    for grid, quota in zip(GRIDS, _quotas(len(bits)), strict=True):
        layer = _layer(samples, patch, spots, grid, settings)
        carriers = np.flatnonzero((layer.size >= 0) & (layer.size < step))
        stuck = (layer.size >= step) & (layer.room < step)
        # After the move these stand near their bound, be it that they moved or that they could not.
        unclear = (layer.size >= step) & (layer.room < 2 * step)
        unclear &= ~stuck | (layer.size >= 2 * step)
        symbols = spell(
            settings.mode,
            bits[end - quota : end],
            stuck[unclear].astype(int).tolist(),
            np.cumsum(unclear)[carriers].tolist(),
        )
        if not symbols:
            return False
        end -= quota
        used = carriers[: len(symbols)]
        stop = used[-1] + 1
        move = np.where((layer.size >= step) & ~stuck, step, 0)[:stop]
        move[used] = layer.size[used] + symbols
        row, column = layer.where[0][:stop], layer.where[1][:stop]
        samples[row, column] += layer.side[:stop] * move.astype(np.int32)
    return True


def _undo(samples: Samples, patch: Patch, spots: Spots, settings: Settings) -> list[int]:
    """Move the samples back; return the bits, or none if a quarter grid ends too early."""
    step = settings.amplitude
    bits: list[int] = []
    quotas: list[int] = []
    for grid in reversed(GRIDS):
        layer = _layer(samples, patch, spots, grid, settings)
        carriers = np.flatnonzero((layer.size >= 0) & (layer.size < 2 * step))
        symbols = (layer.size[carriers] & 1).tolist()
        outer = layer.size >= 2 * step
        unclear = outer & (layer.room < step)
        before = np.cumsum(unclear)[carriers].tolist()
        if not quotas:
            start = lead(settings.mode, symbols, LEAD_BITS)
            if len(start) < LEAD_BITS:
                return []
            length, width = read_size(start[HEADER_BITS:])
            if length < 0:
                return []
            quotas = _quotas(HEADER_BITS + width + 8 * (TAG_BYTES + length))
        need = quotas.pop()
        found, count = read(settings.mode, symbols, need, before)
        if count < 1:
            return []
        bits += found[:need]
        used = carriers[:count]
        stop = used[-1] + 1
        move = np.where(outer, step, 0)[:stop]
        doubtful = np.flatnonzero(unclear[:stop])
        # A flag says that the sample had no room and never moved.
        move[doubtful] = step * (1 - np.array(found[need : need + doubtful.size], dtype=np.int64))
        move[used] = (layer.size[used] + 1) >> 1
        row, column = layer.where[0][:stop], layer.where[1][:stop]
        samples[row, column] -= layer.side[:stop] * move.astype(np.int32)
    return bits
