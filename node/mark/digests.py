"""Keyed digests of tiles, for the tags: a fast universal hash, kept secret inside an HMAC.

Format: docs/formats/mark-v1.md, section 6. Why: docs/decisions/0305-tile-digests.md.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.tiles import Grid

NONCE = bytes(12)
"""One for all: no digest leaves this process, so that two under one nonce tell nobody anything."""

LABEL = b"tiles-1 digest\0"
WIDTHS = ((b"h", "<i2"), (b"H", "<u2"), (b"i", "<i4"))


class Digests:
    """Digests of the tiles of one image, each computed once.

    A letter for the width, then the GMAC of the samples, little endian, in
    the least width that all samples of the tile have room in.

    :param key: 32 bytes.
    """

    def __init__(self, grid: Grid, samples: NDArray[np.int32], key: bytes) -> None:
        self._tiles, self._samples = grid.tiles, samples
        self._gcm = AESGCM(hmac.digest(key, LABEL, hashlib.sha256))
        self._known: dict[int, bytes] = {}

    def of(self, index: int) -> bytes:
        """Return the letter and digest of one tile."""
        digest = self._known.get(index)
        if digest is None:
            letter, words = self._words(index)
            digest = self._known[index] = letter + self._gcm.encrypt(NONCE, b"", words)
        return digest

    @cached_property
    def _small(self) -> NDArray[np.int16] | None:
        """The samples in the least width, if all have room: then no tile is looked at alone."""
        most = 1 << 15
        fits = self._samples.min() >= -most and self._samples.max() < most
        return self._samples.astype("<i2") if fits else None

    def _words(self, index: int) -> tuple[bytes, bytes]:
        tile = self._tiles[index]
        if self._small is not None:
            return WIDTHS[0][0], tile.of(self._small).tobytes()
        samples = tile.of(self._samples)
        least, most = int(samples.min()), int(samples.max())
        letter, width = next(
            (letter, width)
            for letter, width in WIDTHS
            if np.iinfo(width).min <= least and most <= np.iinfo(width).max
        )
        return letter, samples.astype(width).tobytes()
