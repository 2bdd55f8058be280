"""What a key decides in the classical methods: order, dither, coin tosses."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORD = 8  # bytes


def words(key: bytes, label: bytes, count: int) -> NDArray[np.uint64]:
    """Return numbers that only the key's holder can tell from random: SHAKE-256 (FIPS 202)."""
    stream = hashlib.shake_256(len(key).to_bytes(1, "big") + key + b"classical-1 " + label)
    return np.frombuffer(stream.digest(_WORD * count), ">u8").astype(np.uint64)


def order(key: bytes, label: bytes, count: int) -> NDArray[np.intp]:
    """Return the numbers below ``count`` in an order of the key's."""
    return np.argsort(words(key, label, count), kind="stable")


def dither(key: bytes, count: int) -> NDArray[np.float64]:
    """Return numbers from 0 to 1."""
    return words(key, b"dither", count) / float(1 << 64)


def tag(key: bytes, label: bytes, text: bytes, size: int) -> bytes:
    """Return ``size`` bytes that prove the text: HMAC-SHA-256, cut."""
    return hmac.digest(key, b"classical-1 " + label + b"\0" + text, "sha256")[:size]
