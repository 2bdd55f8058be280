"""The bitmap beside the robust message: drawn, read from copies, taken out exactly."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sealing import sample

from node.dicom import pixels, reader
from node.errors import UnreadableError
from node.mark import bitmap, logo, robust
from node.mark.finding import find
from node.mark.message import own
from node.mark.strength import displayed

OURS = own(bytes(range(32)))
MESSAGE = OURS.message(77)
CROSS = np.zeros((40, 40), np.bool_)
CROSS[16:24, 4:36] = CROSS[4:36, 16:24] = True
DOTS = bitmap.draw(logo.encode(CROSS))


@pytest.fixture(scope="module")
def ct():
    found = pixels.load(reader.read(sample("693_UNCR.dcm")))
    added = robust.add(found.carrier, MESSAGE, found.window, DOTS)
    return found.carrier, found.window, added


def wrong(seen):
    bits = (np.unpackbits(np.frombuffer(dots, np.uint8)) for dots in (seen.dots, DOTS))
    return int(np.count_nonzero(np.subtract(*bits)))


def jpeg(picture):
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file), np.float64)


def test_a_logo_is_drawn_as_large_as_fits_in_the_middle():
    ink = bitmap.Seen(bitmap.draw(logo.encode(np.ones((10, 40), np.bool_))), 0).ink
    assert ink.sum() == 32 * 8
    assert ink[12:20].all()
    small = bitmap.Seen(bitmap.draw(logo.encode(np.ones((2, 2), np.bool_))), 0).ink
    assert small.all()


@pytest.mark.parametrize(
    "attack", [lambda p: p, jpeg, lambda p: 255 - p], ids=["no", "JPEG", "inv"]
)
def test_a_copy_shows_the_logo_and_names_hospital_and_recipient(attack, ct):
    _, window, added = ct
    assert added.bitmap
    found = find(attack(displayed(added.samples, window)), [OURS], search=False)
    assert found.reading.recipient == 77
    assert wrong(found.drawn) < 100


@pytest.mark.slow
def test_a_smaller_copy_shows_the_logo_wherever_it_was_cut():
    mr = pixels.load(reader.read(sample("MR-SIEMENS-DICOM-WithOverlays.dcm")))
    added = robust.add(mr.carrier, MESSAGE, mr.window, DOTS)
    part = displayed(added.samples, mr.window)[21:470, 37:480]
    found = find(part, [OURS])
    assert found.reading.recipient == 77
    assert wrong(found.drawn) < 200


def test_message_and_bitmap_are_taken_out_exactly_also_around_an_edit(ct):
    carrier, _, added = ct
    found = replace(carrier, samples=added.samples)
    assert np.array_equal(robust.remove(found, added.undo), carrier.samples)
    assert robust.message_of(added.undo) == MESSAGE
    edited = added.samples.copy()
    edited[200:210, 200:210] += 40
    back = robust.remove(replace(carrier, samples=edited), added.undo)
    same = back == carrier.samples
    same[200:210, 200:210] = True
    assert same.all()


def test_where_the_bitmap_does_not_fit_the_message_goes_alone(ct):
    carrier, window, _ = ct
    part = replace(carrier, samples=carrier.samples[120:400, 120:400], frame_rows=280)
    added = robust.add(part, MESSAGE, window, DOTS)
    assert not added.bitmap
    assert added.undo == robust.add(part, MESSAGE, window).undo


def test_a_message_alone_shows_no_bitmap(ct):
    carrier, window, _ = ct
    picture = displayed(robust.add(carrier, MESSAGE, window).samples, window)
    assert find(picture, [OURS], search=False).drawn is None


def test_a_damaged_way_back_is_refused(ct):
    carrier, _, added = ct
    found = replace(carrier, samples=added.samples)
    assert added.undo[0] == 2
    size = 5 + int.from_bytes(added.undo[1:5], "little")
    for cut in (0, 1, 4, 30, size, size + 1, size + 100):
        with pytest.raises(UnreadableError):
            robust.remove(found, added.undo[:cut])
