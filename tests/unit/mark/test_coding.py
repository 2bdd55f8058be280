"""Bits to symbols and back, with flags that fall due on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.mark.coding import MODES, lead, read, spell

bits = st.lists(st.integers(0, 1), min_size=1, max_size=60)
steps = st.lists(st.integers(0, 2), min_size=400, max_size=400)


@given(st.integers(0, 2), bits, steps, st.randoms(use_true_random=False))
def test_what_was_spelt_is_read_and_so_are_the_flags(mode, message, unclear, random):
    before = [sum(unclear[: place + 1]) // 3 for place in range(len(unclear))]
    flags = [random.randint(0, 1) for _ in range(before[-1])]
    symbols = spell(mode, message, flags, before)
    if not symbols:
        return
    rest = [random.randint(0, 1) for _ in range(len(before) - len(symbols))]
    found, used = read(mode, symbols + rest, len(message), before)

    assert used == len(symbols)
    assert found == message + flags[: before[used - 1]]
    assert lead(mode, symbols, len(message)) == message


@pytest.mark.parametrize("mode", range(3))
def test_too_few_carriers_spell_nothing(mode):
    assert spell(mode, [1, 0, 1, 1, 0, 1], [], [0, 0]) == []
    assert read(mode, [0, 1], 6, [0, 0])[1] == 0


def test_filling_bits_are_zero_or_nothing_is_read():
    before = [0] * 9
    assert spell(1, [1], [], before) == [0, 1]
    assert read(1, [0, 1], 1, before) == ([1], 2)
    assert read(1, [1], 1, before)[1] == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_complete_on_both_sides_and_says_what_it_spends(mode):
    for side in (0, 1):
        assert sum(2 ** -len(word[side]) for word in mode.words) == 1
    chance = {word: 2 ** -len(word[0]) for word in mode.words}
    length = sum(chance[word] * len(word[1]) for word in mode.words)
    ones = sum(chance[word] * sum(word[1]) for word in mode.words)
    carried = sum(chance[word] * len(word[0]) for word in mode.words)
    assert carried / length == pytest.approx(mode.rate[0] / mode.rate[1])
    assert ones / length == pytest.approx(mode.moves[0] / mode.moves[1])
