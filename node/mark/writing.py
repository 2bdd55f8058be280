"""Write a payload into the tiles of one grid, if they can carry it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from node.mark.digests import Digests
from node.mark.framing import TILES_1, Frame, Framer, needed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from node.mark.base import Kernel
    from node.mark.framing import Dialect
    from node.mark.planning import Plan
    from node.mark.tiles import Field


TURNS = 4
"""Headers that are changed for a tile: each changes the tag, which then may not fit."""


class Writer:
    """Marks one field with one payload, by whatever plan.

    :param key: 32 bytes.
    """

    def __init__(
        self,
        field: Field,
        kernel: Callable[[Field], Kernel],
        payload: bytes,
        key: bytes,
        dialect: Dialect = TILES_1,
    ) -> None:
        self._field, self._make, self._payload, self._key = field, kernel, payload, key
        self._dialect = dialect

    @property
    def tiles(self) -> int:
        """How many tiles there are."""
        return len(self._field.grid.tiles)

    def rooms(self, amplitude: int) -> list[int]:
        """Return about how many bytes fit in each tile, tags included."""
        return self._kernel.rooms(amplitude)

    def write(self, plan: Plan, spare: int) -> NDArray[np.int32] | None:
        """Mark every tile that can carry; the others are void, and the frame says so.

        None if then less than ``spare`` of the tiles, in a thousand, could be lost.

        Which tiles are void changes the frame and so every shard: this is
        repeated until the voids stay, and ends, since they only become more.
        So the doubtful tiles go first.
        """
        framer = Framer(self._field.grid, plan.size, self._key, self._dialect)
        chosen, doubtful = self._kernel.choose(plan.size, plan.amplitude)
        headers = dict(enumerate(chosen))
        voids = {index for index, header in headers.items() if header < 0}
        marked = np.empty_like(self._field.samples)
        while True:
            k = needed(framer.count, len(voids), len(self._payload), framer.size)
            losable = framer.losable(voids, k, spare)
            if losable < 0:
                return None
            order = tuple(sorted(voids))
            frame = Frame(k, order, framer.void_proof(self._originals, order), self._payload)
            shards = framer.shards(frame)
            attempt = _Attempt(self._kernel, framer, self._originals, shards, marked)
            full = attempt.fill(doubtful & shards.keys(), headers, plan, losable)
            if not full:
                full = attempt.fill(shards.keys() - doubtful, headers, plan, losable)
            voids |= full
            if not full:
                for index in voids:
                    tile = self._field.grid.tiles[index]
                    tile.of(marked)[...] = tile.of(self._field.samples)
                return marked

    @cached_property
    def _kernel(self) -> Kernel:
        return self._make(self._field)

    @cached_property
    def _originals(self) -> Digests:
        field = self._field
        ends, label = field.ends, self._dialect.digest
        return Digests(field.grid, field.samples, self._key, ends, label=label)


class _Attempt:
    """One frame's way into the tiles.

    :param shards: by tile.
    """

    def __init__(
        self,
        kernel: Kernel,
        framer: Framer,
        originals: Digests,
        shards: Mapping[int, bytes],
        marked: NDArray[np.int32],
    ) -> None:
        self._kernel, self._framer, self._originals = kernel, framer, originals
        self._shards, self._marked = shards, marked

    def fill(
        self, tiles: Iterable[int], headers: dict[int, int], plan: Plan, losable: int
    ) -> set[int]:
        """Write some tiles; return those that are too full whatever the header.

        :param headers: by tile; changed to those that did.
        :param losable: once more are too full, the others are not tried any further.
        """
        lost: set[int] = set()
        full = self._hide({index: headers[index] for index in sorted(tiles)})
        for _ in range(TURNS):
            if not full:
                break
            data = self._data({index: headers[index] for index in sorted(full)})
            others = self._kernel.second(data, plan.amplitude, losable - len(lost))
            headers |= others
            lost |= full - others.keys()
            if len(lost) > losable:
                return lost | full
            full = self._hide(others)
        return lost | full

    def _hide(self, headers: Mapping[int, int]) -> set[int]:
        return self._kernel.hide(self._data(headers), self._marked) if headers else set()

    def _data(self, headers: Mapping[int, int]) -> dict[int, tuple[int, bytes]]:
        tiles = [(index, header, self._shards[index]) for index, header in headers.items()]
        tags = self._framer.tags(tiles, self._originals)
        return {
            index: (header, tag + shard)
            for (index, header, shard), tag in zip(tiles, tags, strict=True)
        }
