"""Every change of a marked image is found, and no unchanged one is accused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.errors import UnmarkedError
from node.mark.embedder import TiledEmbedder
from node.types import Carrier

KEY = bytes(range(32))
PAYLOAD = bytes(i * 73 & 255 for i in range(600))
EDITS = 600
ALL_EDITS = 20_000


def slice_of(rows=384, columns=320, *, seed=3):
    """A 12-bit slice with air, which makes void tiles, and a noisy patch."""
    down, right = np.mgrid[0:rows, 0:columns]
    rng = np.random.default_rng(seed)
    body = 900 + 300 * np.sin(down / 31) * np.cos(right / 19) + rng.normal(0, 1.2, (rows, columns))
    body[:64, 128:192] += rng.normal(0, 400, body[:64, 128:192].shape)
    body[310:, :70] = 0
    return np.clip(body, 0, 4095).round().astype(np.int32)


def carrier(samples, frame_rows=0):
    bounds = np.array([[0]], np.int32), np.array([[4095]], np.int32)
    return Carrier(samples, *bounds, frame_rows or samples.shape[0])


@pytest.fixture(scope="module")
def clean():
    return carrier(slice_of())


@pytest.fixture(scope="module")
def marked(clean):
    return replace(clean, samples=TiledEmbedder().embed(clean, PAYLOAD, KEY))


def covered(found, shape):
    mask = np.zeros(shape, bool)
    for region in found.altered:
        mask[
            region.row : region.row + region.rows, region.column : region.column + region.columns
        ] = True
    return mask


def check_edits(clean, marked, count, seed):
    """Edit one sample at a time; return how many edits could not be placed."""
    rng = np.random.default_rng(seed)
    embedder = TiledEmbedder()
    unplaced = 0
    for _ in range(count):
        row, column = (int(rng.integers(0, side)) for side in marked.samples.shape)
        edited = marked.samples.copy()
        edited[row, column] += int(rng.choice([-1, 1, -2, 3, 100, -1000, 4]))
        found = embedder.extract(replace(marked, samples=edited), KEY)
        mask = covered(found, edited.shape)
        assert found.payload == PAYLOAD
        assert mask[row, column] or found.unplaced
        assert len(found.altered) <= 1
        expected = np.where(mask, edited, clean.samples)
        expected[row, column] = edited[row, column]
        assert np.array_equal(found.samples, expected)
        unplaced += found.unplaced
    return unplaced


def test_there_are_void_tiles_in_this_image_and_they_are_no_alarm(marked):
    found = TiledEmbedder().extract(marked, KEY)

    assert found.payload == PAYLOAD
    assert not found.altered
    assert not found.unplaced


def test_every_edit_of_one_sample_is_found_and_placed(clean, marked):
    assert check_edits(clean, marked, EDITS, 1) <= EDITS // 100


@pytest.mark.slow
def test_twenty_thousand_edits_are_all_found(clean, marked):
    assert check_edits(clean, marked, ALL_EDITS, 2) <= ALL_EDITS // 100


def test_a_copied_region_is_found(marked):
    rng = np.random.default_rng(4)
    for _ in range(30):
        size = int(rng.integers(1, 60))
        a, b = (rng.integers(0, np.array(marked.samples.shape) - size) for _ in range(2))
        edited = marked.samples.copy()
        edited[b[0] : b[0] + size, b[1] : b[1] + size] = marked.samples[
            a[0] : a[0] + size, a[1] : a[1] + size
        ]
        changed = edited != marked.samples
        if not changed.any():
            continue
        found = TiledEmbedder().extract(replace(marked, samples=edited), KEY)
        assert found.unplaced or covered(found, edited.shape)[changed].all()


def test_swapped_tiles_are_found(marked):
    edited = marked.samples.copy()
    edited[128:192, 64:128], edited[128:192, 192:256] = (
        marked.samples[128:192, 192:256],
        marked.samples[128:192, 64:128],
    )
    found = TiledEmbedder().extract(replace(marked, samples=edited), KEY)

    assert found.payload == PAYLOAD
    assert {(region.row, region.column) for region in found.altered} == {(128, 64), (128, 192)}


def test_tiles_of_another_marked_image_are_found_though_they_prove_themselves(clean, marked):
    embedder = TiledEmbedder()
    other = embedder.embed(carrier(slice_of(seed=8)), PAYLOAD[::-1], KEY)
    edited = marked.samples.copy()
    edited[128:192, 128:256] = other[128:192, 128:256]
    found = embedder.extract(replace(marked, samples=edited), KEY)

    assert found.payload == PAYLOAD
    assert covered(found, edited.shape)[128:192, 128:256].all()
    assert covered(found, edited.shape).sum() == 64 * 128
    assert np.array_equal(found.samples[192:], clean.samples[192:])


def test_the_payload_survives_the_loss_of_two_tiles_in_five(clean, marked):
    edited = marked.samples.copy()
    edited[192:, 64:] = 1234
    found = TiledEmbedder().extract(replace(marked, samples=edited), KEY)

    assert found.payload is None or found.payload == PAYLOAD
    edited = marked.samples.copy()
    edited[256:, 128:] = 1234  # 6 of 30 tiles
    found = TiledEmbedder().extract(replace(marked, samples=edited), KEY)
    assert found.payload == PAYLOAD
    assert np.array_equal(found.samples[:256], clean.samples[:256])


def test_without_enough_tiles_the_rest_still_proves_itself(clean, marked):
    edited = marked.samples.copy()
    edited[64:] = 7
    found = TiledEmbedder().extract(replace(marked, samples=edited), KEY)

    assert found.payload is None
    assert found.unplaced
    mask = covered(found, edited.shape)
    assert not mask.all()
    assert mask[64:].all()
    assert np.array_equal(found.samples[~mask], clean.samples[~mask])


def test_nothing_left_is_unmarked(marked):
    with pytest.raises(UnmarkedError):
        TiledEmbedder().extract(replace(marked, samples=marked.samples // 2), KEY)


def test_frames_that_change_places_are_found():
    frames = carrier(np.concatenate([slice_of(seed=seed) for seed in (1, 2)]), frame_rows=384)
    embedder = TiledEmbedder()
    marked = embedder.embed(frames, PAYLOAD, KEY)
    swapped = np.concatenate([marked[384:], marked[:384]])
    try:
        found = embedder.extract(replace(frames, samples=swapped), KEY)
    except UnmarkedError:
        return
    assert found.altered or found.unplaced


def test_regions_name_frames():
    frames = carrier(np.concatenate([slice_of(seed=seed) for seed in (1, 2)]), frame_rows=384)
    embedder = TiledEmbedder()
    marked = embedder.embed(frames, PAYLOAD, KEY)
    marked[384 + 130, 70] += 9
    found = embedder.extract(replace(frames, samples=marked), KEY)

    assert found.tiles == 60
    (region,) = found.altered
    assert (region.frame, region.row, region.column) == (1, 128, 64)


def test_small_frames_are_one_tall_image_and_a_region_may_span_them():
    tall = carrier(slice_of(640, 64), frame_rows=32)
    embedder = TiledEmbedder()
    marked = embedder.embed(tall, PAYLOAD[:100], KEY)
    marked[100, 5] += 9
    found = embedder.extract(replace(tall, samples=marked), KEY)

    assert [(region.frame, region.row, region.rows) for region in found.altered] == [
        (2, 0, 32),
        (3, 0, 32),
    ]
