"""A payload as symbols, one for each slot of a robust classical mark, and back.

The slots are put into an order of the key's. The first carry the head: length
and tag in a polar code of 256 symbols, rate 1/4. All others carry the body,
payload and tag in polar codes of rate 1/2, their symbols taken in turn and
repeated as often as there is room. A reader adds up what the slots of a symbol
say: a wrong or missing slot costs little.
"""

from __future__ import annotations

import hmac
import struct
from typing import TYPE_CHECKING

import numpy as np

from node.mark.classical import stream
from node.mark.polar import PolarCode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bits = NDArray[np.uint8]
    Floats = NDArray[np.float64]

SYMBOLS = 256
HEAD, BODY = PolarCode(SYMBOLS, 64), PolarCode(SYMBOLS, 128)
BLOCK = BODY.size // 8
"""Payload bytes in one code word of the body."""

SHARE = 6
"""One slot of so many carries the head."""

TAG = 8
_LENGTH = struct.Struct(">I")
_PATHS = 16


def capacity(slots: int) -> int:
    """Return how many payload bytes fit into so many slots, nothing repeated."""
    return max(0, (slots - _head(slots)) // SYMBOLS * BLOCK - TAG)


def fits(length: int, slots: int) -> bool:
    """Return whether a payload of so many bytes fits into so many slots."""
    return _blocks(length) * SYMBOLS + _head(slots) <= slots


def encode(payload: bytes, key: bytes, slots: int) -> Bits:
    """Return the symbol of every slot.

    :raises ValueError: there are too few slots.
    """
    if not fits(len(payload), slots):
        raise ValueError("the payload does not fit")
    length = _LENGTH.pack(len(payload))
    head = HEAD.encode(_bits(length + stream.tag(key, b"head", length, 4)))
    text = payload + stream.tag(key, b"body", payload, TAG)
    text = text.ljust(_blocks(len(payload)) * BLOCK, b"\0")
    code = [BODY.encode(_bits(text[at : at + BLOCK])) for at in range(0, len(text), BLOCK)]
    body = np.stack(code, axis=1).ravel()  # a stretch of bad slots harms all words a little
    ordered = np.concatenate(
        [
            np.resize(head, _head(slots)),
            np.resize(body, slots - _head(slots)),
        ]
    )
    symbols = np.empty(slots, np.uint8)
    symbols[stream.order(key, b"slots", slots)] = ordered
    return symbols


class Reader:
    """Reads what the slots of one image say, under one key."""

    def __init__(self, key: bytes, slots: int) -> None:
        self._key = key
        self._slots = slots
        self._order = stream.order(key, b"slots", slots)

    def length(self, soft: Floats) -> int | None:
        """Return the payload's length, None if there is no mark.

        :param soft: for each slot: positive for 0, negative for 1, 0 for unknown.
        """
        head = _head(self._slots)
        if not fits(0, self._slots):
            return None
        for bits in HEAD.decode(_sums(soft[self._order[:head]], SYMBOLS), _PATHS):
            word = np.packbits(bits).tobytes()
            length, proof = word[: _LENGTH.size], word[_LENGTH.size :]
            if hmac.compare_digest(proof, stream.tag(self._key, b"head", length, 4)):
                (count,) = _LENGTH.unpack(length)
                return int(count) if fits(count, self._slots) else None
        return None

    def payload(self, soft: Floats, length: int) -> bytes | None:
        """Return the payload, None if too little of it is left."""
        blocks = _blocks(length)
        rest = soft[self._order[_head(self._slots) :]]
        words = _sums(rest, blocks * SYMBOLS).reshape(SYMBOLS, blocks)
        bits = [BODY.decode(words[:, block], _PATHS)[0] for block in range(blocks)]
        text = np.packbits(np.concatenate(bits)).tobytes()
        payload, proof = text[:length], text[length : length + TAG]
        good = hmac.compare_digest(proof, stream.tag(self._key, b"body", payload, TAG))
        return payload if good else None


def _blocks(length: int) -> int:
    return -(-(length + TAG) // BLOCK)


def _head(slots: int) -> int:
    return max(SYMBOLS, slots // SHARE // SYMBOLS * SYMBOLS)


def _bits(text: bytes) -> Bits:
    return np.unpackbits(np.frombuffer(text, np.uint8))


def _sums(soft: Floats, count: int) -> Floats:
    return np.bincount(np.arange(soft.size) % count, soft, count).astype(np.float64)
