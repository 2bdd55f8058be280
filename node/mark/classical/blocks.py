"""Blocks of 8 x 8 samples, and which of them can carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

EDGE = 8
FLAT = 1.0
"""A block whose samples differ by no more says nothing: air, padding, a drawn background."""


def count(rows: int, columns: int) -> int:
    """Return how many whole blocks a frame has."""
    return (rows // EDGE) * (columns // EDGE)


def cut(frame: Floats) -> Floats:
    """Return the whole blocks of a frame: shape (n, EDGE, EDGE)."""
    rows, columns = frame.shape[0] // EDGE, frame.shape[1] // EDGE
    whole = frame[: rows * EDGE, : columns * EDGE].reshape(rows, EDGE, columns, EDGE)
    return whole.swapaxes(1, 2).reshape(-1, EDGE, EDGE)


def joined(frame: Floats, blocks: Floats) -> Floats:
    """Return the frame with other blocks."""
    rows, columns = frame.shape[0] // EDGE, frame.shape[1] // EDGE
    whole = blocks.reshape(rows, columns, EDGE, EDGE).swapaxes(1, 2)
    result = frame.copy()
    result[: rows * EDGE, : columns * EDGE] = whole.reshape(rows * EDGE, columns * EDGE)
    return result


def live(frame: Floats, still: Flags) -> Flags:
    """Return which blocks can carry: none of their samples is bound to stay, and they differ."""
    parts = cut(frame).reshape(-1, EDGE * EDGE)
    bound = cut(still.astype(frame.dtype)).any(axis=(1, 2))
    differs: Flags = np.ptp(parts, axis=1) > FLAT
    return differs & ~bound
