"""Bits on a stack that choices are taken from, and put back to: asymmetric numeral systems.

Taking a choice uses up as many bits as putting it there needs, and either
undoes the other. Format: docs/formats/mark-v2.md, section 5. After Duda,
arXiv 1311.2540; taking from what is still to be said: bits back (Townsend et
al., arXiv 1901.04866).
"""

from __future__ import annotations

from node.mark.fine.chances import ONE

LEAST = 1 << 16
"""The state is at least this, and less than twice as much."""

WIDE = 12
"""Bits of a chance."""

FULL = 5
"""So many times the chance of a choice, as a power of two, and the state has no room for it."""


class Stack:
    """Bits, and a state that holds what is worth less than a bit.

    :param content: the last bit is on top.
    """

    __slots__ = ("content", "short", "state")

    def __init__(self, content: list[int], state: int) -> None:
        self.content = content
        self.state = state
        self.short = False  #: whether a bit was wanted when there was none; it was 0 then.

    def take(self, chance: int) -> bool:
        """Take a choice that is true with a chance of ``chance / ONE``, neither 0 nor 1."""
        slot = self.state & ONE - 1
        true = slot < chance
        part, start = (chance, 0) if true else (ONE - chance, chance)
        self.state = part * (self.state >> WIDE) + slot - start
        while self.state < LEAST:
            self.short |= not self.content
            self.state = self.state << 1 | (self.content.pop() if self.content else 0)
        return true

    def put(self, chance: int, *, true: bool) -> None:
        """Undo a ``take``."""
        part, start = (chance, 0) if true else (ONE - chance, chance)
        while self.state >= part << FULL:
            self.content.append(self.state & 1)
            self.state >>= 1
        above, inside = divmod(self.state, part)
        self.state = (above << WIDE) + start + inside
