"""The robust mark is found in pictures of any size, turn and crop."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sealing import sample

from node.dicom import pixels, reader
from node.mark import robust
from node.mark.finding import find
from node.mark.message import own
from node.mark.scaling import guesses, resized

OURS = own(bytes(range(32)))


@pytest.fixture(scope="module")
def marked():
    found = pixels.load(reader.read(sample("693_UNCR.dcm")))
    samples = robust.add(found.carrier, OURS.message(9), found.window).samples
    low, high = found.window
    grey = np.clip((samples - low) / (high - low), 0, 1) * 255
    return Image.fromarray(np.rint(grey).astype(np.uint8))


def resized_copy(picture, scale):
    size = round(picture.width * scale), round(picture.height * scale)
    return picture.resize(size, Image.Resampling.LANCZOS)


def screenshot(picture):
    """On a desktop, half as big again, with a frame and text beside it, saved as JPEG."""
    desk = Image.new("L", (1280, 900), 60)
    desk.paste(200, (20, 40, 300, 60))
    desk.paste(0, (330, 20, 1260, 880))
    desk.paste(resized_copy(picture, 1.5), (400, 60))
    file = io.BytesIO()
    desk.save(file, "JPEG", quality=70)
    return Image.open(file)


COPIES = {
    "half size": lambda p: resized_copy(p, 0.5),
    "three quarters": lambda p: resized_copy(p, 0.77),
    "half as big again": lambda p: resized_copy(p, 1.5),
    "half of it": lambda p: p.crop((60, 90, 422, 452)),
    "mirrored": lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "a quarter turn": lambda p: p.transpose(Image.Transpose.ROTATE_90),
    "screenshot": screenshot,
}


def brightness(picture):
    return np.asarray(picture, np.float64)


def noise(rows, columns):
    return np.random.default_rng(2).random((rows, columns)) * 255


@pytest.mark.parametrize("copy", COPIES)
def test_the_hospital_is_named_from_a_copy_that_is(marked, copy):
    found = find(brightness(COPIES[copy](marked)), [OURS])
    assert found is not None
    assert found.reading.hospital is OURS


def test_a_copy_of_half_the_size_and_poor_quality_is_named_without_a_search(marked):
    file = io.BytesIO()
    resized_copy(marked, 0.5).save(file, "JPEG", quality=50)
    asked = replace(OURS, recipients=(0, 9))
    found = find(brightness(Image.open(file)), [asked])
    assert found is not None
    assert found.reading.hospital is asked
    assert found.cell == pytest.approx(3)


def test_no_other_size_of_a_picture_is_darker_or_brighter_than_it(marked):
    picture = brightness(marked)
    other = resized(picture, (700, 700))
    assert (other.min(), other.max()) == (picture.min(), picture.max())


def test_a_whole_picture_that_was_resized_simply_gets_back_its_cells():
    for rows, columns, cells in ((256, 256, 85), (240, 320, 80), (880, 1000, 88)):
        seen = [other.shape for _, other in guesses(noise(rows, columns))]
        assert cells * 6 in [shape[0] for shape in seen]


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [-5, -1, 3.3])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_hospital_is_named_from_a_copy_turned_a_little(marked, degrees, scale):
    turned = marked.rotate(degrees, Image.Resampling.BICUBIC)
    found = find(brightness(resized_copy(turned, scale)), [OURS])
    assert found is not None
    assert found.degrees == pytest.approx(degrees, abs=0.6)
    assert found.cell == pytest.approx(6 * scale, rel=0.02)


@pytest.mark.slow
def test_a_small_turn_is_found_and_told(marked):
    found = find(brightness(marked.rotate(2, Image.Resampling.BICUBIC)), [OURS])
    assert found is not None
    assert found.degrees == pytest.approx(2, abs=0.6)
    assert not found.mirrored


@pytest.mark.slow
def test_where_nothing_was_added_nothing_is_found(marked):
    assert find(brightness(marked), [own(bytes(32))]) is None


def test_nothing_is_found_in_a_flat_or_a_tiny_picture():
    for shape in ((120, 120), (16, 16), (4, 900)):
        assert find(np.zeros(shape), [OURS]) is None
