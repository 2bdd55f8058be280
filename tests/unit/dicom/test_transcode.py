"""An object in another transfer syntax is the same object, or it does not come out."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import pixel_array
from sealing import ORDER, examiner, marker, sample

from node.crypto.keyring import MemoryKeys
from node.dicom import reader
from node.dicom.codecs import Decoder
from node.dicom.transcode import transcode
from node.errors import UnsealableError
from node.types import VerdictKind

COMPRESSED = ["MR_small_RLE.dcm", "examples_jpeg2k.dcm", "MR_small_jpeg_ls_lossless.dcm"]
NATIVE = [reader.IMPLICIT_LE, reader.EXPLICIT_LE, reader.DEFLATED_LE]


@pytest.mark.parametrize("target", NATIVE)
@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_bigendian.dcm", "rtplan.dcm", "reportsi.dcm"]
)
def test_a_native_object_says_the_same_in_every_native_syntax(name, target):
    before = dcmread(BytesIO(sample(name)))
    after = dcmread(BytesIO(transcode(sample(name), target)))

    assert after.file_meta.TransferSyntaxUID == target
    assert [e.tag for e in after if e.tag.group % 2 == 0] == [
        e.tag for e in before if e.tag.group % 2 == 0 and e.tag.element
    ]
    if "PixelData" in before:
        assert np.array_equal(after.pixel_array, before.pixel_array)


@pytest.mark.parametrize("name", COMPRESSED)
def test_what_was_compressed_without_loss_is_decoded(name):
    with Decoder() as codec:
        data = transcode(sample(name), reader.IMPLICIT_LE, codec)

    after, before = dcmread(BytesIO(data)), dcmread(BytesIO(sample(name)))
    assert np.array_equal(after.pixel_array, before.pixel_array)


@pytest.mark.parametrize("photometric", ["YBR_FULL", "RGB"])
def test_colours_keep_their_meaning_when_the_stream_holds_them_as_they_are(photometric):
    ds = dcmread(BytesIO(sample("SC_rgb_rle.dcm")))
    ds.PhotometricInterpretation = photometric
    written = BytesIO()
    ds.save_as(written)
    with Decoder() as codec:
        after = dcmread(BytesIO(transcode(written.getvalue(), reader.EXPLICIT_LE, codec)))

    assert after.PhotometricInterpretation == photometric
    assert np.array_equal(pixel_array(after, raw=True), pixel_array(ds, raw=True))


def test_what_was_compressed_with_loss_stays_as_it_is():
    with Decoder() as codec, pytest.raises(UnsealableError) as caught:
        transcode(sample("JPEG-lossy.dcm"), reader.EXPLICIT_LE, codec)
    assert caught.value.code == "lossy_syntax"


@pytest.mark.parametrize(
    "name", ["MR_small_RLE.dcm", "MR_small_bigendian.dcm", "CT_small.dcm", "reportsi.dcm"]
)
def test_what_is_sealed_in_the_header_alone_is_intact_or_does_not_come_out(name):
    keys = MemoryKeys([b"k" * 32])
    with Decoder() as codec:
        made = marker(keys, codec).mark(sample(name), replace(ORDER, carrier="header"))
        if name.startswith("MR"):
            with pytest.raises(UnsealableError) as caught:
                transcode(made.data, reader.IMPLICIT_LE, codec)
            assert caught.value.code == "sealed_stream"
        else:
            found = examiner(keys, codec).examine(transcode(made.data, reader.IMPLICIT_LE, codec))
            assert found.verdict.kind is VerdictKind.INTACT
