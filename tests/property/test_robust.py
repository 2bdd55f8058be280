"""Whatever the samples, the robust mark comes out as it went in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import DoesNotFitError
from node.mark import robust
from node.types import Carrier


@st.composite
def carriers(draw):
    """Smooth pictures with noise, padding, air and frames, in words of any depth."""
    bits = draw(st.integers(6, 16))
    signed = draw(st.booleans())
    low = -(1 << bits - 1) if signed else 0
    high = low + (1 << bits) - 1
    frames, rows = draw(st.integers(1, 2)), draw(st.integers(60, 200))
    columns = draw(st.integers(60, 200))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    y, x = np.mgrid[0 : frames * rows, 0:columns] / 40
    waves = np.sin(y + random.random() * 6) + np.cos(x * random.random() * 2)
    noise = random.standard_normal(y.shape) * draw(st.sampled_from([0, 0.01, 0.1]))
    samples = low + (high - low) * (
        0.5 + draw(st.sampled_from([0.1, 0.3, 0.8])) * (waves / 4 + noise)
    )
    samples = np.clip(np.rint(samples), low, high).astype(np.int32)
    padding = None
    if draw(st.booleans()):
        value = int(random.choice([low, high, int(np.median(samples))]))
        samples[: rows // 3] = value
        padding = (value, value)
    carrier = Carrier(samples, np.array(low, np.int32), np.array(high, np.int32), rows, padding)
    share = draw(st.floats(0.05, 1.0))
    return carrier, (float(low), low + share * (high - low) + 1)


def law(case):
    carrier, window = case
    message = bytes(range(100, 120))
    try:
        added = robust.add(carrier, message, window)
    except DoesNotFitError:
        return
    found = replace(carrier, samples=added.samples)
    assert np.array_equal(robust.remove(found, added.undo), carrier.samples)
    assert added.samples.min() == carrier.samples.min()
    assert added.samples.max() == carrier.samples.max()
    if carrier.padding is not None:
        first, last = carrier.padding
        padded = (carrier.samples >= first) & (carrier.samples <= last)
        assert np.array_equal((added.samples >= first) & (added.samples <= last), padded)


@settings(max_examples=25, deadline=None)
@given(carriers())
def test_what_was_added_is_taken_out_exactly(case):
    law(case)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(carriers())
def test_what_was_added_is_taken_out_exactly_from_many_pictures(case):
    law(case)
