from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from making import dataset, image, part10
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from node.dicom.native import (
    Facts,
    Plane,
    facts_of,
    read_words,
    write_words,
)
from node.dicom.reader import PIXEL_DATA, read
from node.errors import UnsealableError


@st.composite
def layouts(draw) -> Facts:
    """Every place that a sample can have in a word."""
    allocated = draw(st.sampled_from([8, 16]))
    stored = draw(st.integers(1, allocated))
    return Facts(
        rows=draw(st.integers(1, 4)),
        columns=draw(st.integers(1, 4)),
        frames=draw(st.integers(1, 2)),
        samples_per_pixel=1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=draw(st.integers(stored - 1, allocated - 1)),
        pixel_representation=draw(st.integers(0, 1)),
        photometric="MONOCHROME2",
        planar=0,
    )


@st.composite
def images(draw) -> tuple[Facts, np.ndarray]:
    facts = draw(layouts())
    words = draw(npst.arrays(facts.dtype, facts.shape[:3]))
    if draw(st.booleans()):  # rubbish in the other bits is the rarer case
        words = words & facts.dtype.type((1 << facts.bits_stored) - 1) << facts.shift
    return facts, words.astype(facts.dtype)


@given(images())
def test_storing_the_samples_that_were_there_changes_no_word(case):
    facts, words = case
    assert np.array_equal(Plane(words, facts).with_samples(Plane(words, facts).samples()), words)


@given(images(), st.randoms(use_true_random=False))
def test_samples_within_bounds_come_back_and_go_back(case, random):
    facts, words = case
    samples = Plane(words, facts).samples()
    low, high = (np.broadcast_to(bound, samples.shape) for bound in Plane(words, facts).bounds())
    assert (low <= samples).all()
    assert (samples <= high).all()
    moved = np.array(
        [random.randint(int(a), int(b)) for a, b in zip(low.flat, high.flat, strict=True)],
        np.int32,
    ).reshape(samples.shape)
    marked = Plane(words, facts).with_samples(moved)
    assert np.array_equal(Plane(marked, facts).samples(), moved)
    new_low, new_high = Plane(marked, facts).bounds()
    assert np.array_equal(np.broadcast_to(new_low, samples.shape), low)
    assert np.array_equal(np.broadcast_to(new_high, samples.shape), high)
    assert np.array_equal(Plane(marked, facts).with_samples(samples), words)


def test_a_sign_is_extended_as_it_was():
    facts = facts_of(read(image(np.zeros((1, 1, 2, 1), np.uint16), stored=12, signed=True)))
    words = np.array([[[0xFFFF, 0x0001]]], np.uint16)
    assert Plane(words, facts).samples().tolist() == [[[-1, 1]]]
    assert Plane(words, facts).with_samples(np.array([[[1, -1]]], np.int32)).tolist() == [
        [[1, 0xFFFF]]
    ]


def test_rubbish_above_a_signed_sample_confines_it_to_its_side_of_zero():
    facts = facts_of(read(image(np.zeros((1, 1, 2, 1), np.uint16), stored=12, signed=True)))
    words = np.array([[[0x5FFF, 0xA001]]], np.uint16)
    low, high = Plane(words, facts).bounds()
    assert low.tolist() == [[[-2048, 0]]]
    assert high.tolist() == [[[-1, 2047]]]
    marked = Plane(words, facts).with_samples(np.array([[[-2, 0]]], np.int32))
    assert marked.tolist() == [[[0x5FFE, 0xA000]]]


def test_overlay_bits_stay():
    facts = facts_of(read(image(np.zeros((1, 1, 2, 1), np.uint16), stored=12)))
    words = np.array([[[0x1005, 0x8FFF]]], np.uint16)
    assert Plane(words, facts).with_samples(np.array([[[6, 0]]], np.int32)).tolist() == [
        [[0x1006, 0x8000]]
    ]


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, "1.2.840.10008.1.2.1", ExplicitVRBigEndian]
)
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_words_are_the_same_in_every_native_syntax_and_order(syntax, planar, dtype):
    words = np.arange(2 * 3 * 4 * 3, dtype=dtype).reshape(2, 3, 4, 3)
    obj = read(image(words, planar=planar, syntax=syntax))
    facts, element, order = facts_of(obj), obj.index[PIXEL_DATA], obj.encoding.order
    found = read_words(obj.data, element, facts, order)
    assert np.array_equal(found, words)
    assert write_words(found, element, facts, order) == obj.data[element.value : element.stop]


def test_bytes_in_big_endian_words_are_turned_round():
    words = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
    swapped = words.ravel().view("<u2").byteswap().view(np.uint8).reshape(words.shape)
    data = image(swapped, syntax=ExplicitVRBigEndian).replace(b"OB\0\0", b"OW\0\0")
    obj = read(data)
    facts, element = facts_of(obj), obj.index[PIXEL_DATA]
    assert element.vr == "OW"
    assert np.array_equal(read_words(obj.data, element, facts, ">"), words)
    assert write_words(words, element, facts, ">") == swapped.tobytes()


def code_of(data: bytes) -> str:
    with pytest.raises(UnsealableError) as caught:
        words_of(read(data))
    return caught.value.code


def words_of(obj):
    facts = facts_of(obj)
    return read_words(obj.data, obj.index[PIXEL_DATA], facts, obj.encoding.order)


GREY = np.zeros((1, 4, 4, 1), np.uint16)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette"),
        ({"PhotometricInterpretation": "HSV"}, "photometric"),
        ({"BitsAllocated": 1}, "one_bit"),
        ({"BitsAllocated": 32}, "bits_32"),
        ({"BitsAllocated": 12}, "geometry"),
        ({"BitsAllocated": 0}, "geometry"),
        ({"BitsStored": 20}, "geometry"),
        ({"BitsStored": 0}, "geometry"),
        ({"HighBit": 14}, "geometry"),
        ({"HighBit": 16}, "geometry"),
        ({"PixelRepresentation": 2}, "geometry"),
        ({"SamplesPerPixel": 4}, "geometry"),
        ({"SamplesPerPixel": 3}, "geometry"),
        ({"Rows": 0}, "geometry"),
        ({"Rows": 5}, "geometry"),
        ({"NumberOfFrames": "-1"}, "geometry"),
        ({"NumberOfFrames": "2147483647", "Rows": 65535}, "too_large"),
        ({"Rows": 65535, "Columns": 65535}, "too_large"),
    ],
)
def test_what_cannot_be_marked_is_refused_with_its_reason(attributes, code):
    assert code_of(image(GREY, **attributes)) == code


def test_an_object_without_pixels_says_so():
    assert code_of(part10(dataset())) == "no_pixels"
    floats = dataset(Rows=1, Columns=1, FloatPixelData=bytes(4))
    assert code_of(part10(floats)) == "float"
