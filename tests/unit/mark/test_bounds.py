"""Who may move: found alike before and after."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from node.mark.bounds import ends, limits, settle
from node.types import Carrier

small = arrays(
    np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 9)
)


def carrier(samples, low=0, high=9, padding=None):
    return Carrier(
        samples, np.array([[low]], np.int32), np.array([[high]], np.int32), len(samples), padding
    )


@given(small, st.none() | st.tuples(st.integers(0, 9), st.integers(0, 3)), st.data())
def test_any_allowed_move_leaves_the_bounds_as_they_were(samples, padding, data):
    span = padding and (padding[0], padding[0] + padding[1])
    clean = carrier(samples, 0, 9, span)
    low, high = settle(samples, *(np.broadcast_to(b, samples.shape) for b in limits(clean)))
    may = (low <= samples) & (samples <= high)
    marked = samples.copy()
    for place in zip(*np.nonzero(may), strict=True):
        marked[place] = data.draw(st.integers(int(low[place]), int(high[place])))
    again = carrier(marked, 0, 9, span)
    found = settle(marked, *(np.broadcast_to(b, samples.shape) for b in limits(again)))

    assert np.array_equal(found[0], low)
    assert np.array_equal(found[1], high)
    assert (low[may] % 2 == 0).all()
    assert (high[may] % 2 == 1).all()
    assert marked.min() == samples.min()
    assert marked.max() == samples.max()
    if span:
        for image in (samples, marked):
            assert (((image >= span[0]) & (image <= span[1])) <= ~may).all()


def test_the_smallest_and_the_largest_value_are_fixed():
    assert ends(np.arange(100, dtype=np.int32)) == (0, 99)


def test_behind_a_crowded_end_the_next_value_is_fixed_too():
    crowd = np.array([0] * 20 + [7] + list(range(10, 90)), np.int32)
    assert ends(crowd) == (7, 89)


@pytest.mark.parametrize("value", [-(2**31), 0, 2**31 - 1])
def test_where_all_are_equal_nobody_moves(value):
    flat = np.full((4, 4), value, np.int32)
    low, high = settle(
        flat, np.full((4, 4), -(2**31), np.int32), np.full((4, 4), 2**31 - 1, np.int32)
    )
    assert not ((low <= flat) & (flat <= high)).any()
