"""How often a picture would be named by chance: words that nobody wrote, looked for in pictures.

In place every word has one score. A search looks at the best place of each size, turned and
upright, and half the squares of these scores beyond a threshold are spread exponentially, as those
of normal deviates are: from how many there are, and how far they get, follows how often a search
reaches what is enough (peaks over threshold: Pickands 1975). Drawing the searches again tells how
far that can be trusted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.robust import load
from node.errors import SealnodeError
from node.mark import robust
from node.mark.chance import ALLOWED, PARTS, SEARCHED, enough
from node.mark.finding import find
from node.mark.message import Hospital, own
from node.mark.pattern import CODES, HOSPITAL, MESSAGE, WORD, half_edge
from node.mark.reading import gather
from node.mark.strength import displayed
from node.mark.sync import places, template

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Random = np.random.Generator
    Floats = NDArray[np.float64]

LOT = 5_000
KEPT, PEAK = 5.5, 6.0
"""Scores of places that stand in the results, and from which on their law is fitted: where a
search has less than one in the mean, so that they are a tail and not the bulk."""

AGAIN = 2_000
"""Samples drawn again for the bounds."""

MANY = 100
"""Words for which it is told, too, what is enough."""

STRANGER = own(b"\x5a" * 32)
"""A hospital that nobody registered."""


def scored(name: str, path: Path, words: int, searches: int, *, marked: bool) -> dict[str, Any]:
    """Return the scores of words that nobody wrote into a picture.

    :param words: scored in place, of hospitals alone and with a recipient each.
    :param searches: words for which the picture is searched.
    :param marked: the picture carries the mark of a stranger.
    """
    found: dict[str, Any] = {"image": name, "in_place": [], "peaks": [], "searched": 0, "named": 0}
    try:
        scene = load(name, path)
        samples = scene.carrier.samples
        if marked:
            samples = robust.add(scene.carrier, STRANGER.message(7), scene.window).samples
    except SealnodeError:
        return found
    picture = displayed(samples, scene.window)
    random = np.random.default_rng(5)
    says = gather(picture, half_edge(*picture.shape))
    for parts in ((HOSPITAL,), (HOSPITAL, MESSAGE - HOSPITAL)):
        heard = np.concatenate([_scores(says, parts, LOT, random) for _ in range(0, words, LOT)])
        tail = [int((np.abs(heard) >= score).sum()) for score in (3, 4, 5)]
        rms, most = float(np.sqrt(np.mean(heard**2))), float(np.abs(heard).max())
        found["in_place"].append({"count": len(heard), "rms": rms, "max": most, "tail": tail})
    if marked and searches:
        others = [Hospital(random.bytes(HOSPITAL)) for _ in range(searches)]
        return found | {"named": int(find(picture, others) is not None), "strangers": searches}
    said = [random.bytes(MESSAGE if number % 2 else HOSPITAL) for number in range(searches)]
    peaks: list[list[float]] = [[] for _ in said]
    for turned in (False, True) if said else ():
        for index, place in places(picture, [template(word) for word in said], turned=turned):
            if place.score >= KEPT:
                peaks[index].append(round(place.score, 3))
    return found | {"peaks": peaks, "searched": searches}


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how far chance got, and by that how often it would reach what is enough."""
    in_place = [one for each in found for one in each["in_place"]]
    facts: dict[str, Any] = {
        "in_place": sum(one["count"] for one in in_place),
        "in_place_rms": round(max(one["rms"] for one in in_place), 3),
        "in_place_max": round(max(one["max"] for one in in_place), 2),
        "in_place_tail": np.sum([one["tail"] for one in in_place], axis=0).tolist(),
        "in_place_enough": round(enough(1), 2),
        "share": ALLOWED / PARTS,
        "peaks_from": PEAK,
    }
    kept = [peaks for one in found for peaks in one["peaks"]]
    searches = [[score for score in peaks if score >= PEAK] for peaks in kept]
    if not any(searches):
        return facts
    random = np.random.default_rng(6)
    drawn = (random.integers(0, len(searches), len(searches)) for _ in range(AGAIN))
    again = [law([searches[index] for index in chosen]) for chosen in drawn]
    rate, scale = law(searches)
    return facts | {
        "searched": len(searches),
        "searched_pictures": sum(one["searched"] > 0 for one in found),
        "searched_best": sorted((max(peaks, default=0.0) for peaks in kept), reverse=True),
        "searched_max": round(max(score for peaks in searches for score in peaks), 2),
        "peaks_kept": sorted((score for peaks in kept for score in peaks), reverse=True),
        "peaks": sum(map(len, searches)),
        "peaks_rate": round(rate, 2),
        "peaks_scale": round(scale, 3),
        "peaks_scale_95": round(float(np.percentile([scale for _, scale in again], 95)), 3),
        "searched_enough": round(enough(SEARCHED), 2),
        "searched_chance": beyond(enough(SEARCHED), rate, scale),
        "searched_chance_95": float(
            np.percentile([beyond(enough(SEARCHED), *one) for one in again], 95)
        ),
        "many_enough": round(enough(SEARCHED * MANY), 2),
        "many_chance": MANY * beyond(enough(SEARCHED * MANY), rate, scale),
        "strangers": sum(one.get("strangers", 0) for one in found),
        "strangers_named": sum(one["named"] for one in found),
    }


def law(searches: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return how many peaks a search has, and the scale of half their squares beyond ``PEAK``."""
    peaks = np.array([score for each in searches for score in each])
    if not peaks.size:
        return 0.0, 1.0
    return len(peaks) / len(searches), float(np.mean(peaks**2 - PEAK**2)) / 2


def beyond(score: float, rate: float, scale: float) -> float:
    """Return the chance, at most, that a search has a peak so high."""
    return rate * math.exp(-(score**2 - PEAK**2) / 2 / scale)


def _scores(says: Floats, parts: tuple[int, ...], count: int, random: Random) -> Floats:
    signs = []
    for which, size in enumerate(parts):
        bits = random.integers(0, 2, (count, 8 * size), np.uint8)
        signs.append(1.0 - 2.0 * CODES[which].encode(bits))
    heard = says[: WORD * len(parts)]
    sums: Floats = np.concatenate(signs, axis=1) @ heard
    return sums / math.sqrt(float(np.sum(heard**2)))
