"""Read the robust mark of any picture: as it was marked, or resized, turned, cropped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.mark import bitmap
from node.mark.chance import SEARCHED, enough
from node.mark.pattern import FINEST, half_edge
from node.mark.reading import Reading, fit, gather, is_said, read, score
from node.mark.scaling import SIZES, guesses
from node.mark.sync import BANDS, ORIENTATIONS, SIDES, places, template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.mark.bitmap import Seen
    from node.mark.message import Hospital
    from node.mark.pattern import Floats
    from node.mark.sync import Place, Spectra

WORTH = 5.7
"""A place that stands out by less is chance: of 10^8 that were tried the best does as much."""

PLACES = 2 * len(SIDES) * len(BANDS)
"""Places that a search may have to confirm for each word."""

HOPELESS = 4.0
"""Moving a place a little brings its score no further than from here to what is enough."""

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
    return _guessed(picture, hospitals) or _searched(picture, hospitals)


def _guessed(picture: Floats, hospitals: Sequence[Hospital]) -> Finding | None:
    """Read the picture as a whole one that was resized by a simple ratio, or from a usual size."""
    for edge, other in guesses(picture):
        reading = read(gather(other, FINEST), hospitals, tests=SIZES)
        if reading is not None:
            drawn = bitmap.read(other, FINEST, inverted=reading.inverted, cropped=False)
            return Finding(reading, edge, drawn=drawn)
    return None


def _searched(picture: Floats, hospitals: Sequence[Hospital]) -> Finding | None:
    wanted = [
        _Wanted(hospital, number, word, template(word))
        for hospital in hospitals
        for number, word in reversed([*hospital.words()])
    ]
    for turned in (False, True):
        for index, place in places(picture, [one.spectra for one in wanted], turned=turned):
            if place.score < WORTH:
                continue
            if found := _confirm(wanted[index], place, picture, len(wanted)):
                return found
    return None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is looked for: a hospital's word, or with it the one of a recipient."""

    hospital: Hospital
    recipient: int | None
    word: bytes
    spectra: Spectra


def _confirm(wanted: _Wanted, seen: Place, picture: Floats, words: int) -> Finding | None:
    """Read the picture at a place; what was looked for is there if either is clear enough.

    A place stands out by its pilots as well, which are those of every mark:
    there the words alone must be no chance, too.

    :param words: how many are looked for.
    """
    place, says = polish(seen, wanted.word)
    reading = read(says, [wanted.hospital], tests=SEARCHED * words)
    alone, chance = score(says, wanted.word), enough(PLACES * words)
    if reading is None and seen.score >= enough(SEARCHED * words) and abs(alone) >= chance:
        says = says * math.copysign(1.0, alone)
        named = wanted.recipient is not None and is_said(says, wanted.word)
        number = wanted.recipient if named else None
        reading = Reading(wanted.hospital, number, seen.score, alone < 0)
    return _found(reading, place, picture) if reading else None


def polish(place: Place, word: bytes) -> tuple[Place, Floats]:
    """Return the place close by where a word, or message, is heard best, and what is said there."""

    def listen(place: Place) -> Floats:
        return gather(place.straighten(), place.band.half)

    says = listen(place)
    if abs(fit(says, word)) < HOPELESS:
        return place, says
    step = STEP
    for _ in range(ROUNDS):
        for move in range(4):
            for side in (-step, step):
                moved = place.moved(move, side)
                heard = listen(moved)
                if abs(fit(heard, word)) > abs(fit(says, word)):
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
