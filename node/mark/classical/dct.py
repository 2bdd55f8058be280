"""The cosine transform of 8 x 8 blocks: four low frequencies of each carry a symbol.

The transform is that of JPEG (DCT-II, ITU-T T.81 A.3.3), so JPEG's own
quantiser is the noise to survive. After Koch and Zhao, "Towards robust and
hidden image copyright labeling" (1995), with the lattice of
:mod:`node.mark.classical.qim` instead of their comparison of pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.mark.classical import blocks
from node.mark.classical.qim import QuantisingEmbedder

if TYPE_CHECKING:
    from node.mark.classical.qim import Flags, Floats

FREQUENCIES = (0, 2), (2, 0), (1, 2), (2, 1)
"""Where JPEG's tables are fine and the eye is coarse."""

_ROWS, _COLUMNS = zip(*FREQUENCIES, strict=True)
_K = np.arange(blocks.EDGE)
BASIS = np.sqrt(2 / blocks.EDGE) * np.cos(
    np.pi * _K[:, None] * (2 * _K[None, :] + 1) / (2 * blocks.EDGE)
)
BASIS[0] /= np.sqrt(2)


class CosineBlocks:
    """Numbers: four coefficients of each block."""

    name = "dct"
    strength = 24.0

    def slots(self, rows: int, columns: int) -> int:
        """Return how many numbers a frame has."""
        return blocks.count(rows, columns) * len(FREQUENCIES)

    def read(self, frame: Floats) -> Floats:
        """Return the numbers of a frame."""
        found: Floats = (BASIS @ blocks.cut(frame) @ BASIS.T)[:, _ROWS, _COLUMNS].ravel()
        return found

    def write(self, frame: Floats, values: Floats) -> Floats:
        """Return the frame with other numbers."""
        spectra = BASIS @ blocks.cut(frame) @ BASIS.T
        spectra[:, _ROWS, _COLUMNS] = values.reshape(-1, len(FREQUENCIES))
        return blocks.joined(frame, BASIS.T @ spectra @ BASIS)

    def live(self, frame: Floats, still: Flags) -> Flags:
        """Return which numbers can carry."""
        return np.repeat(blocks.live(frame, still), len(FREQUENCIES))


class CosineEmbedder(QuantisingEmbedder):
    """The method ``dct``."""

    def __init__(self, *, strength: float = 0.0) -> None:
        super().__init__(CosineBlocks(), strength=strength)
