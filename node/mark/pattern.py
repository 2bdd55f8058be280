"""The pattern of the robust layer: what a tile says, and where in the picture.

A picture is cut into square cells of ``2 * half`` samples. Each cell has three
slots, its finest Haar details (horizontal, vertical, diagonal), and ``EDGE x
EDGE`` cells make a tile, repeated over the picture. Format:
docs/formats/robust-v1.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pywt

from node.mark.polar import PolarCode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

Number = TypeVar("Number", np.float64, np.int32)

EDGE = 16
"""Cells along the edge of a tile."""

DETAILS = 3
"""Slots of a cell: horizontal, vertical, diagonal detail, in the order of pywt."""

SLOTS = EDGE * EDGE * DETAILS
WORD = 256
"""Symbols of a word. A message is two words: whose picture it is, and who got it."""

HOSPITAL, RECIPIENT = 12, 8
"""Bytes of the two words; each ends with 4 that only the hospital can make."""

MESSAGE = HOSPITAL + RECIPIENT
CODES = PolarCode(WORD, 8 * HOSPITAL), PolarCode(WORD, 8 * RECIPIENT)

PILOTS = 64
"""Slots of a tile that always say the same."""

GROUPS = 2 * WORD + PILOTS
"""Slots that say one thing make a group: the symbols of both words, then the pilots."""

FINEST = 3
"""The least half edge of a cell: two samples would not survive halving the picture."""

SPAN = 170
"""Half edges along the shorter side of a picture, about."""

CLIP = 3.0
"""Details beyond so many deviations count no more: they are edges of the anatomy."""

ANALYSIS = "rbio1.3"
"""Its synthesis is Haar's detail; its analysis looks at the neighbours, and so sees no slopes."""


def half_edge(rows: int, columns: int) -> int:
    """Return half the edge of a cell for a picture of this size."""
    return max(FINEST, (min(rows, columns) + SPAN // 2) // SPAN)


@dataclass(frozen=True, slots=True)
class Layout:
    """What each slot of a tile says.

    :param group: for each slot its group; shape (EDGE, EDGE, DETAILS), or
        another edge for another layer.
    :param flip: for each group -1 where a 0 is written as a negative detail.
    """

    group: Ints
    flip: Floats

    def over(self, rows: int, columns: int) -> Ints:
        """Return the group of every slot of a picture of rows x columns cells."""
        edge = len(self.group)
        return self.group[np.arange(rows)[:, None] % edge, np.arange(columns)[None, :] % edge]

    def signs(self, message: bytes) -> Floats:
        """Return +1 or -1 for every group.

        :param message: 20 bytes, or 12 for the first word alone: the groups
            of the second are then 0.
        """
        said = np.ones(GROUPS)
        said[:WORD] = symbols(message[:HOSPITAL], 0)
        rest = message[HOSPITAL:]
        said[WORD : 2 * WORD] = symbols(rest, 1) if rest else 0.0
        return said * self.flip


def symbols(word: bytes, which: int) -> Floats:
    """Return the symbols of the first (0) or second (1) word, +1 or -1."""
    bits = np.unpackbits(np.frombuffer(word, np.uint8))
    return np.where(CODES[which].encode(bits), -1.0, 1.0)


@lru_cache(maxsize=1)
def layout() -> Layout:
    """Return the layout of version 1, from SHA-256 alone."""
    order = np.argsort(words(b"slot", SLOTS), kind="stable")
    group = np.empty(SLOTS, np.intp)
    group[order[:PILOTS]] = 2 * WORD + np.arange(PILOTS)
    group[order[PILOTS:]] = np.arange(SLOTS - PILOTS) % (2 * WORD)
    flip = np.where(words(b"flip", GROUPS) & 1, -1.0, 1.0)
    return Layout(group.reshape(EDGE, EDGE, DETAILS), flip)


def words(label: bytes, count: int) -> NDArray[np.uint64]:
    """Return numbers that nobody chose."""
    digests = (
        hashlib.sha256(b"robust-1 " + label + b" " + str(number).encode("ascii")).digest()[:8]
        for number in range(count)
    )
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def spread(levels: NDArray[np.int32], half: int, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return the change of every sample: Haar's synthesis of integer details.

    :param levels: shape (rows, columns, DETAILS) in cells.
    :param shape: of the result; beyond the last whole cell it is 0.
    """
    details = tuple(levels[..., i].astype(np.float64) * 2 for i in range(DETAILS))
    blocks = np.rint(pywt.waverec2([np.zeros(levels.shape[:2]), details], "haar"))
    change = np.zeros(shape, np.int32)
    full = np.repeat(np.repeat(blocks.astype(np.int32), half, axis=0), half, axis=1)
    change[: full.shape[0], : full.shape[1]] = full
    return change


def cells(picture: NDArray[Number], half: int) -> NDArray[Number]:
    """Return the whole cells of a picture: shape (rows, edge, columns, edge)."""
    edge = 2 * half
    rows, columns = picture.shape[0] // edge, picture.shape[1] // edge
    return picture[: rows * edge, : columns * edge].reshape(rows, edge, columns, edge)


def details(picture: Floats, half: int) -> Floats:
    """Return the details of every cell, in units of the picture."""
    rows, edge, columns, _ = cells(picture, half).shape
    means = picture[: rows * edge, : columns * edge]
    means = means.reshape(2 * rows, half, 2 * columns, half).mean(axis=(1, 3))
    found = pywt.dwt2(means, ANALYSIS, mode="periodization")[1]
    return np.stack(found, axis=-1) / 2


def deviations(picture: Floats, half: int, found: Floats) -> Floats:
    """Return how far each detail strays by itself: infinite where nothing can be read.

    A cell that is all one value, or a quarter of it as dark or as bright as
    the picture gets (a border, air, padding, burnt out), says nothing.

    :param found: the details of the picture.
    """
    inside = cells(picture, half)
    dark, bright = picture.min() + 1, picture.max() - 1
    live = (inside <= dark).mean(axis=(1, 3)) < CROWDED
    live &= (inside >= bright).mean(axis=(1, 3)) < CROWDED
    if not live.any():
        return np.full(found.shape, np.inf)
    weight = _neighbours(live.astype(np.float64)) + TINY
    sizes = np.minimum(np.abs(found), LARGEST) * live[..., None]
    means = np.stack([_neighbours(sizes[..., i]) / weight for i in range(DETAILS)], axis=-1)
    strays = means * ABS_TO_RMS
    floor = float(np.percentile(strays[live], 25))
    return np.where(live[..., None], np.sqrt(strays**2 + floor**2 + LEAST**2), np.inf)


CROWDED = 0.25
LARGEST = 30.0
"""Grey levels; one edge must not drown its neighbours."""

ABS_TO_RMS = 1.25
"""From mean size to deviation, for normal values."""

LEAST = 1.0
TINY = 1e-9


def _neighbours(values: Floats) -> Floats:
    """Return the mean over each cell and its eight neighbours; the border repeats."""
    padded = np.pad(values, 1, mode="edge")
    across = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (across[:-2] + across[1:-1] + across[2:]) / 9


def evidence(found: Floats, strays: Floats) -> Floats:
    """Return what each detail says for a positive sign, linear up to ``CLIP`` deviations."""
    bounded = np.clip(found / strays, -CLIP, CLIP)
    return np.where(np.isfinite(strays), bounded / strays, 0.0)
