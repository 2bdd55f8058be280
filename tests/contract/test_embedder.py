"""What every Embedder promises, whatever works inside, and what the reversible ones promise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from node.errors import DoesNotFitError, UnmarkedError
from node.mark.classical.dct import CosineEmbedder
from node.mark.classical.dft import FourierEmbedder
from node.mark.classical.dwt_svd import SingularValueEmbedder
from node.mark.classical.lsb import LsbEmbedder
from node.mark.embedder import TiledEmbedder
from node.mark.fine.embedder import FineEmbedder
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


CLASSICAL = {
    "lsb": LsbEmbedder, "dct": CosineEmbedder,
    "dft": FourierEmbedder, "dwt-svd": SingularValueEmbedder,
}  # fmt: skip
REVERSIBLE = ["numpy", "numba", "whole", "fine", "fine-whole"]


@pytest.fixture(params=REVERSIBLE)
def embedder(request) -> Embedder:
    return made(request)


@pytest.fixture(params=[*REVERSIBLE, *CLASSICAL])
def every(request) -> Embedder:
    return made(request)


def made(request) -> Embedder:
    if request.param in CLASSICAL:
        return CLASSICAL[request.param]()
    if request.param == "whole":
        return TiledEmbedder(whole=True)
    if request.param.startswith("fine"):
        return FineEmbedder(amplitude=2, whole=request.param == "fine-whole")
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


def test_the_payload_comes_back_and_what_else_the_traits_say(every):
    clean = carrier(phantom())
    marked = every.embed(clean, PAYLOAD[:40], KEY)
    found = every.extract(replace(clean, samples=marked), KEY)
    assert found.payload == PAYLOAD[:40]
    assert not found.altered
    original = clean.samples if every.traits.reversible else marked
    assert np.array_equal(found.samples, original)
    assert found.samples is not marked


def test_what_does_not_localise_names_nothing(every):
    clean = carrier(phantom())
    marked = every.embed(clean, PAYLOAD[:40], KEY)
    marked[150:156, 100:106] += 5
    try:
        found = every.extract(replace(clean, samples=marked), KEY)
    except UnmarkedError:
        assert not every.traits.robust
    else:
        assert bool(found.altered) == every.traits.localises


def test_the_carrier_is_left_alone(every):
    clean = carrier(phantom())
    before = clean.samples.copy()
    marked = every.embed(clean, PAYLOAD[:40], KEY)
    every.extract(replace(clean, samples=marked), KEY)
    assert np.array_equal(clean.samples, before)
    assert marked.dtype == np.int32


def test_marking_twice_gives_the_same_samples(every):
    clean, payload = carrier(phantom()), PAYLOAD[:40]
    assert np.array_equal(every.embed(clean, payload, KEY), every.embed(clean, payload, KEY))


def test_another_key_finds_nothing(every):
    clean = carrier(phantom())
    marked = every.embed(clean, PAYLOAD[:40], KEY)
    with pytest.raises(UnmarkedError):
        every.extract(replace(clean, samples=marked), bytes(32))


def test_an_unmarked_image_is_called_unmarked(every):
    with pytest.raises(UnmarkedError):
        every.extract(carrier(phantom()), KEY)


def test_air_stays_air_and_both_ends_of_the_histogram_stay(embedder):
    clean = carrier(phantom())
    marked = embedder.embed(clean, PAYLOAD, KEY)
    assert np.array_equal(marked == 0, clean.samples == 0)
    assert marked.max() == clean.samples.max()
    assert abs(marked - clean.samples).max() == 1


def test_padding_is_neither_moved_nor_made(every):
    samples = phantom()
    samples[samples == 0] = -2000
    clean = carrier(samples, low=-2048, high=2047, padding=(-2000, -2000))
    marked = every.embed(clean, PAYLOAD[:40], KEY)
    assert np.array_equal(marked == -2000, samples == -2000)
    found = every.extract(replace(clean, samples=marked), KEY)
    assert found.payload == PAYLOAD[:40]
    if every.traits.reversible:
        assert np.array_equal(found.samples, samples)


def test_what_capacity_promises_fits(every):
    clean = carrier(phantom(noise=6.0))
    size = every.capacity(clean)
    assert size > (len(PAYLOAD) if every.traits.reversible else 20)
    payload = np.random.default_rng(1).bytes(size)
    marked = every.embed(clean, payload, KEY)
    assert every.extract(replace(clean, samples=marked), KEY).payload == payload


def test_too_much_is_refused(every):
    with pytest.raises(DoesNotFitError):
        every.embed(carrier(phantom(32, 32)), bytes(5000), KEY)


def test_each_frame_of_several_is_marked_inside_its_bounds(every):
    samples = np.concatenate([phantom(160, 128, seed=seed) for seed in (1, 2, 3)])
    clean = carrier(samples, low=0, high=1600, frame_rows=160)
    marked = every.embed(clean, PAYLOAD[:8], KEY)
    assert marked.min() >= 0
    assert marked.max() <= 1600
    assert every.extract(replace(clean, samples=marked), KEY).payload == PAYLOAD[:8]


@pytest.mark.parametrize("shape", [(1, 1), (1, 4095), (4095, 1), (3, 5), (2, 2), (64, 64)])
@pytest.mark.parametrize("value", [0, 4095, 17])
def test_a_flat_image_carries_nothing(embedder, shape, value):
    flat = carrier(np.full(shape, value, dtype=np.int32))
    assert embedder.capacity(flat) == 0
    with pytest.raises(DoesNotFitError):
        embedder.embed(flat, b"x", KEY)
    with pytest.raises(UnmarkedError):
        embedder.extract(flat, KEY)


def test_an_empty_payload_is_a_payload(every):
    clean = carrier(phantom())
    marked = every.embed(clean, b"", KEY)
    assert every.extract(replace(clean, samples=marked), KEY).payload == b""


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


def test_over_one_tile_the_finer_mark_changes_less():
    clean = carrier(phantom(256, 256))
    costs = [
        np.square(kind(whole=True).embed(clean, PAYLOAD, KEY) - clean.samples).sum()
        for kind in (TiledEmbedder, FineEmbedder)
    ]
    assert costs[1] < 0.8 * costs[0]
