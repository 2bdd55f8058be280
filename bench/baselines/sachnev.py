"""Rhombus prediction with sorting: Sachnev, Kim, Nam, Suresh and Shi, "Reversible watermarking
algorithm using sorting and prediction", IEEE Trans. Circuits Syst. Video Technol. 19 (2009) 989.

Each sample of one colour of the chessboard is predicted by the mean of its four
neighbours, which are of the other colour; samples are visited in the order of
the variance of their neighbours' differences; errors in ``Tn..Tp`` are expanded
to carry a bit, others shifted. Then the other colour. Everything that a reader
needs is in the image: parameters in the lowest bits of the first samples of
the order, whose own bits go with the payload.

The location map tells, of samples that can not be changed (again), which were
changed. It lies behind the parameters, not in the payload as in the paper, so
that a reader knows it before it needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.baselines.container import NoRoomError, bits_of, bytes_of, number, put, value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.baselines.container import Bits, Samples

NAME = "Sachnev 2009"
THRESHOLD, LENGTH, MAP = 7, 20, 12
"""Bits of the parameters: each threshold and the payload's length (34 together, as in the
paper), and the length of the location map."""

HEADER = 2 * THRESHOLD + LENGTH + MAP
WIDEST = 24
TOP = 255


@dataclass(frozen=True, slots=True)
class Cells:
    """The samples of one colour in the order of visiting: flat places and predictions."""

    places: NDArray[np.int64]
    predicted: Samples


def embed(image: NDArray[np.uint8], payload: bytes) -> NDArray[np.uint8]:
    """Return the marked image, with the thresholds that change it least.

    :raises NoRoomError: no thresholds give room enough.
    """
    best, least = None, 0.0
    for tn, tp in thresholds():
        try:
            marked = _with(image, bits_of(payload), tn, tp)
        except NoRoomError:
            continue
        error = float(np.sum((marked.astype(np.int64) - image) ** 2))
        if best is not None and error > 1.1 * least:
            break  # wider ones only shift further
        if best is None or error < least:
            best, least = marked, error
    if best is None:
        raise NoRoomError(NAME)
    return best


def thresholds() -> list[tuple[int, int]]:
    """Return pairs of thresholds, the narrowest first; ``Tn = 0`` leaves negative errors alone."""
    pairs = [(tn, tp) for tp in range(WIDEST) for tn in (-tp - 1, -tp, 1 - tp) if tn <= 0]
    return sorted(set(pairs), key=lambda pair: (pair[1] - pair[0], pair))


def extract(marked: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.uint8]]:
    """Return the payload and the image as it was."""
    samples = marked.astype(np.int64)
    second = _take(samples, 1)
    first = _take(samples, 0)
    return bytes_of(np.concatenate([first, second])), samples.astype(np.uint8)


def _with(image: NDArray[np.uint8], bits: Bits, tn: int, tp: int) -> NDArray[np.uint8]:
    samples = image.astype(np.int64)
    half = len(bits) // 2
    for colour, part in enumerate((bits[:half], bits[half:])):
        _put(samples, colour, part, tn, tp)
    return samples.astype(np.uint8)


def _cells(samples: Samples, colour: int) -> Cells:
    rows, columns = samples.shape
    row, column = np.mgrid[1 : rows - 1, 1 : columns - 1]
    chosen = (row + column) % 2 == colour
    row, column = row[chosen], column[chosen]
    around = np.stack(
        [
            samples[row, column - 1],
            samples[row - 1, column],
            samples[row, column + 1],
            samples[row + 1, column],
        ]
    )
    steps = np.abs(around - np.roll(around, -1, axis=0))
    unrest = 4 * np.sum(steps**2, axis=0) - np.sum(steps, axis=0) ** 2  # 16 times the variance
    order = np.argsort(unrest, kind="stable")
    places = (row * columns + column)[order]
    return Cells(places, (np.sum(around, axis=0) // 4)[order])


def _moved(error: Samples, tn: int, tp: int, bit: int) -> Samples:
    """Return errors with a bit in those that carry one, and the others shifted."""
    away = np.where(error > tp, error + tp + 1, error + tn)
    return np.where((error >= tn) & (error <= tp), 2 * error + bit, away)


def _free(error: Samples, predicted: Samples, tn: int, tp: int) -> NDArray[np.bool_]:
    """Return which samples stay in range whatever bit they get."""
    free = np.ones(len(error), bool)
    for bit in (0, 1):
        after = predicted + _moved(error, tn, tp, bit)
        free &= (after >= 0) & (after <= TOP)
    return free


def _put(samples: Samples, colour: int, payload: Bits, tn: int, tp: int) -> None:
    cells, flat = _cells(samples, colour), samples.reshape(-1)
    unsure = 0
    while True:
        head = HEADER + unsure
        places, predicted = cells.places[head:], cells.predicted[head:]
        saved = (flat[cells.places[:head]] & 1).astype(np.uint8)
        message = np.concatenate([saved, payload])
        error = flat[places] - predicted
        free = _free(error, predicted, tn, tp)
        carries = free & (error >= tn) & (error <= tp)
        room = np.cumsum(carries)
        if not len(room) or room[-1] < len(message):
            raise NoRoomError(NAME)
        end = int(np.searchsorted(room, len(message))) + 1
        error, free, carries = error[:end], free[:end], carries[:end]
        bits = np.zeros(end, np.int64)
        bits[carries] = message
        after = np.where(free, _moved(error, tn, tp, bits), error)
        again = _free(after, predicted[:end], tn, tp)
        marks = (~free[~again]).astype(np.uint8)
        if len(marks) <= unsure:
            break
        unsure = len(marks)
        if unsure >= 1 << MAP:
            raise NoRoomError(NAME)
    filled = np.zeros(unsure, np.uint8)  # zeros behind the map mean nothing
    filled[: len(marks)] = marks
    flat[places[:end]] = predicted[:end] + after
    head_bits = np.concatenate(
        [number(-tn, THRESHOLD), number(tp, THRESHOLD), number(len(payload), LENGTH),
         number(unsure, MAP), filled]
    )  # fmt: skip
    put(flat, cells.places, head_bits)


def _take(samples: Samples, colour: int) -> Bits:
    cells, flat = _cells(samples, colour), samples.reshape(-1)
    head_bits = (flat[cells.places[:HEADER]] & 1).astype(np.uint8)
    tn, tp = -value(head_bits[:THRESHOLD]), value(head_bits[THRESHOLD : 2 * THRESHOLD])
    size = value(head_bits[2 * THRESHOLD : 2 * THRESHOLD + LENGTH])
    head = HEADER + value(head_bits[-MAP:])
    marks = flat[cells.places[HEADER:head]] & 1
    places, predicted = cells.places[head:], cells.predicted[head:]
    after = flat[places] - predicted
    again = _free(after, predicted, tn, tp)
    untouched = np.zeros(len(after), bool)
    unsure = np.flatnonzero(~again)[: len(marks)]
    untouched[unsure] = marks == 1
    carries = (after >= 2 * tn) & (after <= 2 * tp + 1) & ~untouched
    room = np.cumsum(carries)
    end = int(np.searchsorted(room, head + size)) + 1
    after, carries, untouched = after[:end], carries[:end], untouched[:end]
    back = np.where(after > 2 * tp + 1, after - tp - 1, after - tn)
    before = np.where(untouched, after, np.where(carries, after >> 1, back))
    message = (after[carries] & 1).astype(np.uint8)
    flat[places[:end]] = predicted[:end] + before
    put(flat, cells.places[:head], message[:head])
    return message[head:]
