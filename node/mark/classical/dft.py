"""Magnitudes of the Fourier transform of a whole frame, in a ring of middle frequencies.

A cyclic shift of the frame leaves them as they are. After O'Ruanaidh, Dowling
and Boland, "Phase watermarking" (1996) and Solachidis and Pitas, "Circularly
symmetric watermark embedding in 2-D DFT domain" (2001), who add to the ring;
here it is quantised (:mod:`node.mark.classical.qim`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from node.mark.classical.qim import QuantisingEmbedder

if TYPE_CHECKING:
    from node.mark.classical.qim import Flags, Floats

INNER, OUTER = 0.06, 0.2
"""Radius of the ring, in cycles per sample."""


@lru_cache(maxsize=4)
def ring(rows: int, columns: int) -> Flags:
    """Return where in the half spectrum the numbers lie; none of them is another's conjugate."""
    down, across = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :]
    radius = np.hypot(down, across)
    found: Flags = (radius >= INNER) & (radius <= OUTER) & (across > 0)
    return found


class FourierRing:
    """Numbers: the magnitudes in the ring, of the orthonormal transform."""

    name = "dft"
    strength = 16.0

    def slots(self, rows: int, columns: int) -> int:
        """Return how many numbers a frame has."""
        return int(ring(rows, columns).sum())

    def read(self, frame: Floats) -> Floats:
        """Return the numbers of a frame."""
        found: Floats = np.abs(np.fft.rfft2(frame, norm="ortho")[ring(*frame.shape)])
        return found

    def write(self, frame: Floats, values: Floats) -> Floats:
        """Return the frame with other numbers, their phases kept."""
        spectrum = np.fft.rfft2(frame, norm="ortho")
        where = ring(*frame.shape)
        spectrum[where] = values * np.exp(1j * np.angle(spectrum[where]))
        changed: Floats = np.fft.irfft2(spectrum, s=frame.shape, norm="ortho")
        return changed

    def live(self, frame: Floats, still: Flags) -> Flags:
        """Return which numbers can carry: all, if most samples may move and they differ."""
        able = bool(frame.size) and 2 * int(still.sum()) < frame.size and np.ptp(frame) > 1
        return np.full(self.slots(*frame.shape), able)


class FourierEmbedder(QuantisingEmbedder):
    """The method ``dft``."""

    def __init__(self, *, strength: float = 0.0) -> None:
        super().__init__(FourierRing(), strength=strength)
