"""How many tiles share a payload, and how much of it each holds. Not part of the format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.mark.framing import groups, needed, overhead
from node.mark.settings import LENGTH_BITS, SIZES, TAG_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

ENOUGH = 29 * 1000 // 64
"""Tiles in a thousand whose loss is survived if possible; more is not sought."""

EXACT = range(1, 5)
"""Where so few shards make the payload, their length is fitted to it."""

ATTEMPTS = 4
"""Plans of each kind that are tried: their estimates may be wrong."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to mark.

    :param amplitude: the most that a sample may change.
    :param size: bytes of a shard.
    :param spare: live tiles in a thousand that may be lost.
    :param voids: tiles that surely cannot carry.
    """

    amplitude: int
    size: int
    spare: int
    voids: frozenset[int]


def plans(rooms: Sequence[int], length: int, amplitude: int) -> list[Plan]:
    """Return the plans that should carry ``length`` bytes, those that survive most first.

    :param rooms: about how many bytes fit in each tile at this amplitude.
    """
    sizes = {
        *SIZES,
        *(
            -(-(length + overhead(len(rooms), voids)) // (k * groups(len(rooms))))
            for voids in (0, 1)
            for k in EXACT
        ),
    }
    found = [
        plan
        for size in sizes
        if size < 1 << LENGTH_BITS and (plan := _plan(rooms, length, amplitude, size)) is not None
    ]
    found.sort(key=lambda plan: (-plan.spare, plan.size))
    return found[:ATTEMPTS]


def room(rooms: Sequence[int]) -> int:
    """Return how many payload bytes surely fit.

    The estimates of single tiles may be wrong either way, so an eighth of the
    tiles and an eighth of the bytes are held back.
    """
    best = 0
    for size in {*SIZES, *(room - TAG_BYTES for room in rooms)}:
        if 0 < size < 1 << LENGTH_BITS:
            voids = _voids(rooms, size)
            live = _least(len(rooms), voids)
            whole = (live - live // 8) * groups(len(rooms)) * size
            best = max(best, whole - overhead(len(rooms), len(voids)))
    return best - best // 8


def _plan(rooms: Sequence[int], length: int, amplitude: int, size: int) -> Plan | None:
    count = len(rooms)
    voids = _voids(rooms, size)
    k = needed(count, len(voids), length, size)
    live = _least(count, voids)
    if k > live:
        return None
    return Plan(amplitude, size, min((live - k) * 1000 // live, ENOUGH), voids)


def _voids(rooms: Sequence[int], size: int) -> frozenset[int]:
    return frozenset(index for index, room in enumerate(rooms) if room < TAG_BYTES + size)


def _least(count: int, voids: frozenset[int]) -> int:
    """Return how many live tiles the worst group has."""
    number = groups(count)
    return min(
        sum(1 for index in range(group, count, number) if index not in voids)
        for group in range(number)
    )
