"""How often a picture would be named by chance: words that nobody wrote, looked for in pictures.

In place every word has one score. A whole search has the best of all sizes, turns and shifts. The
half square of such a best of normal deviates follows Gumbel's law with a scale of about 1; the
law is fitted, and the fit repeated on samples drawn again, to know how far it can be trusted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.robust import load
from node.errors import SealnodeError
from node.mark import robust
from node.mark.chance import ALLOWED, PARTS, SEARCHED, enough
from node.mark.finding import PLACES, WORTH, polish
from node.mark.message import own
from node.mark.pattern import CODES, HOSPITAL, MESSAGE, WORD, half_edge
from node.mark.reading import gather, score
from node.mark.strength import displayed
from node.mark.sync import places, template

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Random = np.random.Generator
    Floats = NDArray[np.float64]

LOT = 5_000
AGAIN = 1_000
"""Samples drawn again for the bounds."""

STRANGER = own(b"\x5a" * 32)
"""A hospital that nobody registered."""


def scored(name: str, path: Path, words: int, searches: int, *, marked: bool) -> dict[str, Any]:
    """Return the scores of words that nobody wrote into a picture.

    :param words: scored in place, of hospitals alone and with a recipient each.
    :param searches: words for which the picture is searched.
    :param marked: the picture carries the mark of a stranger.
    """
    found: dict[str, Any] = {"image": name, "marked": marked, "in_place": {}, "searched": []}
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
    sizes = {"hospital": (HOSPITAL,), "with recipient": (HOSPITAL, MESSAGE - HOSPITAL)}
    for kind, parts in sizes.items():
        heard = np.concatenate([_scores(says, parts, LOT, random) for _ in range(0, words, LOT)])
        tail = {str(t): int((np.abs(heard) >= t).sum()) for t in (3, 4, 5)}
        rms = float(np.sqrt(np.mean(heard**2)))
        most = float(np.abs(heard).max())
        found["in_place"][kind] = {"count": len(heard), "rms": rms, "max": most, "tail": tail}
    said = [random.bytes(MESSAGE if number % 2 else HOSPITAL) for number in range(searches)]
    best, alone = np.zeros(searches), np.zeros(searches)
    for turned in (False, True) if searches else ():
        for index, place in places(picture, [template(word) for word in said], turned=turned):
            best[index] = max(best[index], place.score)
            if marked and place.score >= WORTH:
                heard = abs(score(polish(place, said[index])[1], said[index]))
                alone[index] = max(alone[index], heard)
    found["searched"] = best.tolist()
    found["alone"] = alone.tolist() if marked else []
    return found


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how far chance got, and by that how often it would reach what is enough."""
    in_place = [one for each in found for one in each["in_place"].values()]
    count = sum(one["count"] for one in in_place)
    facts: dict[str, Any] = {
        "in_place": count,
        "in_place_rms": round(max(one["rms"] for one in in_place), 3),
        "in_place_max": round(max(one["max"] for one in in_place), 2),
        "in_place_tail": {t: sum(one["tail"][t] for one in in_place) for t in ("3", "4", "5")},
        "in_place_enough": round(enough(1), 2),
        "allowed": ALLOWED,
        "share": ALLOWED / PARTS,
    }
    searched = [np.array(one["searched"]) for one in found if not one["marked"]]
    if not sum(map(len, searched)):
        return facts
    best = np.concatenate(searched)
    threshold = enough(SEARCHED)
    location, scale = gumbel(best**2 / 2)
    random = np.random.default_rng(6)
    again = []
    for _ in range(AGAIN):
        drawn = [one[random.integers(0, len(one), len(one))] for one in searched if len(one)]
        again.append(beyond(threshold, *gumbel(np.concatenate(drawn) ** 2 / 2)))
    alone = [value for one in found for value in one.get("alone", ())]
    return facts | {
        "searched": len(best),
        "searched_pictures": sum(len(one) > 0 for one in searched),
        "searched_mean": round(float(best.mean()), 2),
        "searched_max": round(float(best.max()), 2),
        "searched_location": round(location, 2),
        "searched_scale": round(scale, 3),
        "searched_enough": round(threshold, 2),
        "searched_chance": beyond(threshold, location, scale),
        "searched_chance_95": float(np.percentile(again, 95)),
        "searched_hundred": round(enough(SEARCHED * 100), 2),
        "strangers": len(alone),
        "strangers_max": round(max(alone, default=0.0), 2),
        "strangers_enough": round(enough(PLACES), 2),
    }


def gumbel(values: Floats) -> tuple[float, float]:
    """Return location and scale of Gumbel's law, those that make the values likeliest."""
    scale = float(values.std()) * math.sqrt(6) / math.pi
    least = values.min()
    for _ in range(100):
        weight = np.exp(-(values - least) / scale)
        scale += 0.5 * (float(values.mean() - (values * weight).sum() / weight.sum()) - scale)
    return float(least - scale * math.log(np.exp(-(values - least) / scale).mean())), scale


def beyond(threshold: float, location: float, scale: float) -> float:
    """Return the chance that the best score of a search is so much or more."""
    return -math.expm1(-math.exp(-(threshold**2 / 2 - location) / scale))


def _scores(
    says: Floats, parts: tuple[int, ...], count: int, random: np.random.Generator
) -> Floats:
    signs = []
    for which, size in enumerate(parts):
        bits = random.integers(0, 2, (count, 8 * size), np.uint8)
        signs.append(1.0 - 2.0 * CODES[which].encode(bits))
    heard = says[: WORD * len(parts)]
    sums: Floats = np.concatenate(signs, axis=1) @ heard
    return sums / math.sqrt(float(np.sum(heard**2)))
