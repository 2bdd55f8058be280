"""Keyed digests of tiles, for the tags: a fast universal hash, kept secret inside an HMAC.

Format: docs/formats/mark-v1.md, section 6. Why: docs/decisions/0305-tile-digests.md.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from node.mark.tiles import Grid

NONCE = bytes(12)
"""One for all: no digest leaves this process, so that two under one nonce tell nobody anything."""

LABEL = b"tiles-1 digest\0"
NARROWER = ((b"h", "<i2"), (b"H", "<u2"))


class Digests:
    """Digests of the tiles of one image, each computed once.

    A letter for the width, then the GMAC of the samples, little endian, in
    the least width that all samples of the tile have room in.

    :param key: 32 bytes.
    """

    def __init__(self, grid: Grid, samples: NDArray[np.int32], key: bytes) -> None:
        self._tiles, self._samples = grid.tiles, samples
        self._gcm = AESGCM(hmac.digest(key, LABEL, hashlib.sha256))
        #: Most images fit: then nothing is looked at tile by tile.
        self._fits = bool(samples.min() >= -(1 << 15) and samples.max() < 1 << 15)
        self._known: dict[int, bytes] = {}

    def of(self, index: int) -> bytes:
        """Return the letter and digest of one tile."""
        digest = self._known.get(index)
        if digest is None:
            letter, words = self._words(index)
            digest = self._known[index] = letter + self._gcm.encrypt(NONCE, b"", words)
        return digest

    def _words(self, index: int) -> tuple[bytes, memoryview]:
        samples = self._tiles[index].of(self._samples)
        for letter, width in NARROWER:
            narrow = samples.astype(width, order="C")
            if self._fits or (narrow == samples).all():
                return letter, narrow.data.cast("B")
        return b"i", samples.astype("<i4", order="C").data.cast("B")
