"""The picture for people: four panels, and red where something changed."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from node.mark.picture import ALARM, CAPTION, EDGE, GAP, Scene, draw
from node.types import Region


def drawn(**changes):
    down, right = np.mgrid[0:128, 0:256]
    original = (down * 10 + right).astype(np.int32)
    found = original + (right % 7 == 0)
    scene = {"original": original, "found": found, "regions": (), "title": "as sent"} | changes
    with Image.open(BytesIO(draw(Scene(**scene)))) as picture:
        return np.asarray(picture.convert("RGB"))


def test_there_are_four_panels_side_by_side():
    assert drawn().shape == (EDGE // 2 + CAPTION + 2 * GAP, GAP + 4 * (EDGE + GAP), 3)


def test_a_changed_region_is_outlined_in_red_where_it_is():
    picture = drawn(regions=(Region(0, 64, 128, 32, 64),))
    red = (picture == ALARM).all(axis=2)
    rows, columns = np.nonzero(red)
    left = GAP + 3 * (EDGE + GAP)
    assert rows.min() == CAPTION + GAP + 128
    assert columns.min() == left + 256
    assert columns.max() == left + 256 + 127
    assert not (drawn() == ALARM).all(axis=2).any()


def test_a_flat_image_can_be_drawn():
    flat = np.zeros((5, 3), np.int32)
    assert drawn(original=flat, found=flat).size


def test_the_same_scene_is_the_same_file():
    assert np.array_equal(drawn(), drawn())
