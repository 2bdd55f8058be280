"""How many tiles share a payload, and how much of it each holds. Not part of the format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.mark.framing import groups, needed, overhead
from node.mark.settings import SIZE_BITS, TAG_BYTES, size_of

if TYPE_CHECKING:
    from collections.abc import Sequence

ENOUGH = 29 * 1000 // 64
"""Tiles in a thousand whose loss is survived if possible; more is not sought."""

ATTEMPTS = 4
"""Plans of each kind that are tried: their estimates may be wrong."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to mark.

    :param amplitude: the most that a sample may change.
    :param code: the size code of the shards.
    :param spare: live tiles in a thousand that may be lost.
    :param voids: tiles that surely cannot carry.
    """

    amplitude: int
    code: int
    spare: int
    voids: frozenset[int]


def plans(rooms: Sequence[int], length: int, amplitude: int) -> list[Plan]:
    """Return the plans that should carry ``length`` bytes, those that survive most first.

    :param rooms: about how many bytes fit in each tile at this amplitude.
    """
    found = [
        plan
        for code in range(1 << SIZE_BITS)
        if (plan := _plan(rooms, length, amplitude, code)) is not None
    ]
    found.sort(key=lambda plan: (-plan.spare, plan.code))
    return found[:ATTEMPTS]


def room(rooms: Sequence[int]) -> int:
    """Return how many payload bytes surely fit.

    The estimates of single tiles may be wrong either way, so an eighth of the
    tiles and an eighth of the bytes are held back.
    """
    best = 0
    for code in range(1 << SIZE_BITS):
        voids = _voids(rooms, code)
        live = _least(len(rooms), voids)
        whole = (live - live // 8) * groups(len(rooms)) * size_of(code)
        best = max(best, whole - overhead(len(rooms), len(voids)))
    return best - best // 8


def _plan(rooms: Sequence[int], length: int, amplitude: int, code: int) -> Plan | None:
    count = len(rooms)
    voids = _voids(rooms, code)
    k = needed(count, len(voids), length, size_of(code))
    live = _least(count, voids)
    if k > live:
        return None
    return Plan(amplitude, code, min((live - k) * 1000 // live, ENOUGH), voids)


def _voids(rooms: Sequence[int], code: int) -> frozenset[int]:
    data = TAG_BYTES + size_of(code)
    return frozenset(index for index, room in enumerate(rooms) if room < data)


def _least(count: int, voids: frozenset[int]) -> int:
    """Return how many live tiles the worst group has."""
    number = groups(count)
    return min(
        sum(1 for index in range(group, count, number) if index not in voids)
        for group in range(number)
    )
