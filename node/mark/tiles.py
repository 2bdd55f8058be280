"""The grid: every sample belongs to exactly one tile."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from node.mark.bounds import settle
from node.types import Region

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from node.types import Carrier

Width = TypeVar("Width", bound=np.generic)

EDGE = 64
"""Edge of a tile, in samples, doubled above :data:`BIG` samples."""

BIG = 1 << 21
"""2 MP."""

COARSER = 4
"""Edges of the middle grid, in edges of the fine one."""

ALONE = 128 * 128
"""Frames, and carriers, of at most this many samples are not cut."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the carrier, in samples."""

    row: int
    column: int
    rows: int
    columns: int

    def of(self, samples: NDArray[Width]) -> NDArray[Width]:
        """Return the view of this tile in ``samples``."""
        return samples[self.row : self.row + self.rows, self.column : self.column + self.columns]


@dataclass(frozen=True, slots=True)
class Patch:
    """The samples of one tile and how far each may move (:func:`node.mark.bounds.settle`)."""

    samples: NDArray[np.int32]
    low: NDArray[np.int32]
    high: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Grid:
    """How a carrier is cut.

    :param shape: rows (of all frames) and columns.
    :param frame_rows: rows of one frame.
    """

    shape: tuple[int, int]
    frame_rows: int
    tiles: tuple[Tile, ...]

    def middle(self) -> int:
        """Return the tile that holds the middle sample."""
        row, column = self.shape[0] // 2, self.shape[1] // 2
        return next(
            index
            for index, tile in enumerate(self.tiles)
            if 0 <= row - tile.row < tile.rows and 0 <= column - tile.column < tile.columns
        )

    def regions(self, tile: Tile) -> Iterator[Region]:
        """Yield the tile as regions of single frames."""
        row, end = tile.row, tile.row + tile.rows
        while row < end:
            frame, inside = divmod(row, self.frame_rows)
            rows = min(end - row, self.frame_rows - inside)
            yield Region(frame, inside, tile.column, rows, tile.columns)
            row += rows


@dataclass(frozen=True)
class Field:
    """A carrier that was cut, with its limits (:func:`node.mark.bounds.limits`).

    :param carrier: which one, if it is at hand.
    """

    grid: Grid
    samples: NDArray[np.int32]
    low: NDArray[np.int32]
    high: NDArray[np.int32]
    carrier: Carrier | None = None

    @cached_property
    def ends(self) -> tuple[int, int]:
        """The least and the largest sample."""
        if self.carrier is not None and self.carrier.samples is self.samples:
            return self.carrier.ends
        return int(self.samples.min()), int(self.samples.max())

    def patch(self, index: int) -> Patch:
        """Return the part of one tile."""
        tile, shape = self.grid.tiles[index], self.samples.shape
        low, high = (tile.of(np.broadcast_to(bound, shape)) for bound in (self.low, self.high))
        samples = tile.of(self.samples)
        return Patch(samples, *settle(samples, low, high))


@lru_cache(maxsize=64)
def grids(rows: int, columns: int, frame_rows: int) -> tuple[Grid, ...]:
    """Return the ways to cut a carrier, by its geometry alone, finest first.

    Tiles restart at each frame, unless frames are so small that they make one
    tall image. The last way is one tile, but not for big carriers. The tiles
    of a grid are as equal as whole samples allow.

    :raises ValueError: the carrier is not made of whole frames.
    """
    if rows < 1 or columns < 1 or frame_rows < 1 or rows % frame_rows:
        raise ValueError("a carrier has at least one frame, and whole ones only")
    size = rows * columns
    tall = rows if frame_rows * columns <= ALONE else frame_rows
    edge = EDGE if size <= BIG else 2 * EDGE
    cuts = [_cut(rows, columns, tall, size) for size in (edge, COARSER * edge)]
    if size <= BIG:
        cuts.append((Tile(0, 0, rows, columns),))
    if size <= ALONE:
        cuts = cuts[-1:]
    return tuple(Grid((rows, columns), frame_rows, tiles) for tiles in dict.fromkeys(cuts))


def _cut(rows: int, columns: int, tall: int, edge: int) -> tuple[Tile, ...]:
    # A strip narrower than the edge is cut into tiles of the usual area.
    return tuple(
        Tile(frame + top, left, bottom - top, right - left)
        for frame in range(0, rows, tall)
        for top, bottom in _parts(tall, edge * edge // min(columns, edge))
        for left, right in _parts(columns, edge * edge // min(tall, edge))
    )


def _parts(length: int, edge: int) -> list[tuple[int, int]]:
    """Cut a length into parts of about ``edge``, equal to within one."""
    count = max(1, (length + edge // 2) // edge)
    cuts = [length * part // count for part in range(count + 1)]
    return list(pairwise(cuts))
