"""A logo that everybody sees, in rows of its own below each frame: it covers nothing of the image.

The rows are part of the sealed object: Rows says so, the mark proves them like
all others, and restoring cuts them off. Rows are added at the end, so that
nothing in the header that names a place in the image comes to mean another.
Format: docs/formats/object-v1.md. Why so: docs/decisions/0307-visible-margin.md.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from node.dicom import undo
from node.dicom.elements import element_bytes
from node.dicom.marked import ROWS
from node.dicom.native import Plane, facts_of
from node.dicom.reader import encoding_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.dicom.pixels import Pixels
    from node.dicom.reader import DicomObject

TOTAL_ROWS = 0x00480007
OVERLAY_BIT = 0x0102
PART = 8
"""The logo is about so small a part of the shorter side, at the right."""

GAP = 64
"""Beside the logo so small a part is left free."""

TALLEST = 2
"""The margin is at most such a part of the rows."""

LARGEST = 0xFFFF
COUNTED = frozenset({"PT", "NM", "RTDOSE", "SEG"})
"""Modalities whose samples software adds up, wherever they stand."""


def add(pixels: Pixels, ink: NDArray[np.bool_]) -> Pixels | None:
    """Return the image with a logo in a margin below each frame.

    :param ink: shape (rows, columns), true for ink.
    :returns: None where there can be no margin: software counts the samples
        (:data:`COUNTED`) or places frames by their rows (whole slides,
        mosaics), an overlay lies in the pixels, or the image is too small,
        too tall, or all of one brightness.
    """
    facts = pixels.facts
    drawn = _drawn(ink, facts.rows, facts.columns)
    tones = _tones(pixels)
    total = facts.rows + len(drawn)
    if tones is None or len(drawn) * TALLEST > facts.rows or total > LARGEST or _fixed(pixels.obj):
        return None
    samples = np.where(drawn, tones[1], tones[0]).astype(np.int32)
    strip = np.zeros((facts.frames, *samples.shape, facts.samples_per_pixel), facts.dtype)
    grey = Plane(strip[..., 0], facts).with_samples(np.broadcast_to(samples, strip.shape[:3]))
    if facts.photometric.startswith("YBR"):
        strip[..., 0], strip[..., 1:] = grey, 1 << (facts.bits_stored - 1)
    else:
        strip[:] = grey[..., None]
    return pixels.with_words(np.concatenate([pixels.words, strip], axis=1))


def cut(pixels: Pixels, rows: int) -> Pixels:
    """Return the image without what lies below ``rows`` in each frame."""
    return pixels if pixels.facts.rows == rows else pixels.with_words(pixels.words[:, :rows])


def elements(pixels: Pixels) -> dict[int, bytes | None]:
    """Return what an image with a margin changes in the header of its object."""
    obj, rows = pixels.obj, pixels.facts.rows
    if facts_of(obj).rows == rows:
        return {}
    value = struct.pack(obj.encoding.order + "H", rows)
    return {ROWS: element_bytes(ROWS, "US", value, obj.encoding)}


def rows_before(undo_data: bytes) -> int | None:
    """Return the rows that an image had before it was sealed; None if they are still so many.

    :raises UnreadableError: the undo data are damaged (code ``undo``).
    """
    was = undo.unpack(undo_data)
    raw = was.elements.get(ROWS)
    if not isinstance(raw, bytes):
        return None
    order = encoding_of(was.transfer_syntax_uid).order
    return int(struct.unpack(order + "H", raw[-2:])[0])


def _drawn(ink: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the margin; its rows are even, and so Pixel Data needs padding as much as before."""
    shorter = min(rows, columns)
    scale, gap = max(1, shorter // (PART * max(ink.shape))), max(2, shorter // GAP)
    logo = np.repeat(np.repeat(ink, scale, axis=0), scale, axis=1)[:, :columns]
    height = (len(logo) + 2 * gap + 1) // 2 * 2
    drawn = np.zeros((height, columns), np.bool_)
    left = max(0, columns - gap - logo.shape[1])
    drawn[gap : gap + len(logo), left : left + logo.shape[1]] = logo
    return drawn


def _tones(pixels: Pixels) -> tuple[int, int] | None:
    """Return the samples for paper and ink: the ends of what the image shows, no new extremes."""
    seen = pixels.carrier.samples
    if pixels.carrier.padding is not None:
        first, last = pixels.carrier.padding
        seen = seen[(seen < first) | (seen > last)]
    if not seen.size:
        return None
    least, most = int(seen.min()), int(seen.max())
    low, high = pixels.window or (least, most)
    paper, ink = (int(np.clip(end, least, most)) for end in (low, high))
    return (paper, ink) if paper < ink else None


def _fixed(obj: DicomObject) -> bool:
    """Whether something in the header depends on how many rows there are."""
    counted = obj.text("Modality") in COUNTED or "MOSAIC" in obj.texts("ImageType")
    inside = (
        tag >> 24 == 0x60 and tag & 0xFFFF == OVERLAY_BIT and any(obj.raw(tag) or b"")  # noqa: PLR2004
        for tag in obj.index
    )
    return counted or TOTAL_ROWS in obj.index or any(inside)
