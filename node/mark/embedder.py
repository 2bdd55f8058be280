"""The reversible tiled mark, ``tiles-1``, behind the seam of :mod:`node.mark.base`.

Format: docs/formats/mark-v1.md.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from node.errors import DoesNotFitError, UnmarkedError
from node.mark.base import Traits
from node.mark.bounds import limits
from node.mark.digests import Digests
from node.mark.framing import Frame, Framer, needed
from node.mark.planning import AMPLE, WORTH, Plan, first, plans, room
from node.mark.reversible import NumpyKernel
from node.mark.settings import AMPLITUDES, TAG_BYTES
from node.mark.tiles import Field, grids
from node.types import Extraction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from node.types import Carrier

MOST = 8
"""The largest change that the format can make."""

USUAL = 4
"""Larger changes are tried only where nothing else carries the payload."""

SPARE = 24
"""Bytes that a capacity holds back, beside a part of it: payloads differ in what they need."""


class Kernel(Protocol):
    """Hides data in the tiles of one field; all kernels give the same samples."""

    name: str

    def __init__(self, field: Field) -> None: ...

    def rooms(self, amplitude: int) -> list[int]:
        """Return about how many bytes fit in each tile, tags included."""
        ...

    def choose(self, size: int, amplitude: int) -> tuple[list[int], set[int]]:
        """Return for each tile the header that should carry a shard at least harm, or -1.

        And the tiles for which that is doubtful.
        """
        ...

    def rank(self, tiles: Iterable[int], size: int, amplitude: int) -> dict[int, list[int]]:
        """Return for some tiles the headers worth trying, the best first."""
        ...

    def hide(self, data: Mapping[int, tuple[int, bytes]], marked: NDArray[np.int32]) -> set[int]:
        """Write tiles, by header and data, into ``marked``; return those that are too full."""
        ...

    def reveal(self) -> tuple[NDArray[np.int32], dict[int, tuple[int, bytes]]]:
        """Return the samples before, and header and data of each tile; proves nothing."""
        ...


@dataclass(frozen=True, slots=True)
class _Found:
    """The tiles of one grid that prove themselves, all with shards of one length.

    :param samples: of the whole carrier; in these tiles the original.
    """

    framer: Framer
    shards: dict[int, bytes]
    samples: NDArray[np.int32]


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
    traits = Traits(reversible=True, localises=True, robust=False)

    def __init__(self, *, amplitude: int = MOST, kernel: str = "auto", whole: bool = False) -> None:
        if not 1 <= amplitude <= MOST:
            raise ValueError(f"amplitude is 1 to {MOST}")
        self._amplitude = amplitude
        self._kernel = _kernel(kernel)
        self._whole = whole

    def capacity(self, carrier: Carrier) -> int:
        """Return how many payload bytes surely fit (0 for none), with usual changes.

        Tried out with test data, so it costs as much as some embeddings.
        """
        most = min(self._amplitude, USUAL)
        size = max(room(self._kernel.rooms(field, most)) for field in self._fields(carrier))
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

    def _mark(
        self, carrier: Carrier, payload: bytes, key: bytes, most: int
    ) -> NDArray[np.int32] | None:
        """Try one plan after the other: first those that change least and survive most."""
        fields = self._fields(carrier)
        plan = first(len(fields[0].grid.tiles), len(payload))
        least = AMPLE if len(fields) > 1 else 0
        if (marked := self._try(fields[0], plan, payload, key, least)) is not None:
            return marked
        allowed = [a for a in AMPLITUDES if a <= most]
        for amplitudes in ([a for a in allowed if a <= USUAL], [a for a in allowed if a > USUAL]):
            if (marked := self._search(fields, amplitudes, payload, key)) is not None:
                return marked
        return None

    def _search(
        self, fields: Sequence[Field], amplitudes: Sequence[int], payload: bytes, key: bytes
    ) -> NDArray[np.int32] | None:
        """Try the plans for some amplitudes: those with tiles to spare first."""
        later: list[tuple[Field, Plan]] = []
        for field in fields:
            for amplitude in amplitudes:
                rooms = self._kernel.rooms(field, amplitude)
                for plan in plans(rooms, len(payload), amplitude):
                    if plan.spare < WORTH:
                        later.append((field, plan))
                    elif (marked := self._try(field, plan, payload, key, WORTH)) is not None:
                        return marked
        for field, plan in later:
            if (marked := self._try(field, plan, payload, key, 0)) is not None:
                return marked
        return None

    def _carries(self, carrier: Carrier, size: int) -> bool:
        test = hashlib.sha256(size.to_bytes(4, "big")).digest() * (size // 32 + 1)
        most = min(self._amplitude, USUAL)
        return self._mark(carrier, test[:size], bytes(32), most) is not None

    def _fields(self, carrier: Carrier) -> list[Field]:
        fields = list(_fields(carrier))
        return fields[-1:] if self._whole else fields

    def _try(
        self, field: Field, plan: Plan, payload: bytes, key: bytes, spare: int
    ) -> NDArray[np.int32] | None:
        """Mark every tile that can carry; the others are void, and the frame says so.

        None if then less than ``spare`` of the tiles, in a thousand, could be lost.

        Which tiles are void changes the frame and so every shard: this is
        repeated until the voids stay, and ends, since they only become more.
        """
        framer = Framer(field.grid, plan.size, key)
        originals = Digests(field.grid, field.samples, key)
        headers = dict(enumerate(self._kernel.choose(field, plan.size, plan.amplitude)))
        voids = {index for index, header in headers.items() if header < 0}
        while True:
            k = needed(framer.count, len(voids), len(payload), framer.size)
            live = framer.live(voids)
            if live < k or (live - k) * 1000 < spare * live:
                return None
            order = tuple(sorted(voids))
            frame = Frame(k, order, framer.void_proof(originals, order), payload)
            shards = framer.shards(frame)
            marked = field.samples.copy()
            todo = {i: (headers[i], shard) for i, shard in shards.items()}
            failed = self._write(field, framer, originals, todo, marked)
            ranked = self._kernel.rank(field, failed, plan.size, plan.amplitude) if failed else {}
            for turn in range(1, max(map(len, ranked.values()), default=0)):
                todo = {i: (ranked[i][turn], shards[i]) for i in failed if turn < len(ranked[i])}
                failed -= todo.keys()
                failed |= self._write(field, framer, originals, todo, marked)
            if not failed:
                return marked
            voids |= failed

    def _write(
        self,
        field: Field,
        framer: Framer,
        originals: Digests,
        todo: Mapping[int, tuple[int, bytes]],
        marked: NDArray[np.int32],
    ) -> set[int]:
        """Write tiles, by header and shard, into ``marked``; return those that are too full."""
        data = {
            index: (header, framer.tag(index, header, shard, originals) + shard)
            for index, (header, shard) in todo.items()
        }
        return self._kernel.hide(field, data, marked) if data else set()

    def _find(self, field: Field, key: bytes) -> _Found | None:
        """Return the tiles that prove themselves; of several lengths, the commonest."""
        samples, revealed = self._kernel.reveal(field)
        originals = Digests(field.grid, samples, key)
        found: dict[int, _Found] = {}
        for index, (header, data) in revealed.items():
            tag, shard = data[:TAG_BYTES], data[TAG_BYTES:]
            size = len(shard)
            framer = found[size].framer if size in found else Framer(field.grid, size, key)
            if hmac.compare_digest(tag, framer.tag(index, header, shard, originals)):
                found.setdefault(size, _Found(framer, {}, samples)).shards[index] = shard
        return max(found.values(), key=lambda found: len(found.shards), default=None)


def _fields(carrier: Carrier) -> Iterator[Field]:
    low, high = limits(carrier)
    rows, columns = carrier.samples.shape
    for grid in grids(rows, columns, carrier.frame_rows):
        yield Field(grid, carrier.samples, low, high)


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
        doubted, unplaced = found.framer.doubted(Digests(field.grid, samples, key), frame)
        altered |= doubted
    tiles = field.grid.tiles
    return Extraction(
        payload=frame.payload if frame is not None else None,
        samples=samples,
        altered=tuple(region for i in sorted(altered) for region in field.grid.regions(tiles[i])),
        unplaced=unplaced,
        tiles=len(tiles),
    )


def _kernel(name: str) -> Kernel:
    if name == "numpy" or (name == "auto" and find_spec("numba") is None):
        return NumpyKernel()
    if name in {"numba", "auto"}:
        from node.mark.fast import NumbaKernel  # noqa: PLC0415 - an extra that may be absent

        return NumbaKernel()
    raise ValueError(f"no kernel is called {name!r}")
