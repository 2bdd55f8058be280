"""Distances that can be compared."""

from __future__ import annotations

import math

import numpy as np
import pytest

from node.mark.quality import measure


def test_one_step_everywhere_is_the_peak_itself():
    image = np.array([[0, 100], [200, 255]], np.int32)
    found = measure(image, image + 1, 8)
    assert found.max_change == 1
    assert found.changed == 4
    assert found.psnr_stored == pytest.approx(20 * math.log10(255))
    assert found.psnr_data == pytest.approx(found.psnr_stored)


def test_a_deep_image_looks_better_than_it_is_by_its_bits():
    image = np.array([[1000, 1400]], np.int32)
    found = measure(image, image + np.array([[0, 3]], np.int32), 16)
    assert found.psnr_stored - found.psnr_data == pytest.approx(20 * math.log10(65535 / 400))


def test_equal_images_are_infinitely_alike():
    image = np.zeros((3, 3), np.int32)
    assert measure(image, image, 12).psnr_stored == math.inf
