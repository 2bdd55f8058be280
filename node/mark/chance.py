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

SEARCHED = 1e10
"""Places that a search compares with a word: 1e8 sizes, turns and shifts. The best of them is then
moved until it fits best, and so gets as far as the best of so many more."""


def enough(tests: float) -> float:
    """Return the score that of so many words and places one reaches by chance once in a million.

    :param tests: how many are tried.
    """
    return -NormalDist().inv_cdf(ALLOWED / PARTS / tests / 2)
