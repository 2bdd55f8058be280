from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom.codestreams import read_jpeg, read_jpeg2000
from node.errors import UnsealableError

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
COLOUR = np.arange(144, dtype=np.uint8).reshape(6, 8, 3)


def test_jpeg_says_whether_it_is_lossless():
    lossless = read_jpeg(imagecodecs.jpeg8_encode(GREY, lossless=True))
    assert (lossless.rows, lossless.columns, lossless.samples) == (6, 8, 1)
    assert (lossless.precision, lossless.lossless) == (8, True)
    lossy = read_jpeg(imagecodecs.jpeg8_encode(COLOUR, level=90))
    assert (lossy.samples, lossy.lossless) == (3, False)


def test_jpeg_ls_is_lossless_if_it_may_not_differ():
    assert read_jpeg(imagecodecs.jpegls_encode(GREY)).lossless
    assert not read_jpeg(imagecodecs.jpegls_encode(GREY, level=2)).lossless
    assert read_jpeg(imagecodecs.jpegls_encode(COLOUR)).samples == 3


def test_jpeg_2000_says_what_it_holds():
    signed = (GREY.astype(np.int16) - 20) * 50
    stream = imagecodecs.jpeg2k_encode(
        signed, level=0, codecformat="J2K", reversible=True, bitspersample=12
    )
    claims = read_jpeg2000(stream)
    assert (claims.rows, claims.columns, claims.samples) == (6, 8, 1)
    assert (claims.precision, claims.signed, claims.lossless) == (12, True, True)
    lossy = imagecodecs.jpeg2k_encode(COLOUR, level=40, codecformat="J2K", reversible=False)
    assert not read_jpeg2000(lossy).lossless
    for mct in (True, False):
        stream = imagecodecs.jpeg2k_encode(
            COLOUR, level=0, codecformat="J2K", reversible=True, mct=mct
        )
        assert read_jpeg2000(stream).transformed is mct


def test_a_stream_in_jp2_boxes_is_refused():
    with pytest.raises(UnsealableError):
        read_jpeg2000(imagecodecs.jpeg2k_encode(GREY, level=0, codecformat="JP2"))


def test_subsampled_and_overlarge_streams_are_refused():
    stream = bytearray(imagecodecs.jpeg2k_encode(GREY, level=0, codecformat="J2K"))
    size = stream.index(b"\xff\x51")
    for offset, value in ((size + 41, 2), (size + 38, 0x40)):
        damaged = bytearray(stream)
        damaged[offset] = value
        with pytest.raises(UnsealableError):
            read_jpeg2000(bytes(damaged))


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xc3", b"\xff\x4f\xff\x51"]),
)
def test_damaged_streams_are_refused(rest, start):
    for function in (read_jpeg, read_jpeg2000):
        try:
            claims = function(start + rest)
        except UnsealableError as error:
            assert error.code == "decode_failed"  # noqa: PT017 - most random bytes are refused
        else:
            assert claims.samples >= 0


@given(st.data())
def test_a_stream_cut_or_changed_anywhere_is_read_or_refused(data):
    encode = data.draw(
        st.sampled_from(
            [
                (read_jpeg, imagecodecs.jpeg8_encode(GREY, lossless=True)),
                (read_jpeg, imagecodecs.jpegls_encode(COLOUR)),
                (read_jpeg2000, imagecodecs.jpeg2k_encode(COLOUR, level=0, codecformat="J2K")),
            ]
        )
    )
    function, stream = encode[0], bytearray(encode[1])
    stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    try:
        function(bytes(stream[: data.draw(st.integers(0, len(stream)))]))
    except UnsealableError as error:
        assert error.code == "decode_failed"  # noqa: PT017 - either outcome is right
