from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from making import image

from node.dicom import codec_child, codecs, headers, marked, pixels, reader
from node.dicom.codecs import Decoder
from node.dicom.declaration import Work
from node.dicom.elements import SEQUENCE_END, header
from node.dicom.encapsulated import to_items
from node.dicom.native import facts_of
from node.dicom.reader import PIXEL_DATA, read, read_dataset
from node.errors import UnsealableError

RLE = "1.2.840.10008.1.2.5"
BASELINE = "1.2.840.10008.1.2.4.50"
LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
J2K_LOSSLESS = "1.2.840.10008.1.2.4.90"
J2K = "1.2.840.10008.1.2.4.91"
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
ENCODED = [uid for uid, syntax in codecs.SYNTAXES.items() if syntax.encoder]
RANDOM = np.random.default_rng(7)


@pytest.fixture(scope="module")
def codec():
    with Decoder() as decoder:
        yield decoder


def encapsulated(native: bytes, items: bytes, syntax: str):
    """The object of a native file, its pixels replaced by items in another syntax."""
    obj = read(native)
    before, after = headers.assemble(obj, {})
    head = headers.pixel_head(obj, syntax, 0)
    end = header(SEQUENCE_END, "", 0, obj.encoding)
    return read_dataset(before + head + items + end + after, syntax)


def code_of(codec, obj, **options) -> str:
    with pytest.raises(UnsealableError) as caught:
        pixels.load(obj, codec, **options)
    return caught.value.code


CASES = {
    "grey 8": (np.uint8, 1, {}),
    "grey 12 in 16": (np.uint16, 1, {"stored": 12}),
    "grey 16": (np.uint16, 1, {}),
    "signed 16": (np.uint16, 1, {"signed": True}),
    "signed 12 in 16, sign-extended": (np.uint16, 1, {"stored": 12, "signed": True}),
    "signed 12 in 16, rubbish above": (np.uint16, 1, {"stored": 12, "signed": True, "junk": True}),
    "10 in 16, overlay above": (np.uint16, 1, {"stored": 10, "junk": True}),
    "colour": (np.uint8, 3, {}),
    "luminance and chroma": (np.uint8, 3, {"photometric": "YBR_FULL"}),
    "colour by plane": (np.uint8, 3, {"planar": 1}),
    "one bit in 8": (np.uint8, 1, {"stored": 1}),
}


@pytest.mark.parametrize("syntax", ENCODED)
@pytest.mark.parametrize("case", CASES)
def test_words_come_back_from_every_lossless_syntax(codec, syntax, case):
    dtype, samples, options = CASES[case]
    options = dict(options)
    shape = (2, 12, 9, samples)
    stored = options.get("stored", np.dtype(dtype).itemsize * 8)
    values = RANDOM.integers(0, 1 << stored, shape).cumsum(axis=2) % (1 << stored)
    if options.pop("junk", False):
        values = values | (RANDOM.integers(0, 1 << 16, shape) & ~((1 << stored) - 1))
    elif options.get("signed"):
        values = np.where(values >> (stored - 1), values - (1 << stored), values)
    words = values.astype(dtype)
    native = image(words, **options)
    items = codec.encode(words, facts_of(read(native)), syntax)
    obj = encapsulated(native, items, syntax)
    loaded = pixels.load(obj, codec)
    assert np.array_equal(loaded.words, words)
    assert loaded.sha256 == pixels.load(read(native)).sha256
    assert codec.encode(words, loaded.facts, syntax) == items


def test_signed_samples_are_sign_extended_even_where_the_stream_has_no_sign(codec):
    words = np.array([-5, 7, -2048, 2047], np.int16).view(np.uint16).reshape(1, 2, 2, 1)
    native = image(words, stored=12, signed=True)
    stream = imagecodecs.jpegls_encode(words[0, ..., 0] & 0x0FFF)
    low = imagecodecs.jpeg8_encode(
        words[0, ..., 0] & 0x0FFF, lossless=True, predictor=1, bitspersample=12
    )
    for syntax, data in ((LOSSLESS_SV1, low),):
        loaded = pixels.load(encapsulated(native, to_items([data]), syntax), codec)
        assert np.array_equal(loaded.words, words)
    raw = pixels.load(encapsulated(native, to_items([stream]), JPEG_LS), codec)
    assert np.array_equal(raw.carrier.samples.ravel(), [-5, 7, -2048, 2047])


def test_colour_in_jpeg_2000_keeps_its_transformation(codec):
    words = RANDOM.integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)
    native = image(words, photometric="YBR_RCT")
    for syntax in (J2K_LOSSLESS, HTJ2K_RPCL):
        items = codec.encode(words, facts_of(read(native)), syntax)
        loaded = pixels.load(encapsulated(native, items, syntax), codec)
        assert np.array_equal(loaded.words, words)
        assert loaded.obj.transfer_syntax_uid == syntax


GREY = RANDOM.integers(0, 256, (1, 8, 8, 1)).astype(np.uint8)
COLOUR = RANDOM.integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("syntax", "stream"),
    [
        (BASELINE, imagecodecs.jpeg8_encode(GREY[0, ..., 0], level=80)),
        (LOSSLESS_SV1, imagecodecs.jpeg8_encode(GREY[0, ..., 0], level=80)),
        (JPEG_LS_NEAR, imagecodecs.jpegls_encode(GREY[0, ..., 0], level=3)),
        (J2K, imagecodecs.jpeg2k_encode(GREY[0, ..., 0], level=30, codecformat="J2K",
                                        reversible=False)),
    ],
)  # fmt: skip
def test_loss_is_told_by_the_stream_not_by_the_transfer_syntax(codec, syntax, stream):
    assert code_of(codec, encapsulated(image(GREY), to_items([stream]), syntax)) == "lossy_syntax"


def test_what_was_compressed_with_loss_is_marked_natively_if_asked(codec):
    stream = imagecodecs.jpeg8_encode(COLOUR[0], level=80)
    native = image(COLOUR, photometric="YBR_FULL_422", PatientComments="kept")
    obj = encapsulated(native, to_items([stream]), BASELINE)
    loaded = pixels.load(obj, codec, lossy="decode")
    assert loaded.obj.transfer_syntax_uid == reader.EXPLICIT_LE
    assert loaded.obj.text("PhotometricInterpretation") == "RGB"
    assert loaded.obj.text("PatientComments") == "kept"
    assert np.array_equal(loaded.words[0], imagecodecs.jpeg8_decode(stream))
    again = pixels.load(loaded.obj, codec)
    assert again.sha256 == loaded.sha256


def test_near_lossless_stays_in_its_syntax_if_asked(codec):
    stream = imagecodecs.jpegls_encode(GREY[0, ..., 0], level=3)
    obj = encapsulated(image(GREY), to_items([stream]), JPEG_LS_NEAR)
    loaded = pixels.load(obj, codec, lossy="decode")
    stored = loaded.store(loaded.carrier.samples)
    assert stored.transfer_syntax_uid == JPEG_LS_NEAR
    again = encapsulated(image(GREY), stored.value, JPEG_LS_NEAR)
    assert np.array_equal(pixels.load(again, codec).words, loaded.words)


J2K_STREAM = imagecodecs.jpeg2k_encode(GREY[0, ..., 0], level=0, codecformat="J2K")


@pytest.mark.parametrize(
    ("syntax", "stream", "words"),
    [
        (J2K_LOSSLESS, J2K_STREAM, GREY[:, :4]),
        (J2K_LOSSLESS, J2K_STREAM, COLOUR),
        (J2K_LOSSLESS, J2K_STREAM[:60], GREY),
        (J2K_LOSSLESS, b"rubbish!", GREY),
        (
            J2K_LOSSLESS,
            imagecodecs.jpeg2k_encode(GREY[0, ..., 0], level=0, codecformat="JP2"),
            GREY,
        ),
        (LOSSLESS_SV1, b"\xff\xd8\xff\xd9", GREY),
        (LOSSLESS_SV1, imagecodecs.jpeg8_encode(GREY[0, ..., 0], lossless=True)[:40], GREY),
        (JPEG_LS, imagecodecs.jpegls_encode(GREY[0, ..., 0])[:30], GREY),
        (JPEG_LS, imagecodecs.jpegls_encode(GREY[0, ..., 0].astype(np.uint16) * 9), GREY),
        (RLE, bytes(64), GREY),
        (RLE, b"\1\0\0\0\x40\0\0\0" + bytes(56) + b"\x01ab", GREY),
        (RLE, b"\1\0\0\0\x40\0\0\0" + bytes(56) + b"\x81a" * 9, GREY),
        (RLE, b"\2\0\0\0\x40\0\0\0\xff\xff" + bytes(54) + b"\x81a", GREY),
        (RLE, b"\x0f\0\0\0\x40\0\0\0" + bytes(56) + b"\x81a", GREY),
        (RLE, b"short", GREY),
    ],
)
def test_damaged_and_mismatched_streams_fail_to_decode(codec, syntax, stream, words):
    obj = encapsulated(image(words), to_items([stream]), syntax)
    assert code_of(codec, obj) == "decode_failed"


def test_video_and_unknown_syntaxes_are_refused_before_anything_else(codec):
    for syntax, code in (
        ("1.2.840.10008.1.2.4.102", "video"),
        ("1.2.840.10008.1.2.4.111", "syntax_unsupported"),
        ("1.2.826.0.1.99.77.2", "syntax_unsupported"),
    ):
        obj = encapsulated(image(GREY, photometric="YBR_PARTIAL_420"), to_items([b"ab"]), syntax)
        assert code_of(codec, obj) == code


def test_subsampled_chroma_in_a_lossless_syntax_is_refused(codec):
    native = image(COLOUR, photometric="YBR_FULL_422")
    obj = encapsulated(native, to_items([imagecodecs.jpegls_encode(COLOUR[0])]), JPEG_LS)
    assert code_of(codec, obj) == "ybr_422"


def test_an_image_much_too_large_for_its_stream_is_refused(codec):
    obj = encapsulated(image(GREY, Rows=20000, Columns=20000), to_items([J2K_STREAM]), J2K_LOSSLESS)
    assert code_of(codec, obj) == "too_large"


@pytest.mark.parametrize("syntax", ENCODED)
@pytest.mark.parametrize("stored", [8, 12, 16])
@pytest.mark.parametrize("rows", [1, 9, 64])
def test_noise_that_no_codec_can_compress_is_written_all_the_same(codec, syntax, stored, rows):
    dtype = np.uint8 if stored == 8 else np.uint16
    words = RANDOM.integers(0, 1 << stored, (1, rows, rows, 1)).astype(dtype)
    native = image(words, stored=stored)
    items = codec.encode(words, facts_of(read(native)), syntax)
    assert np.array_equal(pixels.load(encapsulated(native, items, syntax), codec).words, words)


def test_two_jpeg_decoders_must_agree(monkeypatch):
    stream = imagecodecs.jpeg8_encode(GREY[0, ..., 0], lossless=True)
    request = {
        "do": "decode", "codec": "jpeg_lossless", "shape": [8, 8, 1], "bits": 8,
        "two_complement": False, "precision": 8, "signed": False,
    }  # fmt: skip
    assert np.array_equal(codec_child.decode(request, stream), GREY[0])
    monkeypatch.setattr(imagecodecs, "jpegsof3_decode", lambda _: GREY[0, ..., 0] ^ 1)
    with pytest.raises(codec_child.Disagreement):
        codec_child.decode(request, stream)

    def fail(_stream):
        raise ValueError

    monkeypatch.setattr(imagecodecs, "jpegsof3_decode", fail)
    assert np.array_equal(codec_child.decode(request, stream), GREY[0])
    monkeypatch.setattr(imagecodecs, "ljpeg_decode", fail)
    with pytest.raises(ValueError, match="fewer than two"):
        codec_child.decode(request, stream)


def test_what_does_not_decode_to_the_same_is_not_encoded(monkeypatch):
    monkeypatch.setattr(imagecodecs, "jpegls_decode", lambda _: GREY[0, ..., 0] ^ 1)
    request = {
        "do": "encode", "codec": "jpeg_ls", "shape": [8, 8, 1], "bits": 8,
        "two_complement": False, "precision": 8, "signed": False,
    }  # fmt: skip
    with pytest.raises(ValueError, match="decode to the same"):
        codec_child.encode(request, GREY[0].tobytes())


def test_lossy_syntaxes_have_no_encoder(codec):
    with pytest.raises(UnsealableError) as caught:
        codec.encode(GREY, facts_of(read(image(GREY))), BASELINE)
    assert caught.value.code == "no_encoder"


@pytest.mark.parametrize("syntax", [RLE, LOSSLESS_SV1, JPEG_LS, J2K_LOSSLESS])
def test_a_marked_encapsulated_object_becomes_what_it_was(codec, syntax):
    words = RANDOM.integers(0, 4096, (3, 10, 10, 1)).astype(np.uint16)
    native = image(words, stored=12)
    obj = encapsulated(native, codec.encode(words, facts_of(read(native)), syntax), syntax)
    loaded = pixels.load(obj, codec)
    changes = marked.plan(obj, Work("mark", "00", "0", 0.0), image=True)
    undo = marked.undo(obj, changes, raw=None)
    stored = loaded.store(loaded.carrier.samples ^ 1)
    found = read_dataset(marked.dress(obj, changes, stored, private={}), syntax)
    back = pixels.load(found, codec).restore(loaded.carrier.samples)
    assert back.sha256 == loaded.sha256
    header_of = marked.undress(found, undo)
    assert header_of == headers.header_bytes(obj)
    whole = read(marked.rebuild(header_of, back))
    assert headers.header_bytes(whole) == headers.header_bytes(obj)
    assert pixels.load(whole, codec).sha256 == loaded.sha256
    assert PIXEL_DATA in whole.index
