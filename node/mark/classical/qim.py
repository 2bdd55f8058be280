"""Quantisation index modulation of numbers that a transform gives, with dither.

Chen and Wornell, "Quantization index modulation", IEEE Trans. Inf. Theory 47
(2001) 1423: a number v carries bit b as the nearest point of the lattice
``step * (k + b/2 + d)``; d, from 0 to 1, is the key's. It is read as
``cos(2 pi (v/step - d))``, positive for 0. What the transform is tells the
methods apart; what they share is here. None can be undone: quantising forgets
where a number was.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from node.errors import DoesNotFitError, UnmarkedError
from node.mark.base import Traits
from node.mark.classical import framing, stream
from node.mark.strength import GREYS, middle
from node.types import Extraction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.types import Carrier

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Samples = NDArray[np.int32]

STEPS = tuple(math.sqrt(float(1 << power)) for power in range(4, 31))
"""Lattice steps, in stored values; a reader tries them all."""

LOUDER = (1, 2, 4)
"""If a payload does not read back, it is tried with the wanted step so many times."""

ROUNDS = 12
"""Bounds, padding and whole numbers push values off the lattice: so often they are put back."""

NEAR = 0.08
"""Of a step: so close to the lattice, in the mean, is good enough."""

FULL = 0.8
"""Symbols are offered at most so many of the live slots."""

TRAITS = Traits(reversible=False, localises=False, robust=True)


class Transform(Protocol):
    """What numbers of a frame carry: one method of the field."""

    name: str
    strength: float
    """Lattice step, in grey levels of 255 over the range of most samples."""

    def slots(self, rows: int, columns: int) -> int:
        """Return how many numbers a frame has."""
        ...

    def read(self, frame: Floats) -> Floats:
        """Return the numbers of a frame."""
        ...

    def write(self, frame: Floats, values: Floats) -> Floats:
        """Return the frame with other numbers."""
        ...

    def live(self, frame: Floats, still: Flags) -> Flags:
        """Return which numbers can carry.

        :param still: samples that may not move.
        """
        ...


class QuantisingEmbedder:
    """An :class:`~node.mark.base.Embedder` that quantises what a transform gives.

    Not reversible: ``extract`` gives the samples as found. It names no altered
    region: a robust mark is read in spite of them.

    :param strength: in grey levels, as that of the transform.
    """

    traits = TRAITS

    def __init__(self, transform: Transform, *, strength: float = 0.0) -> None:
        self.name = transform.name
        self._transform = transform
        self._strength = strength or transform.strength

    def capacity(self, carrier: Carrier) -> int:
        """Return how many payload bytes surely fit: tried out with test data."""
        live = sum(int(self._live(carrier, part).sum()) for part in _frames(carrier))
        size = framing.capacity(int(live * FULL))
        while size > 0:
            test = stream.words(bytes(32), b"test", size // 8 + 1).tobytes()[:size]
            try:
                self.embed(carrier, test, bytes(32))
            except DoesNotFitError:
                size = size * 3 // 4 if size > framing.BLOCK else 0
            else:
                return size
        return 0

    def embed(self, carrier: Carrier, payload: bytes, key: bytes) -> Samples:
        """Return the marked samples, every one inside its bounds.

        :raises DoesNotFitError: the carrier cannot hold the payload, or it
            does not read back.
        """
        frames = _frames(carrier)
        each = self._transform.slots(carrier.frame_rows, carrier.samples.shape[1])
        slots = each * len(frames)
        if framing.fits(len(payload), slots):
            symbols = framing.encode(payload, key, slots)
            offsets = stream.dither(key, slots) + symbols / 2
            first, last = middle(carrier.samples)
            wanted = _nearest(self._strength * (last - first) / GREYS)
            for louder in LOUDER:
                parts = [
                    self._quantise(carrier, part, own, wanted * louder)
                    for part, own in zip(frames, np.split(offsets, len(frames)), strict=True)
                ]
                marked = np.concatenate(parts)
                if self._read(replace(carrier, samples=marked), key) == (payload, True):
                    return marked
        raise DoesNotFitError(
            f"{self.name} cannot carry {len(payload)} bytes in this image",
            hint="a shorter payload may fit",
        )

    def extract(self, carrier: Carrier, key: bytes) -> Extraction:
        """Read the mark; the samples stay as they are.

        :raises UnmarkedError: there is no mark under this key.
        """
        payload, found = self._read(carrier, key)
        if not found:
            raise UnmarkedError(f"no mark of {self.name} under this key")
        return Extraction(payload, carrier.samples.copy(), (), unplaced=False, tiles=0)

    def _read(self, carrier: Carrier, key: bytes) -> tuple[bytes | None, bool]:
        """Return the payload, and whether there is a mark at all."""
        values, live = [], []
        for part in _frames(carrier):
            values.append(self._transform.read(carrier.samples[part].astype(np.float64)))
            live.append(self._live(carrier, part))
        slots, carries = np.concatenate(values), np.concatenate(live)
        if not framing.fits(0, slots.size) or not carries.any():
            return None, False
        reader, dither = framing.Reader(key, slots.size), stream.dither(key, slots.size)
        found = False
        for step in STEPS:  # a head may read with a step that is nearly right
            soft = np.where(carries, np.cos(2 * np.pi * (slots / step - dither)), 0.0)
            length = reader.length(soft)
            payload = None if length is None else reader.payload(soft, length)
            if payload is not None:
                return payload, True
            found = found or length is not None
        return None, found

    def _live(self, carrier: Carrier, part: slice) -> Flags:
        return self._transform.live(carrier.samples[part].astype(np.float64), _still(carrier)[part])

    def _quantise(self, carrier: Carrier, part: slice, offsets: Floats, step: float) -> Samples:
        """Return a frame whose live numbers lie on the lattice, as nearly as can be."""
        samples = carrier.samples[part]
        live = self._live(carrier, part)
        bounds = _Bounds(carrier, part)
        for _ in range(ROUNDS if live.any() else 0):
            frame = samples.astype(np.float64)
            values = self._transform.read(frame)
            lattice = step * (np.rint(values / step - offsets) + offsets)
            lattice = (
                np.where(lattice < 0, lattice + step, lattice) if values.min() >= 0 else lattice
            )
            wanted = np.where(live, lattice, values)
            if float(np.abs(wanted - values)[live].mean()) < NEAR * step:
                break
            samples = bounds.inside(self._transform.write(frame, wanted))
        return samples


class _Bounds:
    """Where the samples of a frame may go."""

    def __init__(self, carrier: Carrier, part: slice) -> None:
        shape = carrier.samples.shape
        self._samples = carrier.samples[part]
        self._low = np.broadcast_to(carrier.low, shape)[part]
        self._high = np.broadcast_to(carrier.high, shape)[part]
        self._still = _still(carrier)[part]
        self._padding = carrier.padding

    def inside(self, frame: Floats) -> Samples:
        """Return the nearest whole samples that are allowed."""
        samples = np.clip(np.rint(frame), self._low, self._high).astype(np.int32)
        if self._padding is not None:
            first, last = self._padding
            made = (samples >= first) & (samples <= last)
            samples = np.where(made, self._samples, samples)
        return np.where(self._still, self._samples, samples).astype(np.int32)


def _frames(carrier: Carrier) -> list[slice]:
    rows = carrier.frame_rows
    return [slice(top, top + rows) for top in range(0, len(carrier.samples), rows)]


def _still(carrier: Carrier) -> Flags:
    """Return which samples may not move."""
    still = np.broadcast_to(carrier.low >= carrier.high, carrier.samples.shape)
    if carrier.padding is not None:
        first, last = carrier.padding
        still = still | ((carrier.samples >= first) & (carrier.samples <= last))
    return still


def _nearest(step: float) -> float:
    wanted = math.log2(max(step, STEPS[0]))
    return STEPS[min(max(round(2 * wanted) - 4, 0), len(STEPS) - 1)]
