"""The coarse copy: what it shows, and that it never accuses what did not change."""

from __future__ import annotations

import numpy as np
import pytest

from node.errors import UnreadableError
from node.mark import coarse


def image(rows=256, columns=320, *, seed=1):
    down, right = np.mgrid[0:rows, 0:columns]
    bright = 1000 + 400 * np.sin(down / 40) + 300 * np.cos(right / 30)
    noise = np.random.default_rng(seed).normal(0, 4, bright.shape)
    inside = (down - rows / 2) ** 2 / rows**2 + (right - columns / 2) ** 2 / columns**2 < 0.2
    return np.where(inside, bright + noise, -1000).round().astype(np.int32)


@pytest.mark.parametrize("shape", [(256, 320), (177, 130), (3, 9000), (20000, 1)])
@pytest.mark.parametrize("window", [None, (900.0, 1100.0), (5000.0, 9000.0), (0.5, 0.6)])
def test_an_unchanged_image_differs_nowhere_from_its_copy(shape, window):
    samples = image(*shape)
    packed = coarse.pack(samples, window)
    copy = coarse.unpack(packed, shape)

    assert 0 < len(packed) <= samples.size // coarse.DENSITY
    assert copy.samples().shape == shape
    assert not copy.differs(samples, 0).any()
    noise = np.random.default_rng(2).integers(-3, 4, shape, np.int32)
    assert not copy.differs(samples + noise, 3).any()


def test_the_copy_looks_like_the_image():
    samples = image()

    shown = coarse.unpack(coarse.pack(samples, (500.0, 1700.0)), samples.shape).samples()

    off = np.abs(shown - samples)[64:192, 80:240]
    assert np.median(off) < 30
    assert abs(int(shown[0, 0]) - -1000) < 60


def test_what_was_erased_is_found_to_the_block():
    samples = image()
    copy = coarse.unpack(coarse.pack(samples, (500.0, 1700.0)), samples.shape)
    samples[120:136, 160:184] = -1000

    blocks = np.argwhere(copy.differs(samples, 1))

    assert blocks.min(axis=0).tolist() == [15, 20]
    assert blocks.max(axis=0).tolist() == [16, 22]


def test_a_wide_and_faint_change_is_found_by_larger_blocks():
    samples = image()
    copy = coarse.unpack(coarse.pack(samples, (500.0, 1700.0)), samples.shape)
    samples[96:160, 128:192] += 150

    blocks = np.argwhere(copy.differs(samples, 1))

    assert blocks.size
    assert (blocks.min(axis=0) >= (12, 16)).all()
    assert (blocks.max(axis=0) < (20, 24)).all()


def test_packing_twice_gives_the_same_bytes_and_a_smaller_share_a_smaller_copy():
    samples = image()

    assert coarse.pack(samples, None) == coarse.pack(samples, None)
    assert len(coarse.pack(samples, None, 0.5)) <= samples.size // coarse.DENSITY // 2


def test_where_nothing_fits_there_is_no_copy():
    assert coarse.pack(image(), None, 0.05) == b""
    assert coarse.pack(image(128, 128), None) == b""


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda packed: packed[:30],
        lambda packed: packed[:26] + b"\0" * 40,
        lambda packed: b"\2" + packed[1:],
        lambda packed: packed[:1] + b"\x09" + packed[2:],
        lambda packed: packed[:1] + bytes((packed[1] ^ 1,)) + packed[2:],
        lambda packed: packed[:2] + b"\x7f" + packed[3:],
    ],
)
def test_what_is_no_copy_of_this_image_is_refused(spoil):
    samples = image()

    with pytest.raises(UnreadableError):
        coarse.unpack(spoil(coarse.pack(samples, None)), samples.shape)
