"""Keyed digests of tiles, for the tags: a fast universal hash, kept secret inside an HMAC.

Format: docs/formats/mark-v1.md, section 6. Why: docs/decisions/0305-tile-digests.md.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.mark.bounds import LEAST, MOST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.tiles import Grid

NONCE = bytes(12)
"""One for all: no digest leaves this process, so that two under one nonce tell nobody anything."""

LABEL = b"tiles-1 digest\0"
WIDTHS: tuple[tuple[bytes, np.dtype[np.integer[Any]]], ...] = (
    (b"h", np.dtype("<i2")),
    (b"H", np.dtype("<u2")),
    (b"i", np.dtype("<i4")),
)


class Digests:
    """Digests of the tiles of one image, each computed once.

    A letter for the width, then the GMAC of the samples, little endian, in
    the least width that all samples of the tile have room in.

    :param key: 32 bytes.
    :param ends: two values between which all samples are known to be; then
        it is perhaps known, too, which width suits every tile.
    :param label: begins with the name of the format.
    """

    def __init__(
        self,
        grid: Grid,
        samples: NDArray[np.int32],
        key: bytes,
        ends: tuple[int, int] = (LEAST, MOST),
        *,
        label: bytes = LABEL,
    ) -> None:
        self._tiles, self._samples = grid.tiles, samples
        self._small = _fits(*ends, WIDTHS[0][1])
        self._gcm = AESGCM(hmac.digest(key, label, hashlib.sha256))
        self._known: dict[int, bytes] = {}

    def of(self, index: int) -> bytes:
        """Return the letter and digest of one tile."""
        digest = self._known.get(index)
        if digest is None:
            letter, words = self._words(index)
            digest = self._known[index] = letter + self._gcm.encrypt(NONCE, b"", words)
        return digest

    def _words(self, index: int) -> tuple[bytes, bytes]:
        samples = self._tiles[index].of(self._samples)
        letter, width = WIDTHS[0]
        if not self._small:
            least, most = int(samples.min()), int(samples.max())
            letter, width = next(pair for pair in WIDTHS if _fits(least, most, pair[1]))
        return letter, samples.astype(width).tobytes()


def _fits(least: int, most: int, width: np.dtype[np.integer[Any]]) -> bool:
    room = np.iinfo(width)
    return bool(room.min <= least and most <= room.max)
