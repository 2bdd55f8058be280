"""Read the robust mark of a picture whose cells are known to lie where they lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from node.mark.pattern import (
    CODE,
    GROUPS,
    SYMBOLS,
    details,
    deviations,
    evidence,
    half_edge,
    layout,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.mark.pattern import Floats

WIDTH = 16
"""Paths of the list decoder."""

FAINT = 2.5
"""Deviations of the pilots; below, decoding is not even tried."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A message that was read.

    :param pilots: how many deviations the pilots stand out by, at most the
        root of their number.
    :param clarity: correlation of what the symbols say with the message, to 1.
    :param inverted: bright and dark are exchanged.
    """

    message: bytes
    pilots: float
    clarity: float
    inverted: bool


def gather(picture: Floats, half: int) -> Floats:
    """Return what each group says, for 0 or, where negative, for 1.

    :param picture: brightness, 0 to 255, its cells whole from the first sample.
    """
    found = details(picture, half)
    said = evidence(found, deviations(picture, half, found))
    group = layout().over(*found.shape[:2])
    return np.bincount(group.ravel(), said.ravel(), GROUPS) * layout().flip


def pilot_score(says: Floats) -> float:
    """Return how many deviations the pilots stand out by; negative if inverted."""
    pilots = says[SYMBOLS:]
    size = math.sqrt(float(np.sum(pilots**2)))
    return float(pilots.sum()) / size if size else 0.0


def read(says: Floats, genuine: Callable[[bytes], bool]) -> Reading | None:
    """Return the likeliest message that is genuine, or None.

    :param genuine: tells of 16 bytes whether they are a message at all.
    """
    score = pilot_score(says)
    if abs(score) < FAINT:
        return None
    soft = says[:SYMBOLS] * math.copysign(1.0, score)
    for bits in CODE.decode(soft, WIDTH):
        message = np.packbits(bits).tobytes()
        if genuine(message):
            return Reading(message, abs(score), clarity(soft, message), score < 0)
    return None


def read_aligned(picture: Floats, genuine: Callable[[bytes], bool]) -> Reading | None:
    """Read a picture that still has the size and place that it was marked with."""
    half = half_edge(*picture.shape)
    if min(picture.shape) < 2 * half:
        return None
    return read(gather(picture, half), genuine)


def clarity(soft: Floats, message: bytes) -> float:
    """Return the correlation of soft symbols with the codeword of a message."""
    word = CODE.encode(np.unpackbits(np.frombuffer(message, np.uint8)))
    size = math.sqrt(SYMBOLS * float(np.sum(soft**2)))
    return float(np.sum(np.where(word, -soft, soft))) / size if size else 0.0
