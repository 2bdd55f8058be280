"""How far a score must stand out, so that chance does as much in one picture of a million at most.

A score is the correlation of what a picture says with a word that nobody can
choose. Whatever the picture, over all words it spreads like a normal deviate;
the more words and places are tried, the further the best of them gets by
chance. ``scripts/bench chance`` measures both. Not part of the format.
"""

from __future__ import annotations

from statistics import NormalDist

ALLOWED = 1e-6
"""Chance that a picture is named that nobody marked, or another: of everything that is tried."""

PARTS = 6
"""It is divided among three ways to look, each through two windows."""

SEARCHED = 1e13
"""Places that a search seems to compare with a word. It tries 1e8 sizes, turns and shifts, and then
moves the best of them until it fits best; and what it finds by chance spreads further than normal
deviates do: half the squares by 1.2 to 1.5, as they are counted from 6.0 or from 5.5 on. Whichever
is right, at its upper end (95 %), of so many places what is enough is reached as rarely as it shall
be."""


def enough(tests: float) -> float:
    """Return the score that of so many words and places one reaches by chance once in a million.

    :param tests: how many are tried.
    """
    return -NormalDist().inv_cdf(ALLOWED / PARTS / tests / 2)
