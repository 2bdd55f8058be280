"""seal, inspect, verify, extract and restore over files: what they write, say, and exit with."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import making
import numpy as np
import pydicom
import pytest
from network import sample
from PIL import Image
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from running import Ended, nodectl

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    site = tmp_path_factory.mktemp("verbs") / "site"
    nodectl("init", site)
    return site


@pytest.fixture(scope="module")
def sealed(site) -> Path:
    """A sealed CT; do not change it."""
    made = site.parent / "sealed.dcm"
    nodectl("--config", site, "seal", sample(), "-o", made)
    return made


@pytest.fixture
def at(site):
    """Run a verb at the site with --json."""

    def call(*arguments: object, expect: int = 0) -> Ended:
        return nodectl("--config", site, "--json", *arguments, expect=expect)

    return call


@pytest.fixture
def study(tmp_path) -> Path:
    """A folder of files in several transfer syntaxes, one with a preamble that says something."""
    folder = tmp_path / "study"
    (folder / "deeper").mkdir(parents=True)
    data = sample().read_bytes()
    (folder / "ct.dcm").write_bytes(b"II*\0".ljust(128, b"\x2a") + data[128:])
    for name, syntax in (("implicit", ImplicitVRLittleEndian), ("big", ExplicitVRBigEndian)):
        (folder / "deeper" / f"{name}.dcm").write_bytes(making.image(words(), syntax=syntax))
    return folder


def words(times: int = 1) -> np.ndarray:
    """Return the pixels of a CT as an image of one frame, so many times beside itself."""
    pixels = pydicom.dcmread(sample()).pixel_array.astype(np.uint16) + 2000
    return np.tile(pixels, (times, times))[None, :, :, None]


def tampered(sealed: Path, path: Path, offset: int = 5000, size: int = 64) -> Path:
    """Copy a sealed file and change some of its pixels."""
    ds = pydicom.dcmread(sealed)
    pixels = bytearray(ds.PixelData)
    pixels[offset : offset + size] = bytes(byte ^ 1 for byte in pixels[offset : offset + size])
    ds.PixelData = bytes(pixels)
    ds.save_as(path)
    return path


def tiny(path: Path) -> Path:
    """Write an image whose few pixels cannot carry a record."""
    few = np.arange(16 * 16, dtype=np.uint16).reshape(1, 16, 16, 1)
    path.write_bytes(making.image(few, stored=12))
    return path


def test_a_folder_is_sealed_verified_and_restored_file_by_file_bit_for_bit(study, at, tmp_path):
    marked, back = tmp_path / "marked", tmp_path / "back"
    files = sorted(path.relative_to(study) for path in study.rglob("*.dcm"))

    rows = at("seal", study, "-o", marked).rows
    assert [(row["result"], row["carrier"]) for row in rows] == [("sealed", "pixels")] * 3
    assert sorted(path.relative_to(marked) for path in marked.rglob("*.dcm")) == files
    assert all(row["max_change"] < 16 and row["psnr"] > 60 for row in rows)
    rows = at("verify", marked).rows
    assert [row["verdict"] for row in rows] == ["INTACT"] * 3
    rows = at("restore", marked, "-o", back).rows
    assert len([row["restored"] for row in rows]) == 3
    for file in files:
        assert (back / file).read_bytes() == (study / file).read_bytes()
        assert (marked / file).read_bytes() != (study / file).read_bytes()
        assert pydicom.dcmread(marked / file).pixel_array.shape


def test_with_the_logo_in_a_margin_every_file_comes_back_bit_for_bit(site, study, tmp_path):
    shown = tmp_path / "site"
    shutil.copytree(site, shown)
    (route,) = (shown / "routes.d").glob("*.toml")
    route.write_text(route.read_text().replace("#visible = false", 'visible = "margin"'))
    marked, back = tmp_path / "marked", tmp_path / "back"
    how = ("seal", "--route", "default", study, "-o", marked)
    rows = nodectl("--config", shown, "--json", *how).rows
    assert [row["margin"] for row in rows] == [True] * 3
    nodectl("--config", shown, "verify", marked)
    nodectl("--config", shown, "restore", marked, "-o", back)
    for path in study.rglob("*.dcm"):
        file = path.relative_to(study)
        assert (back / file).read_bytes() == path.read_bytes()
        assert pydicom.dcmread(marked / file).Rows > pydicom.dcmread(path).Rows


def test_inspect_tells_what_an_object_is_and_nothing_about_the_patient(sealed, at, site):
    before, after = (at("inspect", path).rows[0] for path in (sample(), sealed))
    assert (before["sealed"], after["sealed"], after["carrier"]) == (False, True, "pixels")
    assert before["capacity"] > 359
    assert before["pixels"] == after["pixels"] == "1x128x128"
    assert after["key_id"] in {path.stem for path in (site / "keys" / "epochs").iterdir()}
    ds = pydicom.dcmread(sample())
    text = nodectl("inspect", sample()).stdout + nodectl("inspect", sealed).stdout
    assert str(ds.PatientName) not in text
    assert ds.PatientID not in text


def test_extract_reads_the_patient_and_the_logo_out_of_the_pixels(sealed, at, site, tmp_path):
    anonymous = tmp_path / "anonymous.dcm"
    ds = pydicom.dcmread(sealed)
    name, number = str(ds.PatientName), ds.PatientID
    ds.PatientName, ds.PatientID = "", ""
    ds.save_as(anonymous)

    (row,) = at("extract", anonymous, "--logo", tmp_path / "logo.png").rows
    assert row["attributes"]["PatientName"] == name
    assert row["attributes"]["PatientID"] == number
    assert row["verdict"] == "HEADER_COERCED"
    with Image.open(tmp_path / "logo.png") as found, Image.open(site / "logo.png") as given:
        larger = given.convert("1").resize(found.size, Image.Resampling.NEAREST)
        assert found.convert("1").tobytes() == larger.tobytes()


def test_a_changed_image_is_found_drawn_and_given_back_only_on_demand(at, tmp_path):
    (tmp_path / "big.dcm").write_bytes(making.image(words(2)))
    at("seal", tmp_path / "big.dcm", "-o", tmp_path / "sealed.dcm")
    changed = tampered(tmp_path / "sealed.dcm", tmp_path / "changed.dcm")

    (row,) = at("verify", changed, "--picture", tmp_path / "found.png", expect=10).rows
    assert row["verdict"] == "TAMPERED"
    assert len(row["regions"]) == 1
    with Image.open(tmp_path / "found.png") as picture:
        assert picture.width > 512
    out = tmp_path / "original.dcm"
    at("restore", changed, "-o", out, expect=10)
    assert not out.exists()
    at("restore", changed, "-o", out, "--partial", expect=10)
    differs = pydicom.dcmread(out).pixel_array != words(2)[0, :, :, 0]
    assert 0 < np.count_nonzero(differs) < 64 * 64


def test_a_coerced_header_is_named_and_the_original_comes_back_all_the_same(sealed, at, tmp_path):
    coerced = tmp_path / "coerced.dcm"
    ds = pydicom.dcmread(sealed)
    ds.PatientID = "another"
    ds.save_as(coerced)
    (row,) = at("verify", coerced, expect=10).rows
    assert (row["verdict"], row["coerced"]) == ("HEADER_COERCED", ["PatientID"])
    at("restore", coerced, "-o", tmp_path / "original.dcm")
    assert (tmp_path / "original.dcm").read_bytes() == sample().read_bytes()


def test_the_header_carries_what_the_pixels_cannot(at, tmp_path):
    small, report = tiny(tmp_path / "tiny.dcm"), sample("reportsi.dcm")
    for path in (small, report):
        (row,) = at("seal", path, "-o", tmp_path / "sealed.dcm", "--carrier", "auto").rows
        assert row["carrier"] == "header"
        assert at("verify", tmp_path / "sealed.dcm").rows[0]["verdict"] == "INTACT"
        at("restore", tmp_path / "sealed.dcm", "-o", tmp_path / "back.dcm")
        assert (tmp_path / "back.dcm").read_bytes() == path.read_bytes()


def test_each_way_to_fail_has_its_exit_status(sealed, at, tmp_path):
    out, garbage = tmp_path / "out.dcm", tmp_path / "garbage.dcm"
    garbage.write_bytes(b"no DICOM at all" * 20)
    stranger = tmp_path / "elsewhere"
    nodectl("init", stranger)

    assert "output" in at("seal", sample(), expect=2).stderr
    shutil.copy(sample(), out)
    assert "overwrite" in at("seal", out, "-o", out, expect=2).stderr
    assert "node.toml" in nodectl("--config", tmp_path, "verify", sealed, expect=3).stderr
    assert at("seal", garbage, "-o", out, expect=4).rows[0]["result"] == "not sealed"
    assert at("inspect", garbage, expect=4).rows[0]["result"] == "unreadable"
    assert at("verify", garbage, expect=4).rows[0]["verdict"] == "UNREADABLE"
    assert "no such file" in at("verify", tmp_path / "absent.dcm", expect=4).stderr
    assert at("verify", sample(), expect=11).rows[0]["verdict"] == "UNMARKED"
    assert at("restore", sample(), "-o", out, expect=11).rows[0]["verdict"] == "UNMARKED"
    there = nodectl("--config", stranger, "--json", "verify", sealed, expect=12)
    assert there.rows[0]["verdict"] == "NOT_OUR_KEY"
    assert nodectl("--config", stranger, "--json", "extract", sealed, expect=12).rows
    for path, status, code in (
        (tiny(tmp_path / "tiny.dcm"), 13, "does_not_fit"),
        (sample("reportsi.dcm"), 14, "no_pixels"),
        (sample("JPEG-lossy.dcm"), 14, "lossy_syntax"),
        (sealed, 14, "already_sealed"),
    ):
        (row,) = at("seal", path, "-o", tmp_path / "not.dcm", expect=status).rows
        assert (row["result"], row["code"]) == ("not sealed", code)
    assert not (tmp_path / "not.dcm").exists()


def test_of_several_files_the_first_that_fails_gives_the_exit_status(sealed, at, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(sealed, folder / "a.dcm")
    tampered(sealed, folder / "b.dcm")
    shutil.copy(sample(), folder / "c.dcm")
    rows = at("verify", folder, expect=10).rows
    assert [row["verdict"] for row in rows] == ["INTACT", "TAMPERED", "UNMARKED"]
    assert [row["file"] for row in rows] == [str(folder / f"{name}.dcm") for name in "abc"]
    rows = at("verify", folder / "c.dcm", folder / "b.dcm", folder / "a.dcm", expect=11).rows
    assert len(rows) == 3
