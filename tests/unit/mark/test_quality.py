"""Distances that can be compared."""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest

from node.mark import quality
from node.mark.counting import Scale
from node.mark.quality import measure
from node.types import Limits, Quality


def test_one_step_everywhere_is_the_peak_itself():
    image = np.array([[0, 100], [200, 255]], np.int32)
    found = measure(image, image + 1, 8)
    assert found.max_change == 1
    assert found.changed == 4
    assert found.psnr_stored == pytest.approx(20 * math.log10(255), abs=0.01)
    assert found.psnr_data == pytest.approx(found.psnr_stored)


def test_a_deep_image_looks_better_than_it_is_by_its_bits():
    image = np.array([[1000, 1400]], np.int32)
    found = measure(image, image + np.array([[0, 3]], np.int32), 16)
    assert found.psnr_stored - found.psnr_data == pytest.approx(
        20 * math.log10(65535 / 400), abs=0.01
    )


def test_equal_images_are_infinitely_alike():
    image = np.zeros((3, 3), np.int32)
    assert measure(image, image, 12).psnr_stored == math.inf


def dense_ssim(x, y):
    """Return SSIM as Wang et al. 2004 give it, with a uniform window at every sample."""
    ramp = np.full(8, 1 / 8)

    def blur(a):
        down = np.apply_along_axis(np.convolve, 0, a, ramp, "valid")
        return np.apply_along_axis(np.convolve, 1, down, ramp, "valid")

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    both = blur(x * y) - mean_x * mean_y
    top = (2 * mean_x * mean_y + quality.C1) * (2 * both + quality.C2)
    return (top / ((mean_x**2 + mean_y**2 + quality.C1) * (var_x + var_y + quality.C2))).mean()


@pytest.mark.parametrize("strength", [1, 6, 30])
def test_similarity_is_near_that_of_the_paper(strength):
    down, right = np.mgrid[0:96, 0:104]
    image = (128 + 60 * np.sin(down / 9) + 40 * np.cos(right / 7)).astype(np.int32)
    noise = np.random.default_rng(3).integers(-strength, strength + 1, image.shape)
    noisy = np.clip(image + noise, 0, 255).astype(np.int32)

    found = measure(image, noisy, 8, (0, 255)).ssim

    assert found == pytest.approx(dense_ssim(image * 1.0, noisy * 1.0), abs=0.01)


def test_similarity_is_that_of_what_the_window_shows():
    image = np.repeat(np.array([[500], [3000]], np.int32), 32, axis=0).repeat(64, axis=1)
    hidden, seen = image.copy(), image.copy()
    hidden[32:] += 60 * (np.arange(64) & 1)
    seen[:32] += 60 * (np.arange(64) & 1)

    assert measure(image, hidden, 12, (0, 1000)).ssim == 1
    assert measure(image, seen, 12, (0, 1000)).ssim < 0.8
    assert measure(image, seen, 12, (505, 506)) == measure(image, seen, 12)  # none is meant


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 7), (600, 600), (9, 17)])
def test_every_shape_has_a_similarity(shape):
    image = np.zeros(shape, np.int32)
    changed = image.copy()
    changed[0, 0] = 200

    assert 0 < measure(image, changed, 8, (0, 255)).ssim < 1


@pytest.mark.skipif(find_spec("numba") is None, reason="needs numba")
@pytest.mark.parametrize("span", [3, 300, 4000, 1 << 30])
@pytest.mark.parametrize("shape", [(1, 1), (7, 40), (33, 25), (64, 64)])
def test_the_compiled_counts_are_those_of_the_reference(shape, span):
    rng = np.random.default_rng(span)
    image = rng.integers(-span, span, shape).astype(np.int32)
    marked = image + (rng.integers(-2, 3, shape) * (rng.random(shape) < 0.2)).astype(np.int32)
    image.flags.writeable = False
    edges = min(8, shape[0]), min(8, shape[1])
    slow, fast = quality.counting("numpy"), quality.counting("numba")

    assert slow.spread(image, marked) == fast.spread(image, marked)
    for scale in (Scale(-span, 255 / (2 * span)), Scale(0.3, 0.7), Scale(span, 1)):
        found = fast.windows(image, marked, edges, scale)
        assert np.array_equal(slow.windows(image, marked, edges, scale), found)


@pytest.mark.parametrize(
    ("limits", "broken"),
    [
        (Limits(), ""),
        (Limits(2, 50.0, 0.99), ""),
        (Limits(max_change=1), "max_change"),
        (Limits(min_psnr=50.01), "min_psnr"),
        (Limits(min_ssim=0.991), "min_ssim"),
    ],
)
def test_a_limit_that_is_not_kept_is_named(limits, broken):
    found = Quality(2, 10, 60.0, 50.0, 0.99)

    assert quality.fault(found, limits, robust=False)[0] == broken


def test_the_robust_mark_is_not_counted_in_stored_values():
    assert quality.fault(Quality(80, 10, 60.0, 50.0, 0.99), Limits(), robust=True) == ("", "")


@pytest.mark.parametrize("psnr", [81.25, math.inf])
def test_what_is_stated_can_be_read(psnr):
    found = Quality(1, 9397, psnr, psnr, 0.99961)

    assert quality.read(quality.state(found) + b" ") == found


@pytest.mark.parametrize(
    "stated", [b"", b"PSNR", b"max_change=1 changed=2 psnr=x psnr_data=1 ssim=1"]
)
def test_what_is_no_statement_is_not_read(stated):
    assert quality.read(stated) is None
