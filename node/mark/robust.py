"""The robust layer: a few bytes that survive lossy copies, added and taken out exactly.

``add`` moves samples by integer levels of a pattern, ``remove`` moves them
back, sample for sample. The reversible mark goes on top of it and carries the
way back. Format: docs/formats/robust-v1.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from node.errors import DoesNotFitError, UnreadableError
from node.mark import levels
from node.mark.pattern import DETAILS, MESSAGE, half_edge, layout, spread
from node.mark.strength import GREYS, Scene, middle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.types import Carrier

    Samples = NDArray[np.int32]

VERSION = 1

STEP = 0.4
"""Grey levels of the display that one level is worth, about."""

CROWD, ENDS = 200, 4
"""Samples at the least and the greatest value stay, and up to so many values in all while more
than one sample in ``CROWD`` is there: undeclared padding, clamped air, burnt-out skin."""

_HEAD = struct.Struct("<BBHii")  # version, half edge, unit, low, high
_BODY = _HEAD.size + MESSAGE


@dataclass(frozen=True, slots=True)
class Added:
    """Samples with the robust mark.

    :param undo: what :func:`remove` needs.
    """

    samples: Samples
    undo: bytes


@dataclass(frozen=True, slots=True)
class _Way:
    """What the samples of a carrier are moved by, and which of them.

    :param low: samples below it do not move; nor those above ``high``. Each
        sample shows by itself whether it moved, so that edits stay local.
    """

    half: int
    unit: int
    low: int
    high: int
    message: bytes

    def shape(self, carrier: Carrier) -> tuple[int, int, int]:
        """Return rows and columns of cells, all frames together, and slots of a cell."""
        rows, columns = carrier.samples.shape
        edge = 2 * self.half
        frames = rows // carrier.frame_rows
        return frames * (carrier.frame_rows // edge), columns // edge, DETAILS

    def room(self, carrier: Carrier) -> Samples:
        """Return how far each sample may go either way; negative for one that is to stay.

        A sample that goes so far or less is one of those that move again.
        """
        samples = carrier.samples
        low, high = np.maximum(carrier.low, self.low), np.minimum(carrier.high, self.high)
        room = np.minimum(samples - low, high - samples)
        if carrier.padding is not None:
            first, last = carrier.padding
            room = np.minimum(room, np.maximum(first - samples, samples - last) - 1)
        return room.astype(np.int32)

    def change(self, chosen: NDArray[np.int32], carrier: Carrier) -> Samples:
        """Return what levels of all frames add to the samples."""
        rows, columns = carrier.frame_rows, carrier.samples.shape[1]
        signs = layout().signs(self.message).astype(np.int32)
        change = np.zeros(carrier.samples.shape, np.int32)
        for frame, part in enumerate(np.split(chosen, len(change) // rows)):
            signed = part * self.unit * signs[layout().over(*part.shape[:2])]
            whole = spread(signed, self.half, (rows, columns))
            change[frame * rows : (frame + 1) * rows] = whole
        return np.where(self.room(carrier) >= 0, change, 0)


def add(carrier: Carrier, message: bytes, window: tuple[float, float] | None = None) -> Added:
    """Return the samples with a message in each frame that survives lossy copies.

    Deterministic; moves no sample out of its bounds and none that may not move.

    :param message: 16 bytes.
    :param window: the lowest and highest sample that a viewer tells from
        black and white; without one, that of the middle 99 % of the samples.
    :raises DoesNotFitError: there is too little picture to carry it.
    """
    samples, rows = carrier.samples, carrier.frame_rows
    half = half_edge(rows, samples.shape[1])
    if min(rows, samples.shape[1]) < 2 * half:
        raise DoesNotFitError("the picture is too small for the robust mark")
    first, last = window or middle(samples)
    unit = min(max(1, round(STEP * (last - first) / GREYS)), 0xFFFF)
    way = _Way(half, unit, *_inside(carrier), message)
    room = way.room(carrier)
    signs = layout().signs(message)
    chosen = np.concatenate(
        [
            Scene(samples[s], room[s], half, unit, (first, last)).levels(signs)
            for s in (slice(top, top + rows) for top in range(0, len(samples), rows))
        ]
    )
    if not chosen.any():
        raise DoesNotFitError("there is too little picture for the robust mark")
    head = _HEAD.pack(VERSION, half, unit, way.low, way.high)
    return Added(samples + way.change(chosen, carrier), head + message + levels.encode(chosen))


def remove(carrier: Carrier, undo: bytes) -> Samples:
    """Return the samples as they were before :func:`add`.

    Where samples were altered since, all others still come out exactly.

    :raises UnreadableError: the bytes are not those that ``add`` gave for
        such a carrier.
    """
    way = _read(undo)
    if way.half != half_edge(carrier.frame_rows, carrier.samples.shape[1]):
        raise UnreadableError("the robust mark is of a picture of another size", code="robust")
    chosen = levels.decode(undo[_BODY:], way.shape(carrier))
    return carrier.samples - way.change(chosen, carrier)


def message_of(undo: bytes) -> bytes:
    """Return the message that was added.

    :raises UnreadableError: the bytes are not those that ``add`` gave.
    """
    return _read(undo).message


def _read(undo: bytes) -> _Way:
    if len(undo) < _BODY or undo[0] != VERSION:
        raise UnreadableError("the robust mark's way back is not of this version", code="robust")
    _, half, unit, low, high = _HEAD.unpack_from(undo)
    return _Way(half, unit, low, high, undo[_HEAD.size : _BODY])


def _inside(carrier: Carrier) -> tuple[int, int]:
    """Return the least and the greatest sample that moves."""
    samples = carrier.samples
    if carrier.padding is not None:
        first, last = carrier.padding
        samples = samples[(samples < first) | (samples > last)]
    if not samples.size:
        return 0, -1
    values, counts = np.unique(samples, return_counts=True)
    crowded = counts * CROWD > samples.size
    below = 1 + int(np.argmin([*crowded[: ENDS - 1], False]))
    above = 1 + int(np.argmin([*crowded[::-1][: ENDS - 1], False]))
    if below + above >= len(values):
        return 0, -1
    return int(values[below - 1]) + 1, int(values[-above]) - 1
