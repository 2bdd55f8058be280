"""The robust layer: a few bytes that survive lossy copies, added and taken out exactly.

``add`` moves samples by integer levels of a pattern, ``remove`` moves them
back, sample for sample. The reversible mark goes on top of it and carries the
way back. A bitmap may ride along (:mod:`node.mark.bitmap`), where there is
picture enough. Format: docs/formats/robust-v1.md.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from node.errors import DoesNotFitError, UnreadableError
from node.mark import bitmap, levels
from node.mark.pattern import DETAILS, MESSAGE, half_edge, layout, spread
from node.mark.strength import CODED, GREYS, Aims, Scene, middle

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from node.mark.pattern import Floats, Layout
    from node.types import Carrier

    Samples = NDArray[np.int32]

VERSION, WITH_BITMAP = 1, 2

STEP = 0.4
"""Grey levels of the display that one level is worth, about."""

CROWD, ENDS = 200, 4
"""Samples at the least and the greatest value stay, and up to so many values in all while more
than one sample in ``CROWD`` is there: undeclared padding, clamped air, burnt-out skin."""

BESIDE = Aims(display=(44.0,), enough=0.97)
"""How clear the message is to be under a bitmap, which takes a third of that away."""

_HEAD = struct.Struct("<BBHii")  # version, half edge, unit, low, high
_SIZE = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Added:
    """Samples with the robust mark.

    :param undo: what :func:`remove` needs.
    :param bitmap: whether they carry the bitmap, too.
    """

    samples: Samples
    undo: bytes
    bitmap: bool = False


@dataclass(frozen=True, slots=True)
class _Layer:
    """One of the two patterns: the message, or the bitmap."""

    text: bytes
    plan: Layout
    signs: Floats
    aims: Aims


def _message(text: bytes, aims: Aims = CODED) -> _Layer:
    return _Layer(text, layout(), layout().signs(text), aims)


def _bitmap(text: bytes) -> _Layer:
    return _Layer(text, bitmap.layout(), bitmap.signs(text), bitmap.AIMS)


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
    layer: _Layer

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
        signs = self.layer.signs.astype(np.int32)
        change = np.zeros(carrier.samples.shape, np.int32)
        for frame, part in enumerate(np.split(chosen, len(change) // rows)):
            signed = part * self.unit * signs[self.layer.plan.over(*part.shape[:2])]
            whole = spread(signed, self.half, (rows, columns))
            change[frame * rows : (frame + 1) * rows] = whole
        return np.where(self.room(carrier) >= 0, change, 0)


def add(
    carrier: Carrier,
    message: bytes,
    window: tuple[float, float] | None = None,
    drawn: bytes = b"",
) -> Added:
    """Return the samples with a message in each frame that survives lossy copies.

    Deterministic; moves no sample out of its bounds and none that may not move.

    :param message: 20 bytes.
    :param window: the lowest and highest sample that a viewer tells from
        black and white; without one, that of the middle 99 % of the samples.
    :param drawn: a bitmap (:mod:`node.mark.bitmap`) to carry as well, if it
        would be read in a lossy copy; empty for none.
    :raises DoesNotFitError: there is too little picture to carry the message.
    """
    shown = window or middle(carrier.samples)
    if drawn and bitmap.fits(carrier):
        with suppress(DoesNotFitError):
            under = _laid(carrier, _message(message, BESIDE), shown)
            over = _laid(replace(carrier, samples=under.samples), _bitmap(drawn), shown)
            undo = bytes([WITH_BITMAP]) + _SIZE.pack(len(under.undo)) + under.undo + over.undo
            return Added(over.samples, undo, bitmap=True)
    return _laid(carrier, _message(message), shown)


def remove(carrier: Carrier, undo: bytes) -> Samples:
    """Return the samples as they were before :func:`add`.

    Where samples were altered since, all others still come out exactly.

    :raises UnreadableError: the bytes are not those that ``add`` gave for
        such a carrier.
    """
    under, over = _parts(undo)
    samples = carrier.samples
    if over:
        samples = _lifted(carrier, over, _bitmap, bitmap.BYTES)
    return _lifted(replace(carrier, samples=samples), under, _message, MESSAGE)


def message_of(undo: bytes) -> bytes:
    """Return the message that was added.

    :raises UnreadableError: the bytes are not those that ``add`` gave.
    """
    return _read(_parts(undo)[0], _message, MESSAGE).layer.text


def _laid(carrier: Carrier, layer: _Layer, window: tuple[float, float]) -> Added:
    samples, rows = carrier.samples, carrier.frame_rows
    half = half_edge(rows, samples.shape[1])
    if min(rows, samples.shape[1]) < 2 * half:
        raise DoesNotFitError("the picture is too small for the robust mark")
    first, last = window
    unit = min(max(1, round(STEP * (last - first) / GREYS)), 0xFFFF)
    way = _Way(half, unit, *_inside(carrier), layer)
    room = way.room(carrier)
    parts = [
        Scene(samples[s], room[s], half, unit, window, layer.plan, layer.aims).levels(layer.signs)
        for s in (slice(top, top + rows) for top in range(0, len(samples), rows))
    ]
    chosen = np.concatenate(parts)
    if not chosen.any():
        raise DoesNotFitError("there is too little picture for the robust mark")
    head = _HEAD.pack(VERSION, half, unit, way.low, way.high)
    return Added(samples + way.change(chosen, carrier), head + layer.text + levels.encode(chosen))


def _lifted(carrier: Carrier, undo: bytes, layer: Callable[[bytes], _Layer], size: int) -> Samples:
    way = _read(undo, layer, size)
    if way.half != half_edge(carrier.frame_rows, carrier.samples.shape[1]):
        raise UnreadableError("the robust mark is of a picture of another size", code="robust")
    chosen = levels.decode(undo[_HEAD.size + size :], way.shape(carrier))
    return carrier.samples - way.change(chosen, carrier)


def _parts(undo: bytes) -> tuple[bytes, bytes]:
    """Return the way back of the message, and of the bitmap if there is one."""
    if undo[:1] != bytes([WITH_BITMAP]):
        return undo, b""
    start = 1 + _SIZE.size
    if len(undo) < start:
        raise UnreadableError("the robust mark's way back ends too early", code="robust")
    end = start + _SIZE.unpack_from(undo, 1)[0]
    return undo[start:end], undo[end:] or b"\0"


def _read(undo: bytes, layer: Callable[[bytes], _Layer], size: int) -> _Way:
    if len(undo) < _HEAD.size + size or undo[0] != VERSION:
        raise UnreadableError("the robust mark's way back is not of this version", code="robust")
    _, half, unit, low, high = _HEAD.unpack_from(undo)
    return _Way(half, unit, low, high, layer(undo[_HEAD.size : _HEAD.size + size]))


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
