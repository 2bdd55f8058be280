"""How strongly each slot is marked: least harm first. Not part of the format.

What counts is what all the slots of a group say together. One level more in a
slot adds to that, the more the less the slot strays by itself, and costs
squared error in the displayed picture. So calm cells carry most, edges
nothing, and a slot that happens to say the right thing already costs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from node.mark.levels import MOST
from node.mark.pattern import (
    CLIP,
    DETAILS,
    cells,
    details,
    deviations,
    evidence,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.mark.pattern import Floats, Ints, Layout

    Levels = NDArray[np.int32]

GREYS = 255.0
"""The brightest grey of a display."""

MIDDLE = (0.5, 99.5)
"""Percentiles of the samples that make the window where none is given."""

NOISE = 1.0
"""Grey levels by which a copy may stray in any detail: about what JPEG does."""

CLEARNESS = tuple(2 ** (i / 2 - 1) for i in range(10))
"""How far above its noise a group may be lifted."""

SHOWN = 0.5
"""Share of a cell that must be inside the window, and free to move."""


@dataclass(frozen=True, slots=True)
class Aims:
    """How clear a message is to be, and what it may cost.

    Clearness is the correlation of what is read in a noisy copy with what was
    written.

    :param display: dB, PSNR of the displayed picture: the mark takes no more
        than the first with which it is clear, at worst the last.
    :param least: with less no message is read.
    :param clear: with less it may be lost.
    :param enough: more is not wanted.
    """

    display: tuple[float, ...] = (47.0, 44.0, 41.0)
    least: float = 0.45
    clear: float = 0.7
    enough: float = 0.9


CODED = Aims()
"""Of a message with an error-correcting code."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One frame to mark.

    :param samples: int32, shape (rows, columns).
    :param room: how far each sample may go either way; negative where it may
        not move and is left out of the pattern.
    :param half: half the edge of a cell.
    :param unit: stored values that one level is worth.
    :param window: the lowest and highest sample that is displayed as such.
    :param plan: which slots say what.
    """

    samples: NDArray[np.int32]
    room: NDArray[np.int32]
    half: int
    unit: int
    window: tuple[float, float]
    plan: Layout
    aims: Aims = CODED

    @property
    def scale(self) -> float:
        """Grey levels of the display that one stored value is worth."""
        return GREYS / (self.window[1] - self.window[0])

    def levels(self, signs: Floats) -> Levels:
        """Return the level of every slot; none where the message would not be read.

        :param signs: of every group.
        """
        picture = displayed(self.samples, self.window)
        found = details(picture, self.half)
        group, count = self.plan.over(*found.shape[:2]), len(signs)
        strays = deviations(picture, self.half, found)
        toward = found * signs[group]
        says = _sums(group, evidence(toward, strays), count)
        noise = _sums(group, (NOISE / strays**2) ** 2, count)
        offers = self._offers(group, toward, strays)
        for decibels in self.aims.display:
            budget = GREYS**2 / 10 ** (decibels / 10) * picture.size / (2 * self.half) ** 2
            taken, clarity = offers.take(says, noise, budget, self.aims.enough)
            if clarity >= self.aims.clear:
                break
        if clarity < self.aims.least:
            taken = taken[:0]
        counts = np.bincount(taken, minlength=toward.size)
        return counts.reshape(toward.shape).astype(np.int32)

    def _offers(self, group: Ints, toward: Floats, strays: Floats) -> _Offers:
        """Return what each further level of each slot would add and cost."""
        shown, most = self._shown(), self._most()
        usable = (shown > SHOWN) & (toward > -CLIP * strays) & np.isfinite(strays)
        step = self.unit * self.scale
        parts = []
        for level in range(1, MOST + 1):
            places = np.flatnonzero(usable & (most >= level))
            here, stray, share = (a.ravel()[places] for a in (toward, strays, shown))
            after = evidence(here + level * step * share, stray)
            gains = after - evidence(here + (level - 1) * step * share, stray)
            costs = (_harm(level * step) - _harm((level - 1) * step)) * share
            useful = gains > 0
            parts.append((places[useful], gains[useful], costs[useful]))
        places, gains, costs = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.lexsort((-gains / costs, group.ravel()[places]))
        places = places[order]
        return _Offers(places, group.ravel()[places], gains[order], costs[order])

    def _shown(self) -> Floats:
        """Return for each slot the share of its cell that moves and is seen."""
        low, high = self.window
        seen = (self.room >= 0) & (self.samples > low) & (self.samples < high)
        share = cells(seen.astype(np.float64), self.half).mean(axis=(1, 3))
        return np.repeat(share[..., None], DETAILS, axis=2)

    def _most(self) -> Levels:
        """Return the most levels of each slot: no sum of them leaves the bounds."""
        room = np.where(self.room < 0, np.iinfo(np.int32).max, self.room)
        free: NDArray[np.int32] = cells(room, self.half).min(axis=(1, 3)) // self.unit
        side = free // DETAILS
        return np.minimum(np.stack([side, side, free - 2 * side], axis=-1), MOST)


@dataclass(frozen=True, slots=True)
class _Offers:
    """One more level of a slot each; group by group, the cheapest for their gain first.

    :param places: index of the slot.
    """

    places: Ints
    groups: Ints
    gains: Floats
    costs: Floats

    def take(self, says: Floats, noise: Floats, budget: float, enough: float) -> tuple[Ints, float]:
        """Return the places to raise, and how clear the message then is in a noisy copy.

        Groups are brought to one clearness, those first that cost least to
        bring there, as many as the budget allows. Of several clearnesses that
        one is taken with which the message stands out most.
        """
        total = np.cumsum(self.gains) - self.gains
        starts = np.searchsorted(self.groups, np.arange(says.size))
        base = np.append(total, 0.0)[starts]
        before = total - base[self.groups] + says[self.groups]
        scale = math.sqrt(float(noise.mean()))
        best, taken = 0.0, self.places[:0]
        for clearness in CLEARNESS:
            wanted = before < clearness * scale
            prices = _sums(self.groups[wanted], self.costs[wanted], says.size)
            cheapest = np.argsort(prices, kind="stable")
            bought = np.zeros(says.size, np.bool_)
            bought[cheapest[np.cumsum(prices[cheapest]) <= budget]] = True
            chosen = wanted & bought[self.groups]
            after = says + _sums(self.groups[chosen], self.gains[chosen], says.size)
            spread = math.sqrt(says.size * float(np.sum(after**2 + noise)))
            clarity = float(after.sum()) / spread if spread else 0.0
            if clarity > best:
                best, taken = clarity, self.places[chosen]
            if best > enough:
                break
        return taken, best


def displayed(
    samples: NDArray[np.int32] | Floats, window: tuple[float, float] | None = None
) -> Floats:
    """Return the brightness, 0 to 255, that a window gives to samples.

    :param window: the lowest and highest sample that is displayed as such;
        without one, that of the middle 99 % of the samples.
    """
    low, high = window or middle(samples)
    scale = GREYS / max(high - low, np.finfo(np.float64).tiny)
    return np.rint(np.clip((samples - low) * scale, 0, GREYS))


def middle(samples: NDArray[np.int32] | Floats) -> tuple[float, float]:
    """Return a window of the middle 99 % of the samples."""
    first, last = (float(end) for end in np.percentile(samples, MIDDLE))
    return first, max(last, first + 1.0)


def _sums(groups: Ints, values: Floats, count: int) -> Floats:
    return np.bincount(groups.ravel(), values.ravel(), count).astype(np.float64)


def _harm(change: float) -> float:
    """Return the mean squared error of a change in a display of whole grey levels."""
    whole, part = divmod(change, 1.0)
    return whole * whole + part * (2 * whole + 1)
