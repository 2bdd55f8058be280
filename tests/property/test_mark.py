"""The laws of the mark, on carriers of every kind that hypothesis can think of."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.errors import DoesNotFitError, UnmarkedError
from node.mark.bounds import limits
from node.mark.embedder import MOST, TiledEmbedder
from node.mark.reversible import NumpyKernel
from node.mark.settings import TAG_BYTES
from node.mark.tiles import Field, Grid, Tile
from node.types import Carrier

KEY = bytes(range(32))
EDITS = 4
COMPILED = find_spec("numba") is not None
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def images(draw, shape):
    """Samples of one of the kinds that break such schemes, and the range of their values."""
    rows, columns = shape
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits = draw(st.sampled_from([1, 2, 8, 12, 16, 31]))
    low = -(1 << bits - 1) if draw(st.booleans()) else 0
    high = min(low + (1 << bits) - 1, (1 << 31) - 1)
    kind = draw(
        st.sampled_from(["smooth", "noise", "flat", "plane", "checks", "edges", "steps", "sparse"])
    )
    down, right = np.mgrid[0:rows, 0:columns]
    middle = (low + high) / 2
    if kind == "smooth":
        noise = draw(st.sampled_from([0.0, 0.6, 2.0, 9.0]))
        image = middle + (high - low) / 5 * np.sin(down / 9 + right / 13)
        image = image + rng.normal(0, noise, shape)
    elif kind == "noise":
        image = rng.integers(low, high, shape, endpoint=True)
    elif kind == "flat":
        image = np.full(shape, draw(st.sampled_from([low, high, int(middle)])))
        image[rng.random(shape) < draw(st.sampled_from([0.0, 0.02]))] = int(middle)
    elif kind == "plane":
        # Not the least unrest, but for a bend here and there: the calmest class and no other.
        tilts = st.sampled_from([0, 1, 5, 90])
        image = (
            int(middle) + draw(tilts) * (down - rows // 2) + draw(tilts) * (right - columns // 2)
        )
        image += draw(st.sampled_from([0, 1, 4])) * abs(down - rows // 2)
        image[rng.random(shape) < draw(st.sampled_from([0.0, 0.01]))] += 1
    elif kind == "checks":
        image = np.where((down + right) % 2, low, high)
    elif kind == "edges":
        # Most samples near an end, as clamped air is: bounds matter everywhere.
        image = low + np.abs(rng.normal(0, draw(st.sampled_from([1.0, 3.0, 20.0])), shape))
        image = image if draw(st.booleans()) else low + high - image
    elif kind == "steps":
        image = middle + (down // 5 * 3 + right // 7 * 2) % 11
    else:
        image = np.where(rng.random(shape) < 0.7, low, middle + rng.normal(0, 3, shape))
    image = np.clip(np.round(image), low, high).astype(np.int64)
    return image.astype(np.int32), low, high


@st.composite
def carriers(draw, side):
    frame_rows, columns = draw(st.integers(1, side)), draw(st.integers(1, side))
    frames = draw(st.integers(1, 3))
    samples, low, high = draw(images((frame_rows * frames, columns)))
    padding = None
    if draw(st.booleans()):
        value = int(samples.flat[draw(st.integers(0, samples.size - 1))])
        padding = (value - draw(st.integers(0, 2)), value + draw(st.integers(0, 2)))
    bounds = np.array([[low]], np.int32), np.array([[high]], np.int32)
    if draw(st.booleans()):
        # As for colour: each sample has bounds of its own.
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        wide = draw(st.sampled_from([1, 4, 300]))
        base = samples // wide * wide
        jitter = rng.integers(0, 2, samples.shape)
        bounds = (
            np.maximum(base - jitter, low).astype(np.int32),
            np.minimum(base.astype(np.int64) + wide - 1, high).astype(np.int32),
        )
    return Carrier(samples, *bounds, frame_rows, padding)


def kernels():
    if not COMPILED:
        return [NumpyKernel]
    from node.mark.fast import NumbaKernel  # noqa: PLC0415 - an extra that may be absent

    return [NumpyKernel, NumbaKernel]


def field_of(carrier: Carrier, cuts: int) -> Field:
    """Cut a carrier into strips by its columns, however small."""
    rows, columns = carrier.samples.shape
    edges = [columns * cut // cuts for cut in range(cuts + 1)]
    tiles = tuple(Tile(0, left, rows, right - left) for left, right in pairwise(edges))
    low, high = limits(carrier)
    return Field(Grid((rows, columns), carrier.frame_rows, tiles), carrier.samples, low, high)


def check_tiles(carrier, cuts, amplitude, size, kernels=kernels):
    """Every kernel hides the same, stays in bounds, and takes all of it out again."""
    field = field_of(carrier, min(cuts, carrier.samples.shape[1]))
    rng = np.random.default_rng(size)
    marks = []
    shards = [rng.bytes(TAG_BYTES + size) for _ in field.grid.tiles]
    for make in kernels():
        kernel = make(field)
        headers, doubtful = kernel.choose(size, amplitude)
        data = {i: (headers[i], shards[i]) for i in range(len(headers)) if headers[i] >= 0}
        marked = field.samples.copy()
        full = kernel.hide(data, marked) if data else set()
        others = kernel.second(data, amplitude, size % 3) if data else {}
        told = headers, full, others, doubtful, kernel.rooms(amplitude)
        marks.append((marked, *told))
        moved = marked != field.samples
        assert np.abs(marked.astype(np.int64) - field.samples).max() <= amplitude
        found = replace(field, samples=marked)
        limits_found = limits(replace(carrier, samples=marked))
        for index, tile in enumerate(field.grid.tiles):
            was, now = field.patch(index), found.patch(index)
            assert np.array_equal(was.low, now.low)
            assert np.array_equal(was.high, now.high)
            changed = tile.of(moved)
            assert (now.samples[changed] >= was.low[changed]).all()
            assert (now.samples[changed] <= was.high[changed]).all()
        shape = marked.shape
        for was, now in zip((field.low, field.high), limits_found, strict=True):
            assert np.array_equal(np.broadcast_to(was, shape), np.broadcast_to(now, shape))
        for reader in kernels():
            samples, read = reader(replace(field, samples=marked)).reveal()
            for index in data.keys() - full:
                assert read[index] == data[index]
                tile = field.grid.tiles[index]
                assert np.array_equal(tile.of(samples), tile.of(field.samples))
    if data.keys() - full:
        check_edits(replace(field, samples=marked), data.keys() - full, rng, kernels)
    for other in marks[1:]:
        assert np.array_equal(marks[0][0], other[0])
        assert marks[0][1:] == other[1:]


def check_edits(field, tiles, rng, kernels):
    """No two images read alike: an edit changes header, data or original of its tile."""
    for kernel, index in product(kernels(), tiles):
        tile = field.grid.tiles[index]
        original, told = kernel(field).reveal()
        for _ in range(EDITS):
            edited = field.samples.copy()
            spot = rng.integers(0, tile.rows), rng.integers(0, tile.columns)
            value = int(tile.of(edited)[spot]) + int(rng.choice([-2, -1, 1, 2]))
            tile.of(edited)[spot] = np.clip(value, -(2**31), 2**31 - 1)
            if np.array_equal(edited, field.samples):
                continue
            restored, heard = kernel(replace(field, samples=edited)).reveal()
            same = np.array_equal(tile.of(restored), tile.of(original))
            assert not (same and heard.get(index) == told[index])


TILES = (carriers(40), st.integers(1, 3), st.integers(1, 8), st.integers(1, 60))


@QUICK
@given(*TILES)
def test_a_tile_gives_back_data_and_original_whatever_the_kernel(carrier, cuts, amplitude, size):
    check_tiles(carrier, cuts, amplitude, size)


@pytest.mark.slow
@LONG
@given(*TILES)
def test_ten_thousand_tiles_give_back_data_and_original(carrier, cuts, amplitude, size):
    check_tiles(carrier, cuts, amplitude, size)


def check_whole(carrier, length, seed, embedder=None):
    """Either the payload does not fit, or payload and original come back exactly."""
    payload = np.random.default_rng(seed).bytes(length)
    embedder = embedder or TiledEmbedder()
    promised = embedder.capacity(carrier)
    try:
        marked = embedder.embed(carrier, payload, KEY)
    except DoesNotFitError:
        assert length > promised or not promised
        return
    found = embedder.extract(replace(carrier, samples=marked), KEY)
    assert found.payload == payload
    assert np.array_equal(found.samples, carrier.samples)
    assert not found.altered
    assert not found.unplaced
    assert marked.max() == carrier.samples.max()
    assert marked.min() == carrier.samples.min()
    assert np.abs(marked.astype(np.int64) - carrier.samples).max() <= MOST
    if carrier.padding is not None:
        first, last = carrier.padding
        inside = (carrier.samples >= first) & (carrier.samples <= last)
        assert np.array_equal((marked >= first) & (marked <= last), inside)


WHOLE = (carriers(90), st.integers(0, 120), st.integers(0, 9))


@QUICK
@given(*WHOLE)
def test_a_carrier_gives_back_payload_and_original(carrier, length, seed):
    check_whole(carrier, length, seed)


@pytest.mark.slow
@LONG
@given(*WHOLE)
def test_ten_thousand_carriers_give_back_payload_and_original(carrier, length, seed):
    check_whole(carrier, length, seed)


@QUICK
@given(carriers(40), st.binary(min_size=32, max_size=32))
def test_what_was_never_marked_is_unmarked(carrier, key):
    with pytest.raises(UnmarkedError):
        TiledEmbedder().extract(carrier, key)
