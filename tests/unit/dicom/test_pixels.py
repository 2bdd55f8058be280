from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from making import dataset, image, part10
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from node.dicom import pixels
from node.dicom.pixels import load
from node.dicom.reader import PIXEL_DATA, read
from node.errors import ProofError, UnsealableError

GREY = np.arange(2 * 4 * 5, dtype=np.uint16).reshape(2, 4, 5, 1) * 100
COLOUR = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3) * 2


def field(obj) -> bytes:
    element = obj.index[PIXEL_DATA]
    return obj.data[element.value : element.stop]


def test_frames_stand_one_below_the_other():
    carrier = load(read(image(GREY))).carrier
    assert np.array_equal(carrier.samples, GREY.reshape(8, 5))
    assert carrier.samples.dtype == np.int32
    assert carrier.frame_rows == 4
    assert (int(carrier.low), int(carrier.high), carrier.padding) == (0, 65535, None)


def test_what_follows_the_words_is_no_part_of_the_pixels():
    words = GREY[:1, :, :, :].astype(np.uint8)
    obj = read(image(words[:, :, :3], tail=b"tail"))
    stored = load(obj).store(load(obj).carrier.samples)
    assert stored.value == words[:, :, :3].tobytes()
    assert field(obj) == stored.value + b"tail"


def test_the_digest_is_the_same_in_every_native_syntax():
    digests = {
        load(read(image(COLOUR, planar=planar, syntax=syntax))).sha256
        for planar in (0, 1)
        for syntax in ("1.2.840.10008.1.2.1", ImplicitVRLittleEndian, ExplicitVRBigEndian)
    }
    assert digests == {hashlib.sha256(COLOUR.tobytes()).digest()}
    little, big = (
        load(read(image(GREY, syntax=s))) for s in ("1.2.840.10008.1.2.1", ExplicitVRBigEndian)
    )
    assert little.sha256 == big.sha256 == hashlib.sha256(GREY.tobytes()).digest()


@pytest.mark.parametrize("planar", [0, 1])
def test_grey_stays_grey_in_a_colour_image(planar):
    words = np.repeat(COLOUR[..., :1], 3, axis=3)
    obj = read(image(words, planar=planar))
    loaded = load(obj)
    moved = np.clip(loaded.carrier.samples + 1, loaded.carrier.low, loaded.carrier.high)
    changed = loaded.restore(moved.astype(np.int32)).words
    assert (changed[..., 0] == changed[..., 1]).all()
    assert (changed[..., 0] == changed[..., 2]).all()
    assert (changed != words).any()


@given(npst.arrays(np.uint8, (1, 2, 2, 3)), st.sampled_from(["RGB", "YBR_FULL"]), st.data())
def test_colour_moves_within_its_bounds_and_back(words, photometric, data):
    loaded = load(read(image(words, photometric=photometric)))
    low, high = (np.broadcast_to(b, (2, 2)) for b in (loaded.carrier.low, loaded.carrier.high))
    moved = np.array(
        [data.draw(st.integers(int(a), int(b))) for a, b in zip(low.flat, high.flat, strict=True)],
        np.int32,
    ).reshape(2, 2)
    marked = load(read(image(loaded.restore(moved).words.copy(), photometric=photometric)))
    assert np.array_equal(marked.carrier.samples, moved)
    assert np.array_equal(np.broadcast_to(marked.carrier.low, (2, 2)), low)
    assert np.array_equal(np.broadcast_to(marked.carrier.high, (2, 2)), high)
    assert np.array_equal(marked.restore(loaded.carrier.samples).words, words)


def test_only_the_luminance_of_a_ybr_image_moves():
    loaded = load(read(image(COLOUR, photometric="YBR_FULL")))
    changed = loaded.restore(loaded.carrier.samples + 1).words
    assert np.array_equal(changed[..., 1:], COLOUR[..., 1:])
    assert np.array_equal(changed[..., 0], COLOUR[..., 0] + 1)


def test_a_sample_out_of_bounds_is_never_stored():
    loaded = load(read(image(GREY, stored=12)))
    for wrong in (-1, 4096):
        samples = loaded.carrier.samples.copy()
        samples[3, 2] = wrong
        with pytest.raises(ProofError):
            loaded.store(samples)
    colour = load(read(image(COLOUR)))
    with pytest.raises(ProofError):
        colour.store(colour.carrier.high + 1)


def test_restoring_a_sample_out_of_bounds_cuts_it():
    loaded = load(read(image(GREY, stored=12)))
    assert loaded.restore(np.full((8, 5), 5000, np.int32)).carrier.samples.max() == 4095


@pytest.mark.parametrize(
    ("attributes", "signed", "expected"),
    [
        ({"PixelPaddingValue": 63}, False, (63, 63)),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 20}, False, (0, 20)),
        ({"PixelPaddingValue": 20, "PixelPaddingRangeLimit": 0}, False, (0, 20)),
        ({"PixelPaddingValue": -2000}, True, (-2000, -2000)),
        ({"PixelPaddingRangeLimit": 20}, False, None),
    ],
)
@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_padding_is_what_the_header_says(attributes, signed, expected, syntax):
    ds = image(GREY, stored=16 if signed else 12, signed=signed, syntax=syntax, **attributes)
    assert load(read(ds)).carrier.padding == expected


def test_padding_written_with_its_sign_in_12_bits_is_understood():
    data = image(GREY, stored=12, signed=True, PixelPaddingValue=0)
    value = b"\x28\x00\x20\x01SS\x02\x00"
    unextended = data.replace(value + b"\0\0", value + b"\x30\x08")
    assert load(read(unextended)).carrier.padding == (-2000, -2000)


def test_a_seal_is_bound_to_what_the_pixels_are():
    binding = load(read(image(COLOUR))).binding()
    assert (binding.rows, binding.columns, binding.frames) == (4, 5, 2)
    assert (binding.samples_per_pixel, binding.bits_allocated, binding.bits_stored) == (3, 8, 8)


def test_pixels_are_written_as_another_header_wants_them():
    loaded = load(read(image(GREY)))
    big = read(image(GREY * 0, syntax=ExplicitVRBigEndian))
    assert loaded.written_like(big).value == GREY.astype(">u2").tobytes()
    assert loaded.written_like(big).transfer_syntax_uid == ExplicitVRBigEndian
    with pytest.raises(UnsealableError) as caught:
        loaded.written_like(read(image(GREY[:1])))
    assert caught.value.code == "geometry"


def test_subsampled_chroma_is_refused():
    with pytest.raises(UnsealableError) as caught:
        load(read(image(COLOUR, photometric="YBR_FULL_422")))
    assert caught.value.code == "ybr_422"


def test_the_value_field_of_any_object_has_a_digest():
    data = read(image(GREY))
    assert pixels.field_sha256(data) == hashlib.sha256(GREY.tobytes()).digest()
    assert pixels.field_sha256(read(part10(dataset()))) == hashlib.sha256(b"").digest()
