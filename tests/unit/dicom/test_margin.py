"""The logo below the image: everybody sees it, nothing of the image changes place, and it goes."""

from __future__ import annotations

import io
from dataclasses import replace

import making
import numpy as np
import pydicom
import pytest
from sealing import RECEIVED_AT, examiner, marker, sample

from node.crypto.keyring import MemoryKeys
from node.dicom import margin, pixels, reader
from node.dicom.codecs import Decoder
from node.mark import logo
from node.mark.message import own
from node.sealing.order import Order
from node.sealing.recovery import approximation
from node.types import VerdictKind

INK = np.zeros((5, 7), np.bool_)
INK[1, 2] = INK[4, 6] = INK[0, 0] = True
ORDER = Order(received_at=RECEIVED_AT, logo=logo.encode(INK), visible="margin")
KEYS = MemoryKeys([bytes(32)])
FILES = {
    "CT, signed, padded": "693_UNCR.dcm",
    "MR": "MR-SIEMENS-DICOM-WithOverlays.dcm",
    "US, RGB": "US1_UNCR.dcm",
    "MR, ten frames": "emri_small.dcm",
    "CT, deflated": "image_dfl.dcm",
    "MR, RLE": "emri_small_RLE.dcm",
    "CT, JPEG 2000": "693_J2KR.dcm",
    "MR, JPEG-LS": "emri_small_jpeg_ls_lossless.dcm",
}


@pytest.fixture(scope="module")
def codec():
    with Decoder() as made:
        yield made


def opened(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def saved(ds: pydicom.Dataset) -> bytes:
    out = io.BytesIO()
    ds.save_as(out)
    return out.getvalue()


@pytest.mark.parametrize("name", FILES)
def test_the_original_comes_back_and_the_image_stands_where_it_stood(name, codec):
    data = sample(FILES[name])
    made = marker(KEYS, codec).mark(data, ORDER)
    before, after = opened(data), opened(made.data)
    assert made.margin
    assert after.Rows > before.Rows
    assert (after.Rows - before.Rows) % 2 == 0
    found = examiner(KEYS, codec).examine(made.data)
    assert found.verdict.kind is VerdictKind.INTACT
    assert found.exact
    was = pixels.load(reader.read(data), codec)
    assert pixels.load(reader.read(found.restored), codec).sha256 == was.sha256
    if was.obj.transfer_syntax_uid in reader.PLAIN_SYNTAXES:
        assert reader.read(found.restored).dataset == reader.read(data).dataset
    seen = pixels.load(reader.read(made.data), codec).words[:, : before.Rows].astype(np.int64)
    assert np.abs(seen - was.words).max() <= 8


@pytest.mark.parametrize("planar", [0, 1])
def test_bytes_that_need_padding_and_colours_by_plane_come_back(planar):
    down, right = np.mgrid[0:131, 0:129]
    waves = 128 + 60 * np.sin(down / 23) * np.cos(right / 17)
    waves = waves + np.random.default_rng(1).normal(0, 1, waves.shape)
    words = np.repeat(np.rint(waves).astype(np.uint8)[None, :, :, None], 3, axis=3)
    data = making.image(words, photometric="RGB", planar=planar)
    made = marker(KEYS).mark(data, ORDER)
    assert made.margin
    assert examiner(KEYS).examine(made.data).restored[-words.size - 1 :] == data[-words.size - 1 :]


def test_the_logo_stands_in_the_margin_as_dark_and_bright_as_the_image_gets():
    image = pixels.load(reader.read(sample("693_UNCR.dcm")))
    page = margin.add(image, INK)
    strip = page.carrier.samples[512:]
    scale = 512 // (8 * 7)
    paper, ink = (round(end) for end in image.window)
    assert set(np.unique(strip)) == {paper, ink}
    assert np.array_equal(strip[8:][: 5 * scale, -8 - 7 * scale : -8] == ink,
                          np.repeat(np.repeat(INK, scale, 0), scale, 1))  # fmt: skip
    assert np.array_equal(margin.cut(page, 512).words, image.words)
    assert page.carrier.frame_rows == page.facts.rows == 512 + len(strip)


def test_every_frame_has_its_margin_and_grey_stays_grey(codec):
    movie = pixels.load(reader.read(sample("emri_small.dcm")), codec)
    page = margin.add(movie, INK)
    assert page.words.shape[0] == 10
    assert np.array_equal(page.words[:, :64], movie.words)
    assert (page.words[:, 64:] == page.words[:1, 64:]).all()
    colour = margin.add(pixels.load(reader.read(sample("US1_UNCR.dcm"))), INK)
    strip = colour.words[:, 480:]
    assert (strip == strip[..., :1]).all()


def test_where_something_depends_on_the_rows_there_is_no_margin():
    for keyword, value in (
        ("Modality", "PT"),
        ("TotalPixelMatrixRows", 512),
        ("ImageType", ["ORIGINAL", "PRIMARY", "MOSAIC"]),
    ):
        ds = opened(sample("CT_small.dcm"))
        setattr(ds, keyword, value)
        made = marker(KEYS).mark(saved(ds), ORDER)
        assert not made.margin
        assert opened(made.data).Rows == ds.Rows
    ds = opened(sample("CT_small.dcm"))
    ds.add_new(0x60000102, "US", 12)
    assert margin.add(pixels.load(reader.read(saved(ds))), INK) is None
    flat = np.full((1, 64, 64, 1), 7, np.uint16)
    assert margin.add(pixels.load(reader.read(making.image(flat))), INK) is None
    small = np.arange(256, dtype=np.uint16).reshape(1, 16, 16, 1)
    assert margin.add(pixels.load(reader.read(making.image(small))), INK) is None


def test_an_edit_in_the_margin_is_told_and_the_image_still_comes_back():
    data = sample("693_UNCR.dcm")
    made = marker(KEYS).mark(data, ORDER)
    ds = opened(made.data)
    samples = ds.pixel_array.copy()
    samples[520:530, 30:60] += 3
    ds.PixelData = samples.tobytes()
    found = examiner(KEYS).examine(saved(ds))
    assert found.verdict.kind is VerdictKind.TAMPERED
    assert found.verdict.regions
    assert all(region.row + region.rows > 520 for region in found.verdict.regions)
    assert np.array_equal(opened(found.restored).pixel_array, opened(data).pixel_array)


def test_a_margin_that_was_cut_off_is_told():
    made = marker(KEYS).mark(sample("693_UNCR.dcm"), ORDER)
    ds = opened(made.data)
    ds.PixelData = ds.pixel_array[:512].tobytes()
    ds.Rows = 512
    assert examiner(KEYS).examine(saved(ds)).verdict.kind is VerdictKind.TAMPERED


def test_robust_mark_and_coarse_copy_go_with_it():
    data = sample("693_UNCR.dcm")
    order = replace(ORDER, robust=own(b"r" * 32).message(7), recovery=True)
    made = marker(KEYS).mark(data, order)
    assert made.robust
    assert made.recovery_bytes
    found = examiner(KEYS).examine(made.data)
    assert found.exact
    assert reader.read(found.restored).dataset == reader.read(data).dataset
    ds = opened(made.data)
    samples = ds.pixel_array.copy()
    samples[200:230, 200:230] = 100
    ds.PixelData = samples.tobytes()
    changed = examiner(KEYS).examine(saved(ds))
    assert changed.verdict.kind is VerdictKind.TAMPERED
    shown = opened(approximation(changed, RECEIVED_AT))
    assert shown.Rows == 512


def test_a_coerced_header_still_gives_the_image_back():
    data = sample("693_UNCR.dcm")
    made = marker(KEYS).mark(data, ORDER)
    ds = opened(made.data)
    ds.PatientName = "Other^Name"
    found = examiner(KEYS).examine(saved(ds))
    assert found.verdict.kind is VerdictKind.HEADER_COERCED
    assert reader.read(found.restored).dataset == reader.read(data).dataset
