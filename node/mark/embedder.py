"""The reversible tiled mark, ``tiles-1``, behind the seam of :mod:`node.mark.base`.

Format: docs/formats/mark-v1.md.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from node.errors import DoesNotFitError, UnmarkedError
from node.mark.bounds import intervals
from node.mark.framing import Frame, Framer, needed
from node.mark.planning import Plan, plans, room
from node.mark.reversible import NumpyKernel, Patch
from node.mark.settings import TAG_BYTES
from node.mark.tiles import Grid, grids
from node.types import Extraction

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from node.types import Carrier

MOST = 8
"""The largest change that the format can make."""

WORTH = 125
"""Tiles in a thousand whose loss must be survivable, or else larger changes are tried."""


class Kernel(Protocol):
    """Hides data in one tile; all kernels give the same samples."""

    name: str

    def room(self, patch: Patch, amplitude: int) -> int:
        """Return about how many bytes fit, the tag included."""
        ...

    def hide(self, patch: Patch, data: bytes, amplitude: int) -> NDArray[np.int32] | None:
        """Return the marked samples, or None if the data does not fit."""
        ...

    def reveal(self, patch: Patch) -> tuple[bytes, NDArray[np.int32]] | None:
        """Return tag and shard, and the samples before, or None; proves nothing."""
        ...


@dataclass(frozen=True, slots=True)
class _Field:
    """A carrier, cut, with the bounds of its samples."""

    grid: Grid
    samples: NDArray[np.int32]
    low: NDArray[np.int32]
    high: NDArray[np.int32]

    def patch(self, index: int) -> Patch:
        tile = self.grid.tiles[index]
        return Patch(tile.of(self.samples), tile.of(self.low), tile.of(self.high))


@dataclass(frozen=True, slots=True)
class _Found:
    """The tiles of one grid that prove themselves, all with shards of one length."""

    framer: Framer
    shards: dict[int, bytes]
    originals: dict[int, NDArray[np.int32]]


class TiledEmbedder:
    """Marks tile by tile: each proves itself, any k of them give the payload.

    :param amplitude: the most that any sample may change, 1 to 8. The least
        change that carries the payload is taken.
    :param kernel: ``"numpy"``, ``"numba"`` or ``"auto"`` (numba where it is
        installed). The marked samples are the same.
    :param whole: mark small enough carriers as one tile: the least change,
        but an edit anywhere destroys everything.
    """

    name = "tiles-1"

    def __init__(self, *, amplitude: int = 4, kernel: str = "auto", whole: bool = False) -> None:
        if not 1 <= amplitude <= MOST:
            raise ValueError(f"amplitude is 1 to {MOST}")
        self._amplitude = amplitude
        self._kernel = _kernel(kernel)
        self._whole = whole

    def capacity(self, carrier: Carrier) -> int:
        """Return how many payload bytes surely fit (0 for none)."""
        return max(room(self._rooms(field, self._amplitude)) for field in self._fields(carrier))

    def embed(self, carrier: Carrier, payload: bytes, key: bytes) -> NDArray[np.int32]:
        """Return the marked samples, every one inside its bounds.

        :raises DoesNotFitError: the carrier cannot hold the payload.
        """
        later: list[tuple[_Field, Plan]] = []
        for field in self._fields(carrier):
            for amplitude in range(1, self._amplitude + 1):
                for plan in plans(self._rooms(field, amplitude), len(payload), amplitude):
                    if plan.spare < WORTH:
                        later.append((field, plan))
                    elif (marked := self._try(field, plan, payload, key, WORTH)) is not None:
                        return marked
        for field, plan in later:
            if (marked := self._try(field, plan, payload, key, 0)) is not None:
                return marked
        raise DoesNotFitError(
            f"the image cannot carry {len(payload)} bytes",
            hint="the route's unsealable rule decides; a shorter payload or logo may fit",
        )

    def extract(self, carrier: Carrier, key: bytes) -> Extraction:
        """Read the mark and take it out again.

        Without enough intact tiles the payload is None, and it is not known
        which tiles never carried anything: ``altered`` then names all that do
        not prove themselves.

        :raises UnmarkedError: there is no mark under this key.
        """
        for field in _fields(carrier):
            found = self._find(field, key)
            if found is not None:
                return _conclude(field, found)
        raise UnmarkedError("no tile carries a mark under this key")

    def _fields(self, carrier: Carrier) -> list[_Field]:
        fields = list(_fields(carrier))
        return fields[-1:] if self._whole else fields

    def _rooms(self, field: _Field, amplitude: int) -> list[int]:
        return [
            self._kernel.room(field.patch(index), amplitude)
            for index in range(len(field.grid.tiles))
        ]

    def _try(
        self, field: _Field, plan: Plan, payload: bytes, key: bytes, spare: int
    ) -> NDArray[np.int32] | None:
        """Mark every tile that can carry; the others are void, and the frame says so.

        None if then less than ``spare`` of the tiles, in a thousand, could be lost.

        Which tiles are void changes the frame and so every shard: this is
        repeated until the voids stay, and ends, since they only become more.
        """
        framer = Framer(field.grid, plan.size, key)
        voids = set(plan.voids)
        while True:
            k = needed(framer.count, len(voids), len(payload), framer.size)
            live = min(len(pool - voids) for pool in framer.pools)
            if live < k or (live - k) * 1000 < spare * live:
                return None
            order = tuple(sorted(voids))
            frame = Frame(k, order, framer.void_tag(field.samples, order), payload)
            marked = field.samples.copy()
            failed = set()
            for index, shard in framer.shards(frame).items():
                patch = field.patch(index)
                data = framer.tag(index, shard, patch.samples) + shard
                hidden = self._kernel.hide(patch, data, plan.amplitude)
                if hidden is None:
                    failed.add(index)
                else:
                    field.grid.tiles[index].of(marked)[...] = hidden
            if not failed:
                return marked
            voids |= failed

    def _find(self, field: _Field, key: bytes) -> _Found | None:
        """Return the tiles that prove themselves; of several lengths, the commonest."""
        found: dict[int, _Found] = {}
        for index in range(len(field.grid.tiles)):
            revealed = self._kernel.reveal(field.patch(index))
            if revealed is None:
                continue
            data, original = revealed
            tag, shard = data[:TAG_BYTES], data[TAG_BYTES:]
            size = len(shard)
            framer = found[size].framer if size in found else Framer(field.grid, size, key)
            if hmac.compare_digest(tag, framer.tag(index, shard, original)):
                here = found.setdefault(size, _Found(framer, {}, {}))
                here.shards[index] = shard
                here.originals[index] = original
        return max(found.values(), key=lambda found: len(found.shards), default=None)


def _fields(carrier: Carrier) -> Iterator[_Field]:
    low, high = intervals(carrier)
    rows, columns = carrier.samples.shape
    for grid in grids(rows, columns, carrier.frame_rows):
        yield _Field(grid, carrier.samples, low, high)


def _conclude(field: _Field, found: _Found) -> Extraction:
    """Join what the tiles carry, and tell which are not as they were marked."""
    samples = field.samples.copy()
    everything = frozenset(range(len(field.grid.tiles)))
    joined = found.framer.join(found.shards)
    frame, strange = joined if joined is not None else (None, frozenset[int]())
    for index in found.originals.keys() - strange:
        field.grid.tiles[index].of(samples)[...] = found.originals[index]
    altered = everything - found.originals.keys() | strange
    unplaced = True
    if frame is not None:
        altered -= frozenset(frame.voids)
        unplaced = found.framer.void_tag(samples, frame.voids) != frame.void_tag
        if unplaced and len(frame.voids) == 1:
            altered, unplaced = altered | set(frame.voids), False
    tiles = field.grid.tiles
    return Extraction(
        payload=frame.payload if frame is not None else None,
        samples=samples,
        altered=tuple(region for i in sorted(altered) for region in field.grid.regions(tiles[i])),
        unplaced=unplaced,
        tiles=len(tiles),
    )


def _kernel(name: str) -> Kernel:
    if name in {"numpy", "auto"}:
        return NumpyKernel()
    raise ValueError(f"no kernel is called {name!r}")
