"""How many tiles share a payload, and how much of it each holds. Not part of the format."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.mark.framing import groups, needed, overhead
from node.mark.settings import LENGTH_BITS, SIZES, TAG_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

ENOUGH = 29 * 1000 // 64
"""Tiles in a thousand whose loss is survived if possible; more is not sought."""

AMPLE = 250
"""So many are survivable, and nothing better is looked for."""

WORTH = 125
"""For fewer, larger changes are tried first."""

EXACT = range(1, 5)
"""Where so few shards make the payload, their length is fitted to it."""

ATTEMPTS = 4
"""Plans for one amplitude that are tried: their estimates may be wrong."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to mark.

    :param amplitude: the most that a sample may change.
    :param size: bytes of a shard.
    :param spare: live tiles in a thousand that may be lost.
    """

    amplitude: int
    size: int
    spare: int


def first(count: int, length: int) -> Plan:
    """Return the plan that suits if every tile can carry."""
    k = max(1, (1000 - ENOUGH) * (count // groups(count)) // 1000)
    fitted = -(-(length + overhead(count, 0)) // (k * groups(count)))
    size = next((size for size in SIZES if size >= fitted), fitted) if count > 1 else fitted
    return Plan(1, size, ENOUGH if count > 1 else 0)


def plans(rooms: Sequence[int], length: int, amplitude: int) -> list[Plan]:
    """Return the plans that should carry ``length`` bytes, those that survive most first.

    :param rooms: about how many bytes fit in each tile at this amplitude.
    """
    count, ordered = len(rooms), sorted(rooms)
    number = groups(count)
    fitted = {
        -(-(length + overhead(count, voids)) // (k * number)) for voids in (0, 1) for k in EXACT
    }
    found = []
    for size in fitted.union(SIZES):
        voids = bisect_left(ordered, TAG_BYTES + size)
        most = (count - voids) // number
        if length > most * number * size:  # tells most sizes apart without more ado
            continue
        k = needed(count, voids, length, size)
        if k > most:
            continue
        live = _live(rooms, size)
        if k <= live and size < 1 << LENGTH_BITS:
            found.append(Plan(amplitude, size, min((live - k) * 1000 // live, ENOUGH)))
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
            live = _live(rooms, size)
            whole = (live - live // 8) * groups(len(rooms)) * size
            best = max(best, whole - overhead(len(rooms), len(rooms) - live))
    return best - best // 8


def _live(rooms: Sequence[int], size: int) -> int:
    """Return how many tiles of the worst group can carry."""
    count = len(rooms)
    number = groups(count)
    return min(
        sum(1 for index in range(group, count, number) if rooms[index] >= TAG_BYTES + size)
        for group in range(number)
    )
