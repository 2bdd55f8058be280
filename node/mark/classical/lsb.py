"""LSB matching: the least significant bits of samples that the key picks carry the payload.

A sample whose bit is wrong goes up or down by one, as a coin of the key's
falls, so that values do not pair up as they do when the bit is replaced
(Sharp, "An implementation of key-based digital signal steganography", 2001;
Ker, "Steganalysis of LSB matching in grayscale images", 2005). It carries most
and changes least of all, and is gone after the slightest loss.
"""

from __future__ import annotations

import hmac
import struct
from typing import TYPE_CHECKING

import numpy as np

from node.errors import DoesNotFitError, UnmarkedError
from node.mark.base import Traits
from node.mark.classical import stream
from node.types import Extraction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.types import Carrier

    Samples = NDArray[np.int32]

_LENGTH = struct.Struct(">I")
TAG = 8


class LsbEmbedder:
    """The method ``lsb``.

    Not reversible: ``extract`` gives the samples as found. Any change of a
    sample that carries destroys the payload, wherever it is.
    """

    name = "lsb"
    traits = Traits(reversible=False, localises=False, robust=False)

    def capacity(self, carrier: Carrier) -> int:
        """Return how many payload bytes surely fit (0 for none)."""
        return max(0, _movable(carrier)[0].size // 8 - _LENGTH.size - TAG)

    def embed(self, carrier: Carrier, payload: bytes, key: bytes) -> Samples:
        """Return the marked samples, every one inside its bounds.

        :raises DoesNotFitError: the carrier cannot hold the payload.
        """
        places, up, down = _movable(carrier)
        text = _LENGTH.pack(len(payload)) + payload
        text += stream.tag(key, b"lsb", text, TAG)
        if 8 * len(text) > places.size:
            raise DoesNotFitError(f"lsb cannot carry {len(payload)} bytes in this image")
        bits = np.unpackbits(np.frombuffer(text, np.uint8))
        picked = stream.order(key, b"samples", places.size)[: bits.size]
        marked = carrier.samples.copy().ravel()
        before = marked[places[picked]]
        coins = (stream.words(key, b"coins", bits.size) & 1).astype(np.bool_)
        rises = np.where(coins, up[picked], ~down[picked])
        wrong = (before & 1) != bits
        marked[places[picked]] = before + np.where(wrong, np.where(rises, 1, -1), 0)
        return marked.reshape(carrier.samples.shape).astype(np.int32)

    def extract(self, carrier: Carrier, key: bytes) -> Extraction:
        """Read the mark; the samples stay as they are.

        :raises UnmarkedError: there is no mark under this key, or any of its
            bits was changed.
        """
        places, _, _ = _movable(carrier)
        picked = places[stream.order(key, b"samples", places.size)]
        low = (carrier.samples.ravel()[picked] & 1).astype(np.uint8)
        head = np.packbits(low[: 8 * _LENGTH.size]).tobytes()
        if len(head) == _LENGTH.size:
            (length,) = _LENGTH.unpack(head)
            end = _LENGTH.size + length
            text = np.packbits(low[: 8 * (end + TAG)]).tobytes()
            if hmac.compare_digest(text[end:], stream.tag(key, b"lsb", text[:end], TAG)):
                samples = carrier.samples.copy()
                return Extraction(text[_LENGTH.size : end], samples, (), unplaced=False, tiles=0)
        raise UnmarkedError("no mark of lsb under this key")


def _movable(carrier: Carrier) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the places of the samples that may move, and whether each may go up, and down.

    Moving one changes nothing of this: what stays, such as padding, has no
    neighbour that may move onto it.
    """
    samples = carrier.samples
    up, down = samples < carrier.high, samples > carrier.low
    if carrier.padding is not None:
        first, last = carrier.padding
        outside = (samples < first) | (samples > last)
        up = up & outside & ((samples + 1 < first) | (samples + 1 > last))
        down = down & outside & ((samples - 1 < first) | (samples - 1 > last))
    places = np.flatnonzero(up | down)
    return places, up.ravel()[places], down.ravel()[places]
