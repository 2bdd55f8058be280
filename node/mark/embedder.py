"""The reversible tiled mark, ``tiles-1``, behind the seam of :mod:`node.mark.base`.

Format: docs/formats/mark-v1.md.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from node.errors import DoesNotFitError, UnmarkedError
from node.mark.base import Traits
from node.mark.bounds import limits
from node.mark.digests import Digests
from node.mark.framing import TILES_1, Dialect, Framer
from node.mark.planning import AMPLE, WORTH, Plan, first, plans, room
from node.mark.reversible import NumpyKernel
from node.mark.settings import AMPLITUDES, TAG_BYTES
from node.mark.tiles import Field, grids
from node.mark.writing import Writer
from node.types import Extraction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from node.mark.base import Kernel
    from node.types import Carrier

MOST = 8
"""The largest change that the format can make."""

USUAL = 4
"""Larger changes are tried only where nothing else carries the payload."""

SPARE = 24
"""Bytes that a capacity holds back, beside a part of it: payloads differ in what they need."""


@dataclass(frozen=True, slots=True)
class _Found:
    """The tiles of one grid that prove themselves, all with shards of one length.

    :param samples: of the whole carrier; in these tiles the original.
    :param label: of digests.
    """

    framer: Framer
    shards: dict[int, bytes]
    samples: NDArray[np.int32]
    label: bytes


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
    dialect: Dialect = TILES_1
    traits = Traits(reversible=True, localises=True, robust=False)

    def __init__(self, *, amplitude: int = MOST, kernel: str = "auto", whole: bool = False) -> None:
        if not 1 <= amplitude <= MOST:
            raise ValueError(f"amplitude is 1 to {MOST}")
        self._amplitude = amplitude
        self._kernel = self._choose(kernel)
        self._whole = whole

    def capacity(self, carrier: Carrier) -> int:
        """Return how many payload bytes surely fit (0 for none), with usual changes.

        Tried out with test data, so it costs as much as some embeddings.
        """
        most = min(self._amplitude, USUAL)
        size = max(room(self._kernel(field).rooms(most)) for field in self._fields(carrier))
        while size > SPARE:
            promise = max(0, size - size // 8 - SPARE)
            if self._carries(carrier, size) and self._carries(carrier, promise):
                return promise
            size -= size // 8 + 1
        return 0

    def embed(self, carrier: Carrier, payload: bytes, key: bytes) -> NDArray[np.int32]:
        """Return the marked samples, every one inside its bounds.

        :raises DoesNotFitError: the carrier cannot hold the payload.
        """
        marked = self._mark(carrier, payload, key, self._amplitude)
        if marked is None:
            raise DoesNotFitError(
                f"the image cannot carry {len(payload)} bytes",
                hint="the route's unsealable rule decides; a shorter payload or logo may fit",
            )
        return marked

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
                return _conclude(field, found, key)
        raise UnmarkedError("no tile carries a mark under this key")

    def _choose(self, kernel: str) -> Callable[[Field], Kernel]:
        """Return what makes the kernel of a name."""
        return _kernel(kernel)

    def _mark(
        self, carrier: Carrier, payload: bytes, key: bytes, most: int
    ) -> NDArray[np.int32] | None:
        """Try one plan after the other: first those that change least and survive most."""
        fields = self._fields(carrier)
        writers = [Writer(field, self._kernel, payload, key, self.dialect) for field in fields]
        plan = first(writers[0].tiles, len(payload))
        least = AMPLE if len(writers) > 1 else 0
        if (marked := writers[0].write(plan, least)) is not None:
            return marked
        allowed = [a for a in AMPLITUDES if a <= most]
        for amplitudes in ([a for a in allowed if a <= USUAL], [a for a in allowed if a > USUAL]):
            if (marked := _search(writers, amplitudes, len(payload))) is not None:
                return marked
        return None

    def _carries(self, carrier: Carrier, size: int) -> bool:
        test = hashlib.sha256(size.to_bytes(4, "big")).digest() * (size // 32 + 1)
        most = min(self._amplitude, USUAL)
        return self._mark(carrier, test[:size], bytes(32), most) is not None

    def _fields(self, carrier: Carrier) -> list[Field]:
        fields = list(_fields(carrier))
        return fields[-1:] if self._whole else fields

    def _find(self, field: Field, key: bytes) -> _Found | None:
        """Return the tiles that prove themselves; of several lengths, the commonest."""
        samples, revealed = self._kernel(field).reveal()
        least, most = field.ends
        ends, label = (least - MOST, most + MOST), self.dialect.digest
        originals = Digests(field.grid, samples, key, ends, label=label)
        sizes: dict[int, list[tuple[int, int, bytes, bytes]]] = {}
        for index, (header, data) in revealed.items():
            read = index, header, data[TAG_BYTES:], data[:TAG_BYTES]
            sizes.setdefault(len(data) - TAG_BYTES, []).append(read)
        found = []
        for size, tiles in sizes.items():
            framer = Framer(field.grid, size, key, self.dialect)
            tags = framer.tags((tile[:3] for tile in tiles), originals)
            proven = {
                index: shard
                for (index, _, shard, read), tag in zip(tiles, tags, strict=True)
                if hmac.compare_digest(read, tag)
            }
            if proven:
                found.append(_Found(framer, proven, samples, self.dialect.digest))
        return max(found, key=lambda found: len(found.shards), default=None)


def _search(
    writers: Sequence[Writer], amplitudes: Sequence[int], length: int
) -> NDArray[np.int32] | None:
    """Try the plans for some amplitudes: those with tiles to spare first."""
    later: list[tuple[Writer, Plan]] = []
    for writer in writers:
        for amplitude in amplitudes:
            for plan in plans(writer.rooms(amplitude), length, amplitude):
                if plan.spare < WORTH:
                    later.append((writer, plan))
                elif (marked := writer.write(plan, WORTH)) is not None:
                    return marked
    for writer, plan in later:
        if (marked := writer.write(plan, 0)) is not None:
            return marked
    return None


def _fields(carrier: Carrier) -> Iterator[Field]:
    low, high = limits(carrier)
    rows, columns = carrier.samples.shape
    for grid in grids(rows, columns, carrier.frame_rows):
        yield Field(grid, carrier.samples, low, high, carrier)


def _conclude(field: Field, found: _Found, key: bytes) -> Extraction:
    """Join what the tiles carry, and tell which are not as they were marked."""
    samples = found.samples
    everything = frozenset(range(len(field.grid.tiles)))
    joined = found.framer.join(found.shards)
    frame, strange = joined if joined is not None else (None, frozenset[int]())
    altered = everything - found.shards.keys() | strange
    for index in altered:  # what was taken out of these is noise
        tile = field.grid.tiles[index]
        tile.of(samples)[...] = tile.of(field.samples)
    unplaced = True
    if frame is not None:
        altered -= frozenset(frame.voids)
        doubted, unplaced = found.framer.doubted(
            Digests(field.grid, samples, key, label=found.label), frame
        )
        altered |= doubted
    tiles = field.grid.tiles
    return Extraction(
        payload=frame.payload if frame is not None else None,
        samples=samples,
        altered=tuple(region for i in sorted(altered) for region in field.grid.regions(tiles[i])),
        unplaced=unplaced,
        tiles=len(tiles),
    )


def _kernel(name: str) -> type[Kernel]:
    if name == "numpy" or (name == "auto" and find_spec("numba") is None):
        return NumpyKernel
    if name in {"numba", "auto"}:
        from node.mark.fast import NumbaKernel  # noqa: PLC0415 - an extra that may be absent

        return NumbaKernel
    raise ValueError(f"no kernel is called {name!r}")
