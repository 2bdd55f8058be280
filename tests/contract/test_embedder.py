"""What every Embedder promises, whatever kernel works inside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from node.errors import DoesNotFitError, UnmarkedError
from node.mark.embedder import TiledEmbedder
from node.types import Carrier

if TYPE_CHECKING:
    from node.mark.base import Embedder

KEY = bytes(range(32))
PAYLOAD = bytes(i * 37 & 255 for i in range(700))


def phantom(rows=320, columns=256, *, seed=7, noise=1.5):
    """A 12-bit slice: air at 0, a body, smooth structure, some noise."""
    down, right = np.mgrid[0:rows, 0:columns]
    body = 1000 + 300 * np.sin(down / 23) + 200 * np.cos(right / 17)
    body += np.random.default_rng(seed).normal(0, noise, body.shape)
    inside = (down - rows / 2) ** 2 / rows**2 + (right - columns / 2) ** 2 / columns**2 < 0.23
    return np.where(inside, body, 0).round().astype(np.int32)


def carrier(samples, *, low=0, high=4095, frame_rows=0, padding=None):
    bound = np.array([[low]], dtype=np.int32), np.array([[high]], dtype=np.int32)
    return Carrier(samples, *bound, frame_rows or samples.shape[0], padding)


@pytest.fixture(params=["numpy", "numba", "whole"])
def embedder(request) -> Embedder:
    if request.param == "whole":
        return TiledEmbedder(whole=True)
    if request.param == "numba":
        pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    return TiledEmbedder(kernel=request.param)


def test_what_was_hidden_comes_back_and_so_does_the_original(embedder):
    clean = carrier(phantom())
    marked = embedder.embed(clean, PAYLOAD, KEY)
    found = embedder.extract(replace(clean, samples=marked), KEY)
    assert found.payload == PAYLOAD
    assert np.array_equal(found.samples, clean.samples)
    assert not found.altered
    assert not found.unplaced
    assert found.tiles in {1, 20}


def test_the_carrier_is_left_alone(embedder):
    clean = carrier(phantom())
    before = clean.samples.copy()
    marked = embedder.embed(clean, PAYLOAD, KEY)
    embedder.extract(replace(clean, samples=marked), KEY)
    assert np.array_equal(clean.samples, before)
    assert marked.dtype == np.int32


def test_marking_twice_gives_the_same_samples(embedder):
    clean = carrier(phantom())
    assert np.array_equal(embedder.embed(clean, PAYLOAD, KEY), embedder.embed(clean, PAYLOAD, KEY))


def test_another_key_finds_nothing(embedder):
    clean = carrier(phantom())
    marked = embedder.embed(clean, PAYLOAD, KEY)
    with pytest.raises(UnmarkedError):
        embedder.extract(replace(clean, samples=marked), bytes(32))


def test_an_unmarked_image_is_called_unmarked(embedder):
    with pytest.raises(UnmarkedError):
        embedder.extract(carrier(phantom()), KEY)


def test_air_stays_air_and_both_ends_of_the_histogram_stay(embedder):
    clean = carrier(phantom())
    marked = embedder.embed(clean, PAYLOAD, KEY)
    assert np.array_equal(marked == 0, clean.samples == 0)
    assert marked.max() == clean.samples.max()
    assert abs(marked - clean.samples).max() == 1


def test_padding_is_neither_moved_nor_made(embedder):
    samples = phantom()
    samples[samples == 0] = -2000
    clean = carrier(samples, low=-2048, high=2047, padding=(-2000, -2000))
    marked = embedder.embed(clean, PAYLOAD, KEY)
    assert np.array_equal(marked == -2000, samples == -2000)
    found = embedder.extract(replace(clean, samples=marked), KEY)
    assert np.array_equal(found.samples, samples)


def test_what_capacity_promises_fits(embedder):
    clean = carrier(phantom(noise=6.0))
    size = embedder.capacity(clean)
    assert size > len(PAYLOAD)
    payload = np.random.default_rng(1).bytes(size)
    marked = embedder.embed(clean, payload, KEY)
    assert embedder.extract(replace(clean, samples=marked), KEY).payload == payload


def test_too_much_is_refused(embedder):
    with pytest.raises(DoesNotFitError):
        embedder.embed(carrier(phantom(32, 32)), bytes(5000), KEY)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4095), (4095, 1), (3, 5), (2, 2), (64, 64)])
@pytest.mark.parametrize("value", [0, 4095, 17])
def test_a_flat_image_carries_nothing(embedder, shape, value):
    flat = carrier(np.full(shape, value, dtype=np.int32))
    assert embedder.capacity(flat) == 0
    with pytest.raises(DoesNotFitError):
        embedder.embed(flat, b"x", KEY)
    with pytest.raises(UnmarkedError):
        embedder.extract(flat, KEY)


def test_an_empty_payload_is_a_payload(embedder):
    clean = carrier(phantom())
    marked = embedder.embed(clean, b"", KEY)
    assert embedder.extract(replace(clean, samples=marked), KEY).payload == b""


def test_an_edit_is_named_and_everything_else_restores(embedder):
    clean = carrier(phantom())
    marked = embedder.embed(clean, PAYLOAD, KEY)
    marked[150:160, 100:110] += 5
    try:
        found = embedder.extract(replace(clean, samples=marked), KEY)
    except UnmarkedError:
        return  # there was but one tile
    touched = np.zeros(marked.shape, dtype=bool)
    for region in found.altered:
        touched[
            region.row : region.row + region.rows, region.column : region.column + region.columns
        ] = True
    assert found.payload == PAYLOAD
    assert not found.unplaced
    assert touched[150:160, 100:110].all()
    assert len(found.altered) == 1
    assert np.array_equal(found.samples[~touched], clean.samples[~touched])
    assert np.array_equal(found.samples[touched], marked[touched])


def test_each_sample_may_have_bounds_of_its_own(embedder):
    samples = phantom() | 0x30000  # bits above those stored, which must not change
    high = np.where(np.arange(samples.shape[1]) % 3, 0x30FFF, samples)
    clean = Carrier(
        samples, np.array([[0x30000]], np.int32), high.astype(np.int32), samples.shape[0]
    )
    marked = embedder.embed(clean, PAYLOAD[:200], KEY)
    assert (marked <= high).all()
    assert (marked >= 0x30000).all()
    found = embedder.extract(replace(clean, samples=marked), KEY)
    assert np.array_equal(found.samples, samples)


@pytest.mark.parametrize("amplitude", [1, 2, 4, 8])
def test_nothing_moves_further_than_allowed(amplitude):
    clean = carrier(phantom(128, 128, noise=25.0))
    embedder = TiledEmbedder(amplitude=amplitude)
    size = embedder.capacity(clean)
    if not size:
        return
    marked = embedder.embed(clean, PAYLOAD[:size], KEY)
    assert 1 <= abs(marked - clean.samples).max() <= amplitude


def test_changes_become_large_only_where_nothing_else_carries():
    noisy = carrier(phantom(96, 96, noise=40.0))
    usual, any_ = TiledEmbedder(amplitude=4), TiledEmbedder()
    with pytest.raises(DoesNotFitError):
        usual.embed(noisy, PAYLOAD[:40], KEY)

    marked = any_.embed(noisy, PAYLOAD[:40], KEY)

    assert 4 < abs(marked - noisy.samples).max() <= 8
    assert any_.extract(replace(noisy, samples=marked), KEY).payload == PAYLOAD[:40]
    calm = carrier(phantom())
    assert np.array_equal(usual.embed(calm, PAYLOAD, KEY), any_.embed(calm, PAYLOAD, KEY))


@pytest.mark.parametrize("amplitude", [0, 9])
def test_an_impossible_amplitude_is_refused(amplitude):
    with pytest.raises(ValueError, match="amplitude"):
        TiledEmbedder(amplitude=amplitude)


def test_an_unknown_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel"):
        TiledEmbedder(kernel="fortran")


def test_a_small_payload_survives_the_loss_of_many_tiles():
    clean = carrier(phantom(512, 512))
    embedder = TiledEmbedder()
    marked = embedder.embed(clean, PAYLOAD[:256], KEY)
    marked[:, :128] = 9
    found = embedder.extract(replace(clean, samples=marked), KEY)
    assert found.payload == PAYLOAD[:256]
    assert np.array_equal(found.samples[:, 128:], clean.samples[:, 128:])
