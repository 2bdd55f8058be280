"""Read the robust mark of a picture whose cells are known to lie where they lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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

SURE = 6.0
"""Deviations by which a hospital's word must stand out of one place: by chance once in 10^9."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    :param recipient: None if it could not be read, or not be proved.
    :param score: deviations by which the hospital's word stands out.
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


def read(says: Floats, hospitals: Iterable[Hospital], *, sure: float = SURE) -> Reading | None:
    """Return what the groups say, if one of the hospitals made it.

    That is proved by the recipient's word, or by a score of ``sure``.
    """
    scored = [(score(says, hospital.word), hospital) for hospital in hospitals]
    if not scored:
        return None
    best, hospital = max(scored, key=lambda pair: abs(pair[0]))
    if abs(best) < FAINT:
        return None
    soft = says[WORD : 2 * WORD] * math.copysign(1.0, best)
    named = (
        hospital.recipient(np.packbits(bits).tobytes()) for bits in CODES[1].decode(soft, WIDTH)
    )
    recipient = next((number for number in named if number is not None), None)
    if recipient is None and abs(best) < sure:
        return None
    return Reading(hospital, recipient, abs(best), best < 0)


def score(says: Floats, word: bytes) -> float:
    """Return by how many deviations a hospital's word stands out; negative if inverted.

    It cannot be more than the root of the number of groups that say the word.
    """
    known = np.concatenate([says[:WORD] * symbols(word[:HOSPITAL], 0), says[2 * WORD :]])
    size = math.sqrt(float(np.sum(known**2)))
    return float(known.sum()) / size if size else 0.0
