"""Lay out what a tile of ``tiles-2`` carries, and find the model that carries it with least harm.

Format: docs/formats/mark-v2.md, sections 3 and 6.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from node.mark.fine.model import AMPLITUDES, STATE_BITS, Model, layout
from node.mark.fine.plain import PlainEngine, Sheet, Written
from node.mark.fine.search import Search
from node.mark.settings import LEAD_BITS, TAG_BYTES, from_bits, read_size, size_bits, to_bits
from node.mark.tiles import Patch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from node.mark.fine.chances import Chances
    from node.mark.tiles import Field

    Samples = NDArray[np.int32]
    Spots = tuple[NDArray[np.intp], ...]


class Engine(Hashable, Protocol):
    """What is done to the samples of a tile; see :class:`node.mark.fine.plain.PlainEngine`."""

    name: str

    def chances(self, amplitude: int, shape: int, price: int) -> Chances:
        """Return the chances of :func:`node.mark.fine.chances.chances`."""
        ...

    def count(self, sheet: Sheet, marked: Samples, amplitude: int) -> NDArray[np.int64]:
        """Count samples that have room, by predictor, class and distance."""
        ...

    def write(self, sheet: Sheet, model: Model, bits: list[int]) -> Written:
        """Move the samples as the message says."""
        ...

    def read(
        self, sheet: Sheet, model: Model, stop: int, state: int
    ) -> tuple[Samples, list[int]] | None:
        """Undo ``write``."""
        ...


class FineKernel:
    """Hides data in the tiles of one field; a kernel of :mod:`node.mark.base`.

    A *header*, here, is the number of a model.
    """

    def __init__(self, field: Field, engine: Engine | None = None) -> None:
        self._field = field
        self._engine = engine or PlainEngine()
        self._search = Search(self._engine)
        self._vain: dict[tuple[int, int], int] = {}
        self.name = self._engine.name

    def rooms(self, amplitude: int) -> list[int]:
        """Return about how many bytes fit in each tile, tags included."""
        return [self._room(index, amplitude) for index in self._tiles()]

    def choose(self, size: int, amplitude: int) -> tuple[list[int], set[int]]:
        """Return for each tile the model that carries a shard at least harm, or -1.

        No tile is doubtful: what is chosen was tried out.
        """
        models = [self._choose(index, size, amplitude) for index in self._tiles()]
        return [-1 if model is None else model.number for model in models], set()

    def second(
        self,
        data: Mapping[int, tuple[int, bytes]],
        amplitude: int,  # noqa: ARG002 - a model keeps its own
        most: int,
    ) -> dict[int, int]:
        """Return for tiles where data does not fit the next cheaper model in which it would.

        Once more than ``most`` are without, all others are left out.
        """
        found: dict[int, int] = {}
        for tried, (index, (first, message)) in enumerate(data.items()):
            if tried - len(found) > most:
                break
            model, desk = Model.of(first), _desk(self._field.patch(index))
            if desk is None:
                continue
            other, written = self._search.settle(
                desk[0], model, _message(self._field.patch(index), desk[1], message), 1
            )
            if not written.left:
                found[index] = other.number
        return found

    def hide(self, data: Mapping[int, tuple[int, bytes]], marked: Samples) -> set[int]:
        """Write tiles, by model and data, into ``marked``; return those that are too full."""
        full = set()
        for index, (header, message) in data.items():
            hidden = self._hide(self._field.patch(index), header, message)
            if hidden is None:
                full.add(index)
            else:
                self._field.grid.tiles[index].of(marked)[...] = hidden
        return full

    def reveal(self) -> tuple[Samples, dict[int, tuple[int, bytes]]]:
        """Return the samples before, and model and data of each tile; proves nothing."""
        samples = self._field.samples.copy()
        data = {}
        for index, tile in enumerate(self._field.grid.tiles):
            found = self._reveal(self._field.patch(index))
            if found is not None:
                header, message, tile.of(samples)[...] = found
                data[index] = header, message
        return samples, data

    def _tiles(self) -> range:
        return range(len(self._field.grid.tiles))

    def _room(self, index: int, amplitude: int) -> int:
        desk = _desk(self._field.patch(index))
        bits = self._search.room(desk[0], amplitude) if desk else 0
        return max(0, bits - LEAD_BITS) // 8

    def _choose(self, index: int, size: int, amplitude: int) -> Model | None:
        """Find a model for a tile; amplitudes at which less did not fit are not tried again."""
        desk = _desk(self._field.patch(index))
        if desk is None:
            return None
        bits = _length(desk[0], size)
        grades = [
            grade
            for grade, step in enumerate(AMPLITUDES)
            if step <= amplitude and bits < self._vain.get((index, grade), bits + 1)
        ]
        model = self._search.choose(desk[0], bits, grades)
        for grade in grades:
            if model is None or grade < model.grade:
                self._vain[index, grade] = bits
        return model

    def _hide(self, patch: Patch, header: int, data: bytes) -> Samples | None:
        model, desk = Model.of(header), _desk(patch)
        if desk is None:
            return None
        sheet, spots = desk
        written = self._engine.write(sheet, model, _message(patch, spots, data))
        if written.left:
            return None
        where = model.packed(sheet.layout) << sheet.layout.stop_bits | written.stop
        lowest = to_bits(where << STATE_BITS | written.state, sheet.layout.bits)
        written.samples[spots] |= np.array(lowest, dtype=np.int32)
        return written.samples

    def _reveal(self, patch: Patch) -> tuple[int, bytes, Samples] | None:
        desk = _desk(patch)
        if desk is None:
            return None
        sheet, spots = desk
        lowest = from_bits((patch.samples[spots] & 1).tolist())
        rest, state = divmod(lowest, 1 << STATE_BITS)
        number, stop = divmod(rest, 1 << sheet.layout.stop_bits)
        model = Model.unpack(number, sheet.layout)
        found = self._engine.read(sheet, model, stop, state) if model is not None else None
        if model is None or found is None:
            return None
        samples, bits = found
        data = _data(bits, sheet.layout.bits)
        if data is None:
            return None
        header = model.number
        samples[spots] |= np.array(bits[: sheet.layout.bits], dtype=np.int32)
        # Whatever else reads alike was not written by anyone who keeps to the format.
        before = Patch(samples, patch.low, patch.high)
        again = self._hide(before, header, data)
        same = again is not None and np.array_equal(again, patch.samples)
        return (header, data, samples) if same else None


def _desk(patch: Patch) -> tuple[Sheet, Spots] | None:
    """Return the sheet, and where the header stands: in the last samples that may move."""
    if min(patch.samples.shape) < 2:  # noqa: PLR2004 - a line has no neighbours above and below
        return None
    form = layout(patch.samples.size)
    movable = (patch.low <= patch.samples) & (patch.samples <= patch.high)
    flat = np.flatnonzero(movable)[-form.bits :]
    if flat.size < form.bits:
        return None
    spots = np.unravel_index(flat, patch.samples.shape)
    samples, low, high = patch.samples.copy(), patch.low.copy(), patch.high.copy()
    samples[spots] &= ~1
    low[spots], high[spots] = 1, 0
    return Sheet(samples, low, high, form), spots


def _length(sheet: Sheet, size: int) -> int:
    """Return how many bits a tile says with a shard of so many bytes."""
    return sheet.layout.bits + len(size_bits(size)) + 8 * (TAG_BYTES + size)


def _message(patch: Patch, spots: Spots, data: bytes) -> list[int]:
    return [
        *(patch.samples[spots] & 1).tolist(),
        *size_bits(len(data) - TAG_BYTES),
        *np.unpackbits(np.frombuffer(data, dtype=np.uint8)).tolist(),
    ]


def _data(bits: list[int], start: int) -> bytes | None:
    """Return tag and shard out of a message behind its first bits; None if it says it wrongly."""
    length, width = read_size(bits[start : start + LEAD_BITS])
    start += width
    end = start + 8 * (TAG_BYTES + length)
    if length < 0 or end > len(bits):
        return None
    return np.packbits(np.array(bits[start:end], dtype=np.uint8)).tobytes()
