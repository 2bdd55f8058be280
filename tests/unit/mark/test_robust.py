"""The robust layer: added, read from lossy copies, taken out exactly."""

from __future__ import annotations

import io
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from PIL import Image, ImageFilter
from sealing import sample

from node.dicom import pixels, reader
from node.errors import DoesNotFitError, UnreadableError
from node.mark import reading, robust
from node.mark.chance import ALLOWED, enough
from node.mark.finding import find
from node.mark.message import NOBODY, Hospital, is_genuine, own
from node.mark.pattern import half_edge
from node.mark.reading import gather, is_said, score
from node.types import Carrier

KEY = bytes(range(32))
OURS = own(KEY)
OTHERS = own(bytes(32))
MESSAGE = OURS.message(77)
CT, MR, CR, US = "693_UNCR.dcm", "MR-SIEMENS-DICOM-WithOverlays.dcm", "RG3_UNCR.dcm", "US1_UNCR.dcm"


def read(picture, *hospitals):
    found = find(picture, hospitals or [OURS], search=False)
    return found.reading if found else None


def loaded(name):
    found = pixels.load(reader.read(sample(name)))
    return found.carrier, found.window or (0.0, float((1 << found.facts.bits_stored) - 1))


def shown(samples, window):
    low, high = window
    return np.rint(np.clip((samples - low) / (high - low), 0, 1) * 255)


def jpeg(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float64)


def halved(picture):
    image = Image.fromarray(picture.astype(np.uint8))
    small = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    return np.asarray(small.resize(image.size, Image.Resampling.BICUBIC), np.float64)


def median(picture):
    image = Image.fromarray(picture.astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.MedianFilter(3)), np.float64)


def noisy(picture):
    noise = np.random.default_rng(4).standard_normal(picture.shape) * 4
    return np.rint(np.clip(picture + noise, 0, 255))


ATTACKS = {
    "nothing": lambda picture: picture,
    "JPEG 50": lambda picture: jpeg(picture, 50),
    "half size": halved,
    "median": median,
    "noise": noisy,
    "inversion": lambda picture: 255 - picture,
    "gamma": lambda picture: np.rint(255 * (picture / 255) ** 0.7),
    "more contrast": lambda picture: np.clip(picture * 1.3 - 30, 0, 255),
}


@pytest.mark.parametrize("name", [CT, MR, US])
def test_what_was_added_is_taken_out_exactly(name):
    carrier, window = loaded(name)
    added = robust.add(carrier, MESSAGE, window)
    assert not np.array_equal(added.samples, carrier.samples)
    found = replace(carrier, samples=added.samples)
    assert np.array_equal(robust.remove(found, added.undo), carrier.samples)
    assert robust.message_of(added.undo) == MESSAGE


@pytest.mark.parametrize("name", [CT, MR, US])
def test_no_sample_leaves_its_bounds_and_none_comes_or_goes_at_the_ends(name):
    carrier, window = loaded(name)
    marked = robust.add(carrier, MESSAGE, window).samples
    assert ((marked >= carrier.low) & (marked <= carrier.high)).all()
    for end in (carrier.samples.min(), carrier.samples.max()):
        assert np.array_equal(marked == end, carrier.samples == end)


def test_padding_between_other_samples_is_neither_touched_nor_made():
    random = np.random.default_rng(1)
    samples = (np.sin(np.mgrid[0:256, 0:256].sum(axis=0) / 40) * 300).astype(np.int32)
    samples += random.integers(-4, 5, samples.shape).astype(np.int32)
    carrier = Carrier(samples, np.array(-2048), np.array(2047), 256, padding=(-7, 5))
    added = robust.add(carrier, MESSAGE, (-300.0, 300.0))
    padded = (samples >= -7) & (samples <= 5)
    assert np.array_equal((added.samples >= -7) & (added.samples <= 5), padded)
    assert np.array_equal(added.samples[padded], samples[padded])
    found = replace(carrier, samples=added.samples)
    assert np.array_equal(robust.remove(found, added.undo), samples)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", [CT, MR, CR])
def test_the_message_is_read_from_a_copy_after(name, attack):
    carrier, window = loaded(name)
    picture = shown(robust.add(carrier, MESSAGE, window).samples, window)
    found = read(ATTACKS[attack](picture))
    assert found is not None
    assert found.recipient == 77
    assert found.inverted == (attack == "inversion")


def test_nothing_is_read_where_nothing_was_added():
    for name in (CT, MR, CR):
        carrier, window = loaded(name)
        assert read(shown(carrier.samples, window)) is None


def test_nothing_is_read_with_another_key():
    carrier, window = loaded(CT)
    picture = shown(robust.add(carrier, MESSAGE, window).samples, window)
    assert read(picture, OTHERS) is None


def test_the_displayed_picture_hardly_changes():
    for name, least in ((CT, 46.5), (MR, 46.5), (CR, 46.5), (US, 43.5)):
        carrier, window = loaded(name)
        marked = robust.add(carrier, MESSAGE, window).samples
        error = np.mean((shown(marked, window) - shown(carrier.samples, window)) ** 2)
        assert 10 * np.log10(255**2 / error) > least, name


def test_the_way_back_is_short():
    carrier, window = loaded(CT)
    assert len(robust.add(carrier, MESSAGE, window).undo) < 700


def test_every_frame_carries_the_message_and_comes_back():
    carrier, window = loaded(CT)
    tall = np.concatenate([carrier.samples, carrier.samples[::-1], np.full((512, 512), -2000)])
    movie = Carrier(tall.astype(np.int32), carrier.low, carrier.high, 512, carrier.padding)
    added = robust.add(movie, MESSAGE, window)
    assert np.array_equal(robust.remove(replace(movie, samples=added.samples), added.undo), tall)
    for frame in (0, 1):
        picture = shown(added.samples[frame * 512 : (frame + 1) * 512], window)
        assert read(picture) is not None


def test_an_edit_does_not_keep_the_rest_from_coming_out():
    carrier, window = loaded(CT)
    added = robust.add(carrier, MESSAGE, window)
    edited = added.samples.copy()
    edited[200:240, 200:240] = -5000  # below everything that was there
    back = robust.remove(replace(carrier, samples=edited), added.undo)
    same = back == carrier.samples
    same[200:240, 200:240] = True
    assert same.all()


def test_a_picture_without_content_is_refused():
    for shape in ((64, 64), (2, 300), (512, 512)):
        flat = Carrier(np.zeros(shape, np.int32), np.array(0), np.array(4095), shape[0])
        with pytest.raises(DoesNotFitError):
            robust.add(flat, MESSAGE, (0.0, 4095.0))


def test_the_same_carrier_gives_the_same_bytes():
    carrier, window = loaded(CT)
    one, other = (robust.add(carrier, MESSAGE, window) for _ in range(2))
    assert np.array_equal(one.samples, other.samples)
    assert one.undo == other.undo


def test_a_way_back_that_is_damaged_or_of_another_picture_is_refused():
    carrier, window = loaded(CT)
    added = robust.add(carrier, MESSAGE, window)
    found = replace(carrier, samples=added.samples)
    for undo in (b"", added.undo[:20], b"\2" + added.undo[1:], added.undo + b"\0"):
        with pytest.raises(UnreadableError):
            robust.remove(found, undo)
    other = Carrier(np.zeros((1024, 1024), np.int32), np.array(0), np.array(9), 1024)
    with pytest.raises(UnreadableError):
        robust.remove(other, added.undo)


def test_of_several_hospitals_the_right_one_is_named():
    carrier, window = loaded(CT)
    picture = shown(robust.add(carrier, MESSAGE, window).samples, window)
    assert read(picture, OTHERS, OURS).hospital is OURS


def test_a_hospital_is_named_without_its_key_but_not_the_recipient():
    carrier, window = loaded(CT)
    picture = shown(robust.add(carrier, MESSAGE, window).samples, window)
    found = read(picture, Hospital(OURS.word))
    assert found.hospital.id == OURS.id
    assert found.recipient is None


@pytest.mark.parametrize("name", [CT, CR])
def test_the_mark_of_a_stranger_says_no_more_to_a_hospital_than_none(name):
    carrier, window = loaded(name)
    random = np.random.default_rng(3)
    words = [random.bytes(size) for size in (12, 20) for _ in range(1000)]
    for samples in (carrier.samples, robust.add(carrier, MESSAGE, window).samples):
        picture = shown(samples, window)
        says = gather(picture, half_edge(*picture.shape))
        scores = np.array([score(says, word) for word in words])
        assert abs(scores.mean()) < 0.1
        assert scores.std() == pytest.approx(1, abs=0.1)
        assert np.abs(scores).max() < enough(1)


def test_who_is_looked_for_is_not_called_the_recipient_of_the_copy_of_another():
    carrier, window = loaded(CT)
    picture = shown(robust.add(carrier, MESSAGE, window).samples, window)
    says = gather(picture, half_edge(*picture.shape))
    assert is_said(says, MESSAGE)
    assert not is_said(says, OURS.message(5))
    says[256:512] *= np.random.default_rng(1).choice([1, -1], 256)  # nothing to decode is left
    assert reading.read(says, [replace(OURS, recipients=(5, 77))]).recipient is None


def test_the_more_is_tried_the_more_is_enough():
    tried = [enough(10.0**power) for power in range(12)]
    assert tried == sorted(tried)
    assert NormalDist().cdf(-enough(1)) * 2 <= ALLOWED


def test_words_are_proved_by_the_key_alone():
    assert is_genuine(OURS.word, KEY)
    assert not is_genuine(OURS.word, bytes(32))
    assert not is_genuine(bytes(12), KEY)
    assert OURS.message()[:12] == OURS.word
    assert OURS.recipient(OURS.message(5)[12:]) == 5
    assert OURS.recipient(OURS.message()[12:]) == NOBODY
    assert OURS.recipient(OTHERS.message(5)[12:]) is None
    assert Hospital(OURS.word).recipient(OURS.message(5)[12:]) is None
    assert OTHERS.word != OURS.word
