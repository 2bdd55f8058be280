"""A coarse copy of an image: a few bytes that show, where it was changed, about what was there.

Samples become 256 levels that are finest inside the VOI window, these a
smaller picture, and that one VP8 key frame (RFC 6386). The copy tells how far
it is from the image, so that whatever differs more was surely changed.
Format: docs/formats/coarse-v1.md.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from node.errors import UnreadableError
from node.mark.tiles import ALONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.int32]
    Levels = NDArray[np.float64]

VERSION = 1
EDGES = (8, 16, 32)
"""Edges of the blocks, in samples, for which the copy says how far it is from the image."""

DENSITY = 256
"""Samples of the image for each byte of the copy."""

MOST = 3072
"""Bytes of the largest copy; more would cost a large image too much."""

THIN = 96
"""Levels for each byte: of a larger picture nothing would be left at that price."""

QUALITIES = (0, 1, 2, 4, 6, 9, 13, 18, 25, 35, 50, 70, 90)
COARSEST = 7
LONGEST = 16383  # edge of a VP8 frame, RFC 6386 9.1
TOP = 255
RIM = 32
"""Levels that each side of the window has."""

_HEAD = struct.Struct(">BB4iBB3B")
_RIFF = struct.Struct("<4sI4s4sI")


@dataclass(frozen=True, slots=True)
class Coarse:
    """A coarse copy.

    :param shape: rows and columns of the image.
    :param shift: one level stands for 2^shift by 2^shift samples.
    :param stops: samples, and the levels that they are shown as; in between, lines.
    :param bounds: for each of EDGES the most levels by which the mean of a
        block differs from that of the image.
    :param levels: float64, whole numbers from 0 to 255.
    """

    shape: tuple[int, int]
    shift: int
    stops: tuple[tuple[int, int], ...]
    bounds: tuple[int, ...]
    levels: Levels

    def samples(self) -> Samples:
        """Return the image as far as the copy shows it, smooth between its levels."""
        size = self.levels.shape[1] << self.shift, self.levels.shape[0] << self.shift
        picture = Image.fromarray(self.levels.astype(np.float32))
        smooth = np.asarray(picture.resize(size, Image.Resampling.BICUBIC), np.float64)
        (_, bottom), *others = self.stops
        rising = dict.fromkeys([bottom], self.stops[0][0])
        for value, level in others:  # of two samples with one level, the inner one
            if level == bottom or level not in rising:
                rising[level] = value
        smooth = smooth[: self.shape[0], : self.shape[1]]
        shown = np.interp(smooth, list(rising), list(rising.values()))
        return np.rint(shown).astype(np.int32)

    def differs(self, found: Samples, moved: int) -> NDArray[np.bool_]:
        """Return which blocks of 8 by 8 samples surely changed.

        :param found: the image as it was found.
        :param moved: how far a mark that is still in it may have moved each sample.
        """
        slopes = [(high[1] - low[1]) / (high[0] - low[0]) for low, high in pairwise(self.stops)]
        slack = 1 + moved * max(slopes)
        now = _shrunk(found, self.stops, self.shift)
        blocks = -(-np.array(self.shape) // EDGES[0])
        finer = np.zeros(blocks, np.bool_)
        for edge, bound in zip(EDGES, self.bounds, strict=True):
            far = np.abs(_means(now - self.levels, edge >> self.shift)) > bound + slack
            times = max(edge, 1 << self.shift) // EDGES[0]
            wide = far.repeat(times, 0).repeat(times, 1)[: blocks[0], : blocks[1]]
            known = _any(finer, times)[: blocks[0], : blocks[1]]
            finer |= wide & ~known
        return finer


def pack(samples: Samples, window: tuple[float, float] | None, share: float = 1.0) -> bytes:
    """Return a coarse copy of an image; empty if none fits.

    :param window: lowest and highest sample that is displayed as such, or None
        for all samples.
    :param share: part of the usual size.
    """
    if samples.size <= ALONE:
        return b""  # one tile: whatever changes it destroys the copy, too
    budget = int(min(MOST, samples.size // DENSITY) * share) - _HEAD.size
    stops = _stops(samples, window)
    for shift in range(COARSEST + 1):
        rows, columns = (-(-size >> shift) for size in samples.shape)
        if max(rows, columns) > LONGEST or rows * columns > budget * THIN:
            continue
        levels = _shrunk(samples, stops, shift)
        frame = _best(np.rint(levels).astype(np.uint8), budget)
        if frame:
            off = levels - _decoded(frame, (rows, columns))
            bounds = [math.ceil(np.abs(_means(off, edge >> shift)).max()) for edge in EDGES]
            values = [value for value, _ in stops]
            return _HEAD.pack(VERSION, shift, *values, stops[1][1], stops[2][1], *bounds) + frame
    return b""


def unpack(data: bytes, shape: tuple[int, int]) -> Coarse:
    """Read the coarse copy of an image of a known shape.

    :raises UnreadableError: it is none.
    """
    if len(data) <= _HEAD.size or data[0] != VERSION or data[1] > COARSEST:
        raise UnreadableError("a coarse copy of an unknown kind", code="coarse")
    _, shift, *numbers = _HEAD.unpack_from(data)
    stops = tuple(zip(numbers[:4], (0, *numbers[4:6], TOP), strict=True))
    if any(low[0] >= high[0] or low[1] > high[1] for low, high in pairwise(stops)):
        raise UnreadableError("the levels of a coarse copy do not rise", code="coarse")
    rows, columns = (-(-size >> shift) for size in shape)
    levels = _decoded(data[_HEAD.size :], (rows, columns))
    return Coarse(shape, shift, stops, tuple(numbers[6:]), levels)


def _stops(samples: Samples, window: tuple[float, float] | None) -> tuple[tuple[int, int], ...]:
    """Return the samples that are shown as 0, as the ends of the window, and as 255."""
    least, most = int(samples.min()), int(samples.max())
    low, high = (least, most) if window is None else (math.floor(window[0]), math.ceil(window[1]))
    low, high = min(max(low, least), most), max(min(high, most), least)
    high = max(high, low + 1)
    first, last = (RIM if low > least else 0), (TOP - RIM if high < most else TOP)
    return (least - 1, 0), (low, first), (high, last), (max(most, high) + 1, TOP)


def _shrunk(samples: Samples, stops: tuple[tuple[int, int], ...], shift: int) -> Levels:
    """Return the mean level of each square of samples; those at the far edges are filled up."""
    values, levels = zip(*stops, strict=True)
    return _means(np.interp(samples, values, levels), 1 << shift)


def _means(levels: Levels, edge: int) -> Levels:
    """Return the mean of each square; where the last ones are cut, their edge goes on."""
    edge = max(edge, 1)
    (rows, columns), (more, wider) = levels.shape, (-size % edge for size in levels.shape)
    if more or wider:
        levels = np.pad(levels, ((0, more), (0, wider)), mode="edge")
    parts = levels.reshape((rows + more) // edge, edge, (columns + wider) // edge, edge)
    means: Levels = parts.mean(axis=(1, 3))
    return means


def _any(blocks: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """Return for each block whether one in its square of ``times`` by ``times`` is set."""
    squares = _means(blocks.astype(np.float64), times) > 0
    return squares.repeat(times, 0).repeat(times, 1)


def _best(picture: NDArray[np.uint8], budget: int) -> bytes:
    """Return the best frame that is no longer than the budget; empty if none is."""
    low, high, best = 0, len(QUALITIES) - 1, b""
    while low <= high:
        middle = (low + high) // 2
        out = BytesIO()
        Image.fromarray(picture).save(out, "WEBP", quality=QUALITIES[middle], method=4)
        frame = out.getvalue()[_RIFF.size :]
        if len(frame) <= budget:
            best, low = frame, middle + 1
        else:
            high = middle - 1
    return best


def _decoded(frame: bytes, shape: tuple[int, int]) -> Levels:
    size = len(frame)
    head = _RIFF.pack(b"RIFF", size + 12, b"WEBP", b"VP8 ", size)
    try:
        with Image.open(BytesIO(head + frame), formats=("WEBP",)) as image:
            if (image.height, image.width) != shape:
                raise UnreadableError("a coarse copy of another image", code="coarse")
            return np.asarray(image.convert("L"), np.float64)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise UnreadableError("a coarse copy is no VP8 frame", code="coarse") from None
