"""What is shown in place of a changed region, and that it never passes for the original."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from making import image
from PIL import Image
from pydicom import dcmread
from sealing import ORDER, examiner, marker, sample

from node.crypto.keyring import MemoryKeys
from node.errors import UnsealableError
from node.mark.message import own
from node.mark.picture import ROUGH
from node.sealing.recovery import approximation
from node.sealing.report import picture
from node.types import VerdictKind

KEYS = MemoryKeys([b"k" * 32])
AT = 1_700_000_000.0


@pytest.fixture(scope="module")
def original() -> bytes:
    return sample("examples_overlay.dcm")


@pytest.fixture(scope="module")
def sealed(original) -> bytes:
    made = marker(KEYS).mark(original, replace(ORDER, recovery=True))
    assert made.recovery_bytes > 300
    return made.data


def pixels(data: bytes) -> np.ndarray:
    return dcmread(BytesIO(data)).pixel_array.astype(int)


def erased(data: bytes, rows: slice, columns: slice) -> bytes:
    ds = dcmread(BytesIO(data))
    samples = ds.pixel_array.copy()
    samples[rows, columns] = samples[rows.start - 1, columns.start - 1]
    ds.PixelData = samples.tobytes()
    out = BytesIO()
    ds.save_as(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def found(sealed):
    return examiner(KEYS).examine(erased(sealed, slice(130, 160), slice(250, 282)))


def test_an_untouched_object_has_nothing_approximate(sealed):
    found = examiner(KEYS).examine(sealed)

    assert found.verdict.kind is VerdictKind.INTACT
    assert found.exact
    assert found.approximate is None
    assert approximation(found, AT) is None


def test_without_a_copy_nothing_is_made_up(original):
    plain = marker(KEYS).mark(original, ORDER).data

    found = examiner(KEYS).examine(erased(plain, slice(130, 160), slice(250, 282)))

    assert found.verdict.kind is VerdictKind.TAMPERED
    assert found.approximate is None
    assert found.verdict.details == ()


def test_what_surely_changed_is_named_inside_the_region(found):
    (detail,) = found.verdict.details
    (region,) = found.verdict.regions

    assert region.row <= detail.row
    assert detail.row + detail.rows <= region.row + region.rows
    assert detail.rows * detail.columns < region.rows * region.columns / 2
    assert 128 <= detail.row < detail.row + detail.rows <= 160
    assert 248 <= detail.column < detail.column + detail.columns <= 288


def test_the_region_shows_about_what_was_there_and_the_rest_exactly(found, original):
    before = pixels(original)
    (region,) = found.verdict.regions
    rows = slice(region.row, region.row + region.rows)
    place = rows, slice(region.column, region.column + region.columns)

    inside = np.abs(found.approximate - before)[place]
    assert np.median(inside) < 60  # of 1123
    outside = found.approximate != before
    outside[place] = False
    assert not outside.any()


def test_an_approximation_is_another_instance_that_says_so_and_cannot_be_sealed(found, original):
    made = approximation(found, AT)
    ds, before = dcmread(BytesIO(made)), dcmread(BytesIO(original))

    assert not found.exact
    assert ds.SOPInstanceUID != before.SOPInstanceUID
    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
    assert "APPROXIMATE, NOT FOR DIAGNOSIS" in ds.DerivationDescription
    assert ds.ImageType[0] == "DERIVED"
    assert np.array_equal(ds.pixel_array, found.approximate)
    assert approximation(found, AT) == made
    with pytest.raises(UnsealableError) as caught:
        marker(KEYS).mark(made, ORDER)
    assert caught.value.code == "already_sealed"


def test_the_picture_outlines_what_is_not_exact(found, sealed):
    def outlined(found) -> bool:
        with Image.open(BytesIO(picture(found))) as drawn:
            return bool((np.asarray(drawn) == ROUGH).all(axis=2).any())

    assert outlined(found)
    assert not outlined(examiner(KEYS).examine(sealed))


def test_a_third_of_the_image_may_be_gone(sealed, original):
    found = examiner(KEYS).examine(erased(sealed, slice(1, 110), slice(1, 484)))

    off = np.abs(found.approximate - pixels(original))
    assert len(found.verdict.regions) >= 13
    assert np.median(off[1:110]) < 60


def test_an_image_of_one_tile_has_no_copy_since_it_could_not_survive():
    made = marker(KEYS).mark(sample("CT_small.dcm"), replace(ORDER, recovery=True))

    assert (made.carrier, made.recovery_bytes) == ("pixels", 0)
    assert examiner(KEYS).examine(made.data).exact


def test_the_copy_goes_together_with_the_robust_mark():
    data = sample("693_UNCR.dcm")
    says = own(b"r" * 32).message(7)

    made = marker(KEYS).mark(data, replace(ORDER, recovery=True, robust=says))

    assert made.robust
    assert made.recovery_bytes > 500
    assert examiner(KEYS).examine(made.data).exact
    found = examiner(KEYS).examine(erased(made.data, slice(290, 314), slice(150, 180)))
    off = np.abs(found.approximate - pixels(data))
    assert np.median(off[280:320, 140:190]) < 40  # of 4492
    assert found.verdict.details


def test_of_several_frames_the_changed_one_is_filled_and_drawn():
    down, right = np.mgrid[0:160, 0:192]
    frames = [2000 + 700 * np.sin(down / (9 + n)) + 500 * np.cos(right / (8 + n)) for n in range(3)]
    noise = np.random.default_rng(4).normal(0, 3, (3, 160, 192))
    words = (np.stack(frames) + noise).round().astype(np.uint16)
    made = marker(KEYS).mark(image(words[..., None], stored=12), replace(ORDER, recovery=True))
    ds = dcmread(BytesIO(made.data))
    samples = ds.pixel_array.copy()
    samples[2, 40:60, 70:95] = 400
    ds.PixelData = samples.tobytes()
    out = BytesIO()
    ds.save_as(out)

    found = examiner(KEYS).examine(out.getvalue())

    assert {region.frame for region in found.verdict.regions} == {2}
    assert {detail.frame for detail in found.verdict.details} == {2}
    detail = found.verdict.details[0]
    assert 32 <= detail.row < detail.row + detail.rows <= 64
    shown = found.approximate.reshape(3, 160, 192).astype(int)
    assert np.array_equal(shown[:2], words[:2])
    assert np.median(np.abs(shown[2, 40:60, 70:95] - words[2, 40:60, 70:95])) < 250
    assert picture(found)
    assert dcmread(BytesIO(approximation(found, AT))).NumberOfFrames == 3
