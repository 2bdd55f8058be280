"""Which model carries a message with the least harm. Not part of the format.

Every choice is reckoned in whole numbers, so that it falls alike everywhere,
and then tried out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from math import isqrt, log2
from typing import TYPE_CHECKING

import numpy as np

from node.mark.fine.chances import ONE, places
from node.mark.fine.model import (
    AMPLITUDES,
    PRICES,
    QUARTERS,
    Model,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from node.mark.fine.kernel import Engine
    from node.mark.fine.model import Layout
    from node.mark.fine.plain import Sheet, Written

    Samples = NDArray[np.int32]
    Table = NDArray[np.int64]
    Reals = NDArray[np.float64]

STRIDE = 16
COARSE = (*range(0, len(PRICES), STRIDE), len(PRICES) - 1)
"""Prices that are reckoned with; between them it is guessed."""

UNIT = 256
"""Parts of a bit that are counted."""

SPREAD, CHEAP = (0, 4, 5), (0, 2, 4)
"""Predictors and coarse prices that tell how much fits at most."""

STEPS = (1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 32, 32, 64, 64)
"""How far a price is lowered, one time after the other, until the message fits."""

PATIENCE = 2
"""So many lower prices one after the other may leave no fewer bits than the best before."""

TURNS = 3
"""Models that are tried where none fits, each for the samples as the one before left them."""


@cache
def _logs() -> Table:
    """Bits that a choice is worth, by its chance."""
    return np.array([0] + [round(UNIT * log2(ONE / part)) for part in range(1, ONE + 1)])


@lru_cache(maxsize=64)
def _worth(engine: Engine, amplitude: int, shape: int, price: int) -> tuple[Reals, Reals]:
    """Return what a sample carries and how often it moves, by distance and width.

    In parts of UNIT * ONE bits and of ONE moves: whole numbers in floats, which are exact.
    """
    moves, comes, _ = engine.chances(amplitude, shape, price)
    step = QUARTERS * amplitude
    logs = _logs()
    further = np.zeros_like(comes)
    further[:, :-step] = comes[:, step:]
    open_ = (moves > 0) & (moves < ONE)
    taken = np.where(open_, moves * logs[moves] + (ONE - moves) * logs[ONE - moves], 0)
    put = moves * logs[further] + (ONE - moves) * np.where(comes > 0, logs[ONE - comes], 0)
    return (taken - put).T.astype(np.float64), moves.T.astype(np.float64)


class Search:
    """Finds models for tiles.

    :param engine: counts and tries.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def room(self, sheet: Sheet, amplitude: int) -> int:
        """Return about how many bits fit at most."""
        most = 0
        for step in (step for step in AMPLITUDES if step <= amplitude):
            counts = self._engine.count(sheet, sheet.samples, step)
            odds = _Reckoning(self._engine, step, sheet.layout)
            most = max(
                most,
                *(odds.of(counts[index], 0, price).bits for index in SPREAD for price in CHEAP),
            )
        return most - most // 6

    def choose(self, sheet: Sheet, bits: int, grades: Iterable[int]) -> Model | None:
        """Return the model for a message of so many bits; None if none carries it.

        The first grade of amplitude that carries is taken. A first model is tried with
        a message of no meaning, and a second one made for the samples as they
        are met then: those that moved before make the rest harder to predict.
        """
        noise = hashlib.shake_256(bits.to_bytes(4, "big")).digest(-(-bits // 8))
        trial = np.unpackbits(np.frombuffer(noise, dtype=np.uint8))[:bits].tolist()
        for grade in grades:
            first = self._try(sheet, sheet.samples, grade, trial)
            if first is None:
                continue
            second = self._try(sheet, first[1], grade, trial)
            better = second is not None and _harm(sheet, second[1]) < _harm(sheet, first[1])
            return second[0] if second is not None and better else first[0]
        return None

    def _try(
        self, sheet: Sheet, marked: Samples, grade: int, trial: list[int]
    ) -> tuple[Model, Samples] | None:
        """Return a model for samples as they are met in writing ``marked``, and what it makes."""
        odds = _Reckoning(self._engine, AMPLITUDES[grade], sheet.layout)
        for _ in range(TURNS):
            counts = self._engine.count(sheet, marked, AMPLITUDES[grade])
            model = _model(odds, counts, grade, len(trial))
            if model is None:
                break
            model, written = self.settle(sheet, model, trial, 0)
            marked = written.samples
            if not written.left:
                return model, marked
        return None

    def settle(
        self, sheet: Sheet, model: Model, message: list[int], lower: int
    ) -> tuple[Model, Written]:
        """Return the model with the highest price at which a message fits, and what it wrote.

        If none is found, that which leaves the fewest bits of those tried.

        :param lower: how much lower the price is at least.
        """
        stride = sheet.layout.strides[-1]
        price = max(0, model.price - lower * stride)
        best = replace(model, price=price)
        found = self._engine.write(sheet, best, message)
        vain = 0
        for step in (step for step in STEPS if step >= stride):
            if not found.left or price == 0 or vain == PATIENCE:
                break
            price = max(0, price - step // stride * stride)
            tried = replace(model, price=price)
            written = self._engine.write(sheet, tried, message)
            vain += 1
            if written.left < found.left:
                best, found, vain = tried, written, 0
        return best, found


def _harm(sheet: Sheet, marked: Samples) -> int:
    return int(np.square(marked.astype(np.int64) - sheet.samples).sum())


def _model(odds: _Reckoning, counts: Table, grade: int, bits: int) -> Model | None:
    """Return the model that should carry so many bits with the fewest moves."""
    layout, stride = odds.layout, odds.layout.strides[-1]
    start = max(odds.dearest(counts[0], 0, bits), 0)
    _, predictor = max(
        (odds.of(counts[index], 0, start).gain, -index) for index in range(1 << layout.widths[1])
    )
    table = counts[-predictor]
    _, shape = max(
        (odds.of(table, index, start).gain, -index) for index in range(1 << layout.widths[2])
    )
    last = odds.dearest(table, -shape, bits)
    if last < 0:
        return None
    here = odds.of(table, -shape, last)
    price = COARSE[last]
    if last + 1 < len(COARSE):
        beyond = odds.of(table, -shape, last + 1)
        price += _between(here.bits, beyond.bits, bits, STRIDE) // stride * stride
    price = min(price, len(PRICES) - stride)
    return Model(grade, -predictor, -shape, here.base, here.slope, price)


def _between(here: int, beyond: int, bits: int, gap: int) -> int:
    """Return how many steps towards ``beyond`` the bits still fit, if they fall off evenly."""
    steps, part = 0, gap // 2
    while part:
        middle = isqrt(max(here * beyond, 0))
        if middle >= bits:
            steps, here = steps + part, middle
        else:
            beyond = middle
        part //= 2
    return steps


@dataclass(frozen=True, slots=True)
class _Odds:
    """What the best base and slope give.

    :param gain: bits less what the moves cost, in parts of UNIT * ONE.
    :param bits: that are carried.
    """

    base: int
    slope: int
    gain: int
    bits: int


class _Reckoning:
    """Reckons what models would give, for one amplitude and layout."""

    def __init__(self, engine: Engine, amplitude: int, layout: Layout) -> None:
        self.layout = layout
        self._engine, self._amplitude, self._stride = engine, amplitude, layout.strides[-2]
        self._places = places(amplitude)[:, :: self._stride]

    def of(self, counts: Table, shape: int, price: int) -> _Odds:
        """Return what one predictor, shape and price give.

        :param counts: samples by class and distance.
        :param price: index into COARSE.
        """
        used = np.flatnonzero(counts.any(axis=1))
        worth = _worth(self._engine, self._amplitude, shape, COARSE[price])
        # Whole numbers below 2 to the 53: exact whatever the order of summing up.
        carried, moved = (counts[used].astype(np.float64) @ part for part in worth)
        cost = round(UNIT * log2(65536 / PRICES[COARSE[price]]))
        chosen = np.arange(len(used)), self._places[:, :, used]
        gains = (carried - cost * moved)[chosen].sum(axis=2)
        base, slope = divmod(int(gains.argmax()), gains.shape[1])
        bits = int(carried[chosen[0], chosen[1][base, slope]].sum()) // (UNIT * ONE)
        return _Odds(base, slope * self._stride, int(gains[base, slope]), bits)

    def dearest(self, counts: Table, shape: int, bits: int) -> int:
        """Return the highest of the COARSE prices at which so many bits should fit; -1 if none."""
        low, high = -1, len(COARSE)
        while high - low > 1:
            middle = (low + high) // 2
            if self.of(counts, shape, middle).bits >= bits:
                low = middle
            else:
                high = middle
        return low
