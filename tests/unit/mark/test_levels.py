"""Small numbers in few bytes."""

from __future__ import annotations

import numpy as np
import pytest

from node.errors import UnreadableError
from node.mark.levels import MOST, decode, encode


def test_levels_come_back():
    random = np.random.default_rng(1)
    for _ in range(40):
        shape = tuple(random.integers(1, 9, 3))
        levels = random.integers(0, random.integers(1, MOST + 2), shape).astype(np.int32)
        assert np.array_equal(decode(encode(levels), shape), levels)


def test_nothing_takes_no_byte():
    assert encode(np.zeros((50, 50, 3), np.int32)) == b""


def test_few_levels_take_few_bytes():
    levels = (np.random.default_rng(2).random((85, 85, 3)) < 0.05).astype(np.int32)
    entropy = levels.size * 0.2864 / 8  # of one in twenty, in bits
    assert len(encode(levels)) < entropy * 1.15


def test_a_carry_runs_through_bytes_that_are_full():
    # The ends of the scale push the coder's low end up against its limit.
    for count in range(1, 200):
        levels = np.full((1, count, 1), MOST, np.int32)
        levels[0, count // 2 :] = 0
        assert np.array_equal(decode(encode(levels), levels.shape), levels)


@pytest.mark.parametrize("damage", [lambda d: d + b"\0", lambda d: d + b"\1"])
def test_other_bytes_are_refused(damage):
    levels = (np.random.default_rng(3).random((20, 20, 3)) < 0.2).astype(np.int32)
    with pytest.raises(UnreadableError):
        decode(damage(encode(levels)), levels.shape)
