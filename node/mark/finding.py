"""Read the robust mark of any picture: as it was marked, or resized, turned, cropped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.mark import bitmap
from node.mark.pattern import half_edge
from node.mark.reading import Reading, gather, read, score
from node.mark.sync import ORIENTATIONS, places, template

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from node.mark.bitmap import Seen
    from node.mark.message import Hospital
    from node.mark.pattern import Floats
    from node.mark.sync import Place, Spectra

WORTH = 5.7
"""A place that stands out by less is chance: of 10^8 that were tried the best does as much."""

SURE = 8.0
"""As in :mod:`node.mark.reading`, but for the best of so many places; by chance once in 10^6."""

HOPELESS = 4.0
"""Moving a place a little brings its score no further than from here to ``SURE``."""

STEP, ROUNDS = 0.16, 3
"""Cells by which a place is moved to hear better, at the border of the picture; then half of it,
and so on."""

LEAST = 16
"""Pixels along an edge; in less there is nothing to find."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a picture says, and how it was found.

    :param cell: edge of a cell in pixels of the picture; it tells the scale.
    :param degrees: by which the picture is turned, counter-clockwise, quarters
        included.
    :param drawn: the bitmap that it carries beside the message, or None.
    """

    reading: Reading
    cell: float
    degrees: float = 0.0
    mirrored: bool = False
    drawn: Seen | None = None


def find(picture: Floats, hospitals: Sequence[Hospital], *, search: bool = True) -> Finding | None:
    """Return whose picture it is, or None if no hospital can be told.

    :param picture: brightness, 0 to 255, shape (rows, columns).
    :param search: look at other sizes, turns and crops, too; takes seconds.
    """
    if min(picture.shape) < LEAST or not hospitals:
        return None
    half = half_edge(*picture.shape)
    reading = read(gather(picture, half), hospitals)
    if reading is not None:
        drawn = bitmap.read(picture, half, inverted=reading.inverted, cropped=False)
        return Finding(reading, 2.0 * half, drawn=drawn)
    if not search:
        return None
    wanted = [one for hospital in hospitals for one in _wanted(hospital)]
    for turned in (False, True):
        for index, place in places(picture, [one.spectra for one in wanted], turned=turned):
            if place.score >= WORTH and (found := _confirm(wanted[index], place, picture)):
                return found
    return None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is looked for: a hospital's word, or with it the one of a recipient."""

    hospital: Hospital
    recipient: int | None
    spectra: Spectra


def _wanted(hospital: Hospital) -> Iterator[_Wanted]:
    for number in hospital.recipients if hospital.key else ():
        yield _Wanted(hospital, number, template(hospital.message(number)))
    yield _Wanted(hospital, None, template(hospital.word))


def _confirm(wanted: _Wanted, seen: Place, picture: Floats) -> Finding | None:
    """Read the picture at a place; what was looked for is there if either is clear enough."""
    place, says = _polish(seen, wanted.hospital.word)
    reading = read(says, [wanted.hospital], sure=SURE)
    if seen.score >= SURE and (reading is None or reading.recipient is None):
        inverted = score(says, wanted.hospital.word) < 0
        reading = Reading(wanted.hospital, wanted.recipient, seen.score, inverted)
    return _found(reading, place, picture) if reading else None


def _polish(place: Place, word: bytes) -> tuple[Place, Floats]:
    """Return the place close by where the word stands out most, and what is said there."""

    def listen(place: Place) -> Floats:
        return gather(place.straighten(), place.band.half)

    says = listen(place)
    if abs(score(says, word)) < HOPELESS:
        return place, says
    step = STEP
    for _ in range(ROUNDS):
        for move in range(4):
            for side in (-step, step):
                moved = place.moved(move, side)
                heard = listen(moved)
                if abs(score(heard, word)) > abs(score(says, word)):
                    place, says = moved, heard
                    break
        step /= 2
    return place, says


def _found(reading: Reading, place: Place, picture: Floats) -> Finding:
    turns, mirrored = ORIENTATIONS[place.orientation]
    scale = min(picture.shape) / min(place.band.level.shape)
    degrees = math.degrees(place.turn) + 90 * turns
    drawn = bitmap.read(
        place.straighten(), place.band.half, inverted=reading.inverted, cropped=True
    )
    return Finding(reading, place.cell * scale, degrees, mirrored, drawn)
