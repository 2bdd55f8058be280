"""Largest singular values of 4 x 4 blocks of the wavelet approximation (Haar, one level).

After Ganic and Eskicioglu, "Robust DWT-SVD domain image watermarking" (2004),
read without the original as in Bao and Ma, "Image adaptive watermarking using
wavelet domain singular value decomposition" (2005): the value itself is
quantised (:mod:`node.mark.classical.qim`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pywt

from node.mark.classical import blocks
from node.mark.classical.qim import QuantisingEmbedder

if TYPE_CHECKING:
    from node.mark.classical.qim import Flags, Floats

WAVELET = "haar"
EDGE = blocks.EDGE // 2
"""Of a block in the approximation."""


class SingularValues:
    """Numbers: the largest singular value of each block."""

    name = "dwt-svd"
    strength = 40.0

    def slots(self, rows: int, columns: int) -> int:
        """Return how many numbers a frame has."""
        return blocks.count(rows, columns)

    def read(self, frame: Floats) -> Floats:
        """Return the numbers of a frame."""
        sizes = np.linalg.svd(_approximations(frame)[0], compute_uv=False)
        return sizes[:, 0].astype(np.float64)

    def write(self, frame: Floats, values: Floats) -> Floats:
        """Return the frame with other numbers."""
        near, details = _approximations(frame)
        left, sizes, right = np.linalg.svd(near)
        change = (values - sizes[:, 0])[:, None, None] * left[:, :, :1] * right[:, :1, :]
        parts = pywt.idwt2((near + change, details), WAVELET, axes=(1, 2))
        return blocks.joined(frame, parts)

    def live(self, frame: Floats, still: Flags) -> Flags:
        """Return which numbers can carry."""
        return blocks.live(frame, still)


class SingularValueEmbedder(QuantisingEmbedder):
    """The method ``dwt-svd``."""

    def __init__(self, *, strength: float = 0.0) -> None:
        super().__init__(SingularValues(), strength=strength)


def _approximations(frame: Floats) -> tuple[Floats, tuple[Floats, Floats, Floats]]:
    """Return approximation, shape (n, EDGE, EDGE), and details of each block of 8 x 8 samples."""
    near, details = pywt.dwt2(blocks.cut(frame), WAVELET, axes=(1, 2))
    return near, details
