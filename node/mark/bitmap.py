"""The hospital's logo as a small bitmap, carried robustly where there is picture enough.

It lies in the slots of the robust message, under it, in another order: to each
the other is noise, and the message, added last, makes up for it. The bitmap has
no code: a few wrong dots do no harm to a drawing.
Format: docs/formats/robust-v1.md, section 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from node.mark import logo, pattern
from node.mark.pattern import DETAILS, Layout, details, deviations, evidence, words
from node.mark.strength import Aims

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.pattern import Floats
    from node.types import Carrier

SIDE = 32
BITS = SIDE * SIDE
BYTES = BITS // 8
SCALE = 8

EDGE = 3 * pattern.EDGE
"""Cells along the edge of a tile: as much as three tiles of the message."""

PILOTS, REPEATED = 64, 4
AIMS = Aims(display=(46.0, 44.0, 42.0), least=0.8, clear=0.85, enough=0.87)
"""A correlation of 0.85 is one wrong dot in twenty."""

SURE = 5.0
"""Deviations by which the pilots must stand out; of nine places by chance once in 10^6."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A bitmap that was read.

    :param dots: 128 bytes, row by row, the first column in the highest bit.
    :param score: deviations by which its pilots stand out.
    """

    dots: bytes
    score: float

    @property
    def ink(self) -> NDArray[np.bool_]:
        """The dots, true for ink: shape (SIDE, SIDE)."""
        return np.unpackbits(np.frombuffer(self.dots, np.uint8)).reshape(SIDE, SIDE) > 0


def draw(packed: bytes) -> bytes:
    """Return a packed logo as 128 bytes: as large as fits, in the middle.

    :raises UnreadableError: the bytes are no packed logo.
    """
    ink = logo.decode(packed)
    picture = Image.fromarray(np.where(ink, 255, 0).astype(np.uint8))
    scale = SIDE / max(ink.shape)
    size = max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale))
    sheet = Image.new("L", (SIDE, SIDE))
    place = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    sheet.paste(picture.resize(size, Image.Resampling.BOX), place)
    half = 128
    return np.packbits(np.asarray(sheet) >= half).tobytes()


@lru_cache(maxsize=1)
def layout() -> Layout:
    """Return which slot says what: pilots in four slots of a tile each, dots in six or seven."""
    slots = EDGE * EDGE * DETAILS
    order = np.argsort(words(b"bitmap slot", slots), kind="stable")
    group = np.empty(slots, np.intp)
    first = PILOTS * REPEATED
    group[order[:first]] = BITS + np.arange(first) % PILOTS
    group[order[first:]] = np.arange(slots - first) % BITS
    flip = np.where(words(b"bitmap flip", BITS + PILOTS) & 1, -1.0, 1.0)
    return Layout(group.reshape(EDGE, EDGE, DETAILS), flip)


def png(ink: NDArray[np.bool_]) -> bytes:
    """Return a bitmap as a PNG file, drawn eight times as big."""
    picture = Image.fromarray(np.where(ink, 0, 255).astype(np.uint8))
    out = BytesIO()
    picture.resize((SIDE * SCALE, SIDE * SCALE), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


def fits(carrier: Carrier) -> bool:
    """Return whether a frame has room for every dot: a whole tile."""
    rows, columns = carrier.frame_rows, carrier.samples.shape[1]
    tile: int = 2 * pattern.half_edge(rows, columns) * EDGE
    return tile <= rows and tile <= columns


def signs(dots: bytes) -> Floats:
    """Return +1 or -1 for every group; a dot of ink is negative before the flip."""
    said = np.ones(BITS + PILOTS)
    said[:BITS] -= 2.0 * np.unpackbits(np.frombuffer(dots, np.uint8))
    return said * layout().flip


def read(picture: Floats, half: int, *, inverted: bool, cropped: bool) -> Seen | None:
    """Return the bitmap of a picture whose message was found, None if there is none.

    :param picture: brightness, 0 to 255; its first cell begins at the first
        sample, at the corner of a tile of the message.
    :param half: half the edge of the message's cells.
    :param cropped: the picture may begin at any tile.
    """
    if min(picture.shape) < 2 * half:
        return None
    found = details(picture, half)
    said = evidence(found, deviations(picture, half, found))
    if inverted:
        said = -said
    rows, columns = said.shape[:2]
    plan = layout()
    whole = plan.over(rows + EDGE, columns + EDGE)
    starts = range(0, EDGE, pattern.EDGE) if cropped else (0,)
    best: Seen | None = None
    for down in starts:
        for across in starts:
            group = whole[down : down + rows, across : across + columns]
            says = np.bincount(group.ravel(), said.ravel(), len(plan.flip)) * plan.flip
            pilots = says[BITS:]
            size = math.sqrt(float(np.sum(pilots**2)))
            score = float(pilots.sum()) / size if size else 0.0
            if score >= max(SURE, best.score if best else 0.0):
                best = Seen(np.packbits(says[:BITS] < 0).tobytes(), score)
    return best
