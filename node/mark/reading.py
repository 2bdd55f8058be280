"""Read the robust mark of a picture whose cells are known to lie where they lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from node.mark.chance import enough
from node.mark.pattern import (
    CODES,
    GROUPS,
    HOSPITAL,
    WORD,
    details,
    deviations,
    evidence,
    layout,
    symbols,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from node.mark.message import Hospital
    from node.mark.pattern import Floats

WIDTH = 16
"""Paths of the list decoder."""

FAINT = 3.0
"""With less, the recipient's word is not even looked at."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    :param recipient: None if it could not be read, or not be proved.
    :param score: deviations by which the words stand out.
    :param inverted: bright and dark are exchanged.
    """

    hospital: Hospital
    recipient: int | None
    score: float
    inverted: bool


def gather(picture: Floats, half: int) -> Floats:
    """Return what each group says: positive for 0, negative for 1, the surer the larger.

    :param picture: brightness, 0 to 255; its first cell begins at the first sample.
    """
    found = details(picture, half)
    said = evidence(found, deviations(picture, half, found))
    group = layout().over(*found.shape[:2])
    return np.bincount(group.ravel(), said.ravel(), GROUPS) * layout().flip


def read(says: Floats, hospitals: Iterable[Hospital], *, tests: float = 1) -> Reading | None:
    """Return what the groups say, if one of the hospitals made it.

    That is proved by the recipient's word, or by a score that is no chance.

    :param tests: places at which this, or as good, is asked of the picture.
    """
    heard = [
        (score(says, word), hospital, number, word)
        for hospital in hospitals
        for number, word in hospital.words()
    ]
    if not heard:
        return None
    best, hospital, number, word = max(heard, key=lambda one: abs(one[0]))
    if abs(best) < FAINT:
        return None
    upright = says * math.copysign(1.0, best)
    recipient = _proved(upright, hospital)
    if recipient is None and abs(best) < enough(tests * len(heard)):
        return None
    if recipient is None and number is not None and is_said(upright, word):
        recipient = number
    return Reading(hospital, recipient, abs(best), best < 0)


def is_said(says: Floats, message: bytes) -> bool:
    """Return whether the recipient of a message stands out by itself, its hospital being known."""
    recipient = says[WORD : 2 * WORD] * symbols(message[HOSPITAL:], 1)
    return _standing_out(recipient) >= enough(1)


def score(says: Floats, word: bytes) -> float:
    """Return by how many deviations a word stands out of all others; negative if inverted.

    Pilots do not count: every mark has them, whosever it is. It cannot be
    more than the root of the number of groups that say the word.

    :param word: 12 bytes of a hospital, or a message of 20.
    """
    return _standing_out(_said(says, word))


def fit(says: Floats, word: bytes) -> float:
    """Return by how many deviations a mark with this word stands out of none, pilots and all."""
    return _standing_out(np.concatenate([_said(says, word), says[2 * WORD :]]))


def _said(says: Floats, word: bytes) -> Floats:
    first = says[:WORD] * symbols(word[:HOSPITAL], 0)
    if len(word) == HOSPITAL:
        return first
    return np.concatenate([first, says[WORD : 2 * WORD] * symbols(word[HOSPITAL:], 1)])


def _standing_out(values: Floats) -> float:
    size = math.sqrt(float(np.sum(values**2)))
    return float(values.sum()) / size if size else 0.0


def _proved(says: Floats, hospital: Hospital) -> int | None:
    """Return the recipient that can be read and that only the hospital can have written."""
    if not hospital.key:
        return None
    decoded = CODES[1].decode(says[WORD : 2 * WORD], WIDTH)
    named = (hospital.recipient(np.packbits(bits).tobytes()) for bits in decoded)
    return next((number for number in named if number is not None), None)
