"""How bits become carrier symbols: 0 leaves a sample, 1 moves it by one.

Each mode is a complete prefix code on both sides, so any bits have symbols
and any symbols have bits. The sparse modes spend more carriers to move fewer
of them: with random bits, one symbol in 2, 3.5 and 4.75 is a 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Word = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mode:
    """One code.

    :param words: pairs (bits, symbols).
    :param rate: bits a symbol carries on average, as a fraction.
    :param moves: symbols that are 1, on average, as a fraction.
    """

    words: tuple[tuple[Word, Word], ...]
    rate: tuple[int, int]
    moves: tuple[int, int]


MODES = (
    Mode((((0,), (0,)), ((1,), (1,))), (1, 1), (1, 2)),
    Mode((((0,), (0, 0)), ((1, 0), (0, 1)), ((1, 1), (1,))), (6, 7), (2, 7)),
    Mode(
        (
            ((0,), (0, 0, 0)),
            ((1, 0), (1,)),
            ((1, 1, 0), (0, 1)),
            ((1, 1, 1), (0, 0, 1)),
        ),
        (14, 19),
        (4, 19),
    ),
)


def spell(mode: int, bits: Sequence[int], flags: Sequence[int], before: Sequence[int]) -> list[int]:
    """Return the symbols for a layer: ``bits``, then the flags that fall due.

    A flag is due once its sample stands before the last carrier used. A word
    that wants more bits than are known to be due gets zeros.

    :param flags: the flag bit of every ambiguous sample, in order.
    :param before: for each carrier, how many ambiguous samples stand before it.
    :returns: one symbol for each carrier used; none at all if there are too few carriers.
    """
    words = dict(MODES[mode].words)
    symbols: list[int] = []
    used, seen = 0, 0
    while used < len(bits) + seen:
        known = [*bits[used:], *flags[max(0, used - len(bits)) : seen]]
        word: Word = ()
        while word not in words:
            word += (known[len(word)] if len(word) < len(known) else 0,)
        used += min(len(word), len(known))
        symbols += words[word]
        if len(symbols) > len(before):
            return []
        seen = before[len(symbols) - 1]
    return symbols


def read(
    mode: int, symbols: Sequence[int], need: int, before: Sequence[int]
) -> tuple[list[int], int]:
    """Undo :func:`spell`.

    :param symbols: the symbols of every carrier of the layer, in order.
    :param need: how many bits the layer carries, its flags not counted.
    :returns: the bits, flags included, and the number of carriers used; that
        number is 0 if the carriers end too early or a filling bit is not zero.
    """
    words = {symbols: bits for bits, symbols in MODES[mode].words}
    bits: list[int] = []
    used, seen = 0, 0
    while len(bits) < need + seen:
        word: Word = ()
        while word not in words:
            if used == len(symbols):
                return bits, 0
            word += (symbols[used],)
            used += 1
        real = min(len(words[word]), need + seen - len(bits))
        if any(words[word][real:]):
            return bits, 0
        bits += words[word][:real]
        seen = before[used - 1]
    return bits, used


def lead(mode: int, symbols: Sequence[int], need: int) -> list[int]:
    """Return the first bits that the symbols stand for, at most ``need``."""
    words = {symbols: bits for bits, symbols in MODES[mode].words}
    bits: list[int] = []
    word: Word = ()
    for symbol in symbols:
        word += (symbol,)
        if word in words:
            bits += words[word]
            word = ()
        if len(bits) >= need:
            break
    return bits[:need]
