"""The robust layer: a few bytes that survive lossy copies, added and taken out exactly.

``add`` moves samples by integer levels of the pattern, ``remove`` moves them
back: ``remove(add(carrier)) == carrier``, sample for sample. The reversible
mark goes on top and carries the way back. Format: docs/formats/robust-v1.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from node.errors import DoesNotFitError, UnreadableError
from node.mark import levels as coding
from node.mark.bounds import intervals
from node.mark.pattern import (
    DETAILS,
    GROUPS,
    MESSAGE,
    details,
    deviations,
    evidence,
    half_edge,
    layout,
    spread,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.pattern import Floats
    from node.types import Carrier

    Levels = NDArray[np.int32]
    Samples = NDArray[np.int32]

VERSION = 1
GREYS = 255.0

STEP = 0.4
"""Grey levels of the display that one level is worth, about."""

DISPLAY = 47.0
"""dB, PSNR of the displayed picture: the mark takes no more."""

NOISE = 0.5
"""Grey levels by which a copy may stray in any detail: what JPEG does, about."""

ENOUGH = 40.0
"""A group that says so much clearer than its noise needs no more."""

SHOWN = 0.5
"""Share of a cell that must be inside the window, and free to move."""

_HEAD = struct.Struct("<BBHii")  # version, half edge, unit, low, high


@dataclass(frozen=True, slots=True)
class Added:
    """A carrier with the robust mark.

    :param undo: what :func:`remove` needs.
    """

    samples: Samples
    undo: bytes


def add(carrier: Carrier, message: bytes, window: tuple[float, float] | None = None) -> Added:
    """Return the samples with a message that survives lossy copies, every frame for itself.

    Deterministic; moves no sample out of its bounds and none that may not move.

    :param message: 16 bytes.
    :param window: the lowest and highest sample that a viewer shows as other
        than black and white; without one the middle 99 % of the samples.
    :raises DoesNotFitError: there is too little picture to carry it.
    """
    samples, rows = carrier.samples, carrier.frame_rows
    low, high = (np.broadcast_to(bound, samples.shape) for bound in intervals(carrier))
    free = _Free(int(low.min()), int(high.max()))
    movable = free.movable(carrier)
    first, last = window or _window(samples[movable])
    half = half_edge(rows, samples.shape[1])
    unit = min(max(1, round(STEP * (last - first) / GREYS)), (1 << 16) - 1)
    signs = layout().signs(message)
    found = []
    for top in range(0, samples.shape[0], rows):
        span = slice(top, top + rows)
        inside = movable[span]
        frame = samples[span]
        room = np.where(inside, np.minimum(frame - low[span], high[span] - frame), MUCH)
        scene = _Scene(frame, inside, room, half, unit, first, last)
        found.append(scene.levels(signs))
    chosen = np.concatenate(found)
    if not chosen.any():
        raise DoesNotFitError("there is too little picture for the robust mark")
    undo = _HEAD.pack(VERSION, half, unit, free.low, free.high) + message + coding.encode(chosen)
    change = _change(chosen, signs, half, unit, carrier)
    return Added(samples + np.where(movable, change, 0), undo)


def remove(carrier: Carrier, undo: bytes) -> Samples:
    """Return the samples without the mark that :func:`add` put in.

    Where samples were altered since, the rest still comes out exactly.

    :raises UnreadableError: the bytes are not those that ``add`` gave for
        such a carrier.
    """
    if len(undo) < _HEAD.size + MESSAGE:
        raise UnreadableError("the robust mark's way back is cut short", code="robust")
    version, half, unit, low, high = _HEAD.unpack_from(undo)
    message = undo[_HEAD.size : _HEAD.size + MESSAGE]
    rows, columns = carrier.samples.shape
    if version != VERSION or half != half_edge(carrier.frame_rows, columns):
        raise UnreadableError("the robust mark is not of this version or size", code="robust")
    shape = (
        rows // carrier.frame_rows * (carrier.frame_rows // (2 * half)),
        columns // (2 * half),
        DETAILS,
    )
    chosen = coding.decode(undo[_HEAD.size + MESSAGE :], shape)
    change = _change(chosen, layout().signs(message), half, unit, carrier)
    return carrier.samples - np.where(_Free(low, high).movable(carrier), change, 0)


def message_of(undo: bytes) -> bytes:
    """Return the message that the way back names."""
    return undo[_HEAD.size : _HEAD.size + MESSAGE]


MUCH = 1 << 30


@dataclass(frozen=True, slots=True)
class _Free:
    """Which samples may move: told by each sample itself, so that edits stay local."""

    low: int
    high: int

    def movable(self, carrier: Carrier) -> NDArray[np.bool_]:
        samples = carrier.samples
        free = (samples >= self.low) & (samples <= self.high)
        free &= (samples >= carrier.low) & (samples <= carrier.high)
        if carrier.padding is not None:
            first, last = carrier.padding
            free &= (samples < first) | (samples > last)
        return free


def _window(samples: Samples) -> tuple[float, float]:
    if not samples.size:
        return 0.0, GREYS
    first, last = np.percentile(samples, [0.5, 99.5])
    return float(first), max(float(last), float(first) + 1.0)


def _change(chosen: Levels, signs: Floats, half: int, unit: int, carrier: Carrier) -> Samples:
    """Return what the levels of all frames add to the samples."""
    rows, columns = carrier.frame_rows, carrier.samples.shape[1]
    change = np.zeros(carrier.samples.shape, np.int32)
    tall = rows // (2 * half)
    for frame in range(carrier.samples.shape[0] // rows):
        part = chosen[frame * tall : (frame + 1) * tall]
        signed = part * unit * signs[layout().over(*part.shape[:2])].astype(np.int32)
        change[frame * rows : (frame + 1) * rows] = spread(signed, half, (rows, columns))
    return change


@dataclass(frozen=True, slots=True)
class _Scene:
    """One frame to mark.

    :param inside: the samples that may move.
    :param room: for each of them how far either way.
    :param unit: stored values that one level is worth.
    :param first: of the window; so is ``last``.
    """

    frame: Samples
    inside: NDArray[np.bool_]
    room: Samples
    half: int
    unit: int
    first: float
    last: float

    def levels(self, signs: Floats) -> Levels:
        """Return the level of every slot, least harm first, until the budget is spent.

        What matters is what all the slots of a group say together. A level
        more in one slot adds to that, the more the smaller the slot's own
        deviation, and costs squared error, the more the more levels it has.
        """
        grey = np.clip((self.frame - self.first) / (self.last - self.first), 0, 1) * GREYS
        found = details(np.rint(grey), self.half)
        group = layout().over(*found.shape[:2])
        strays = deviations(np.rint(grey), self.half, found)
        strays = np.sqrt(strays**2 + NOISE**2)
        toward = found * signs[group]
        says = np.bincount(group.ravel(), evidence(toward, strays).ravel(), GROUPS)
        shown, most = self._shown(), self._most()
        step = self.unit * GREYS / (self.last - self.first)
        lift = step * shown[..., None]
        open_ = (shown > SHOWN)[..., None] & (toward > -3 * strays) & np.isfinite(strays)
        offers = []
        for level in range(1, coding.MOST + 1):
            may = np.flatnonzero(open_ & (most >= level))
            if not may.size:
                break
            here, sway = toward.ravel()[may], strays.ravel()[may]
            rise = np.broadcast_to(lift, toward.shape).ravel()[may]
            gain = evidence(here + level * rise, sway) - evidence(here + (level - 1) * rise, sway)
            cost = _harm(level * step) - _harm((level - 1) * step)
            area = np.broadcast_to(shown[..., None], toward.shape).ravel()[may]
            good = gain > 0
            offers.append((may[good], gain[good], cost * area[good]))
        if not offers:
            return np.zeros(toward.shape, np.int32)
        places, gains, costs = (np.concatenate(part) for part in zip(*offers, strict=True))
        budget = GREYS**2 / 10 ** (DISPLAY / 10) * grey.size / (2 * self.half) ** 2
        taken = _take(group.ravel()[places], gains, costs, says, budget)
        return np.bincount(places[taken], minlength=toward.size).astype(np.int32).reshape(toward.shape)

    def _cells(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        edge = 2 * self.half
        rows, columns = values.shape[0] // edge, values.shape[1] // edge
        return values[: rows * edge, : columns * edge].reshape(rows, edge, columns, edge)

    def _shown(self) -> Floats:
        """Return the share of each cell that moves and is seen."""
        seen = self.inside & (self.frame > self.first) & (self.frame < self.last)
        return self._cells(seen).mean(axis=(1, 3))

    def _most(self) -> Levels:
        """Return the most levels of each slot, so that no sum of them leaves the bounds."""
        room = self._cells(self.room).min(axis=(1, 3)) // self.unit
        side = np.minimum(room // DETAILS, coding.MOST)
        diagonal = np.minimum(room - 2 * side, coding.MOST)
        return np.stack([side, side, diagonal], axis=-1)


def _harm(change: float) -> float:
    """Return the mean squared error of a displayed picture that is rounded to whole greys."""
    whole, part = divmod(change, 1.0)
    return whole * whole + part * (2 * whole + 1)


def _take(
    groups: NDArray[np.intp], gains: Floats, costs: Floats, says: Floats, budget: float
) -> NDArray[np.intp]:
    """Return which offers to take, so that the weakest group says as much as possible."""
    order = np.lexsort((-gains / costs, groups))
    groups, gains, costs = groups[order], gains[order], costs[order]
    total = np.cumsum(gains) - gains
    starts = np.searchsorted(groups, np.arange(GROUPS))
    before = total - total[np.minimum(starts, len(total) - 1)][groups] + says[groups]
    low, high = 0.0, ENOUGH
    if costs[before < high].sum() <= budget:
        low = high
    for _ in range(24):
        middle = (low + high) / 2
        if costs[before < middle].sum() <= budget:
            low = middle
        else:
            high = middle
    return order[before < low]
