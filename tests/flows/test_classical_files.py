"""seal --embedder and what reads its files: payload in, payload out, and no original."""

from __future__ import annotations

import subprocess

import making
import numpy as np
import pydicom
import pytest
from network import sample
from running import nodectl


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = tmp_path_factory.mktemp("classical") / "site"
    nodectl("init", site)
    return site


@pytest.fixture
def at(site):
    def call(*arguments, expect=0):
        return nodectl("--config", site, "--json", *arguments, expect=expect)

    return call


@pytest.fixture(scope="module")
def large(site):
    """A CT of 512 x 512."""
    pixels = pydicom.dcmread(sample()).pixel_array.astype(np.uint16) + 2000
    path = site.parent / "large.dcm"
    noise = np.random.default_rng(5).integers(0, 20, (512, 512), np.uint16)
    path.write_bytes(making.image((np.tile(pixels, (4, 4)) + noise)[None, :, :, None]))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lsb", "dct", "dft", "dwt-svd"])
def test_bytes_go_in_and_the_same_bytes_come_out(name, at, large, tmp_path):
    note, back, made = (tmp_path / part for part in ("note", "back", "made.dcm"))
    note.write_bytes(b"hello")
    ended = at("seal", "--embedder", name, "--payload", note, large, "-o", made)
    assert "not reversible" in ended.stderr
    assert ended.rows[0]["reversible"] is False
    assert ended.rows[0]["psnr"] > 30
    found = at("verify", made, expect=10).rows[0]
    assert (found["verdict"], found["embedder"]) == ("LOSSY", name)
    at("extract", made, "--payload", back)
    assert back.read_bytes() == b"hello"


def test_a_file_says_that_it_is_derived_and_not_reversible(at, tmp_path):
    made = tmp_path / "made.dcm"
    at("seal", "--embedder", "lsb", sample(), "-o", made)
    before, after = pydicom.dcmread(sample()), pydicom.dcmread(made)
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    source = after.SourceImageSequence[-1]
    assert source.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert "lsb, not reversible" in after.DerivationDescription
    assert after.ImageType[0] == "DERIVED"
    assert after.get("LossyImageCompression") == before.get("LossyImageCompression")
    assert abs(after.pixel_array.astype(int) - before.pixel_array).max() == 1


def test_without_a_payload_the_patients_record_is_carried_and_nothing_is_restored(at, tmp_path):
    made = tmp_path / "made.dcm"
    at("seal", "--embedder", "lsb", sample(), "-o", made)
    attributes = at("extract", made).rows[0]["attributes"]
    assert attributes["PatientID"] == pydicom.dcmread(sample()).PatientID
    refused = at("restore", made, "-o", tmp_path / "back.dcm", expect=11).rows[0]
    assert "not reversible" in refused["reason"]
    assert not (tmp_path / "back.dcm").exists()
    wrong = at("verify", "--embedder", "dct", made, expect=11).rows[0]
    assert wrong["verdict"] == "UNMARKED"


def test_what_does_not_fit_says_how_much_would(at, large, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(bytes(5000))
    out = tmp_path / "made.dcm"
    ended = at("seal", "--embedder", "dwt-svd", "--payload", big, sample(), "-o", out, expect=13)
    assert "carries" in ended.rows[0]["reason"]
    assert not out.exists()
    fits = nodectl("--json", "inspect", "--embedder", "dwt-svd", large).rows[0]["capacity"]
    assert 0 < fits < 5000


def test_options_that_contradict_each_other_are_refused(at, tmp_path):
    out = tmp_path / "made.dcm"
    at("seal", "--payload", sample(), sample(), "-o", out, expect=2)
    at("seal", "--embedder", "lsb", "--carrier", "header", sample(), "-o", out, expect=2)
    at("seal", "--embedder", "jsteg", sample(), "-o", out, expect=2)


@pytest.mark.peers
@pytest.mark.slow
def test_another_key_ring_reads_nothing_and_the_file_conforms_as_before(at, tmp_path):
    made = tmp_path / "made.dcm"
    at("seal", "--embedder", "lsb", sample(), "-o", made)
    other = tmp_path / "other"
    nodectl("init", other)
    ended = nodectl("--config", other, "--json", "extract", made, expect=11)
    assert ended.rows[0]["verdict"] == "UNMARKED"
    report = subprocess.run(["dciodvfy", made], capture_output=True, text=True, check=False).stderr
    before = subprocess.run(
        ["dciodvfy", sample()], capture_output=True, text=True, check=False
    ).stderr
    assert errors(report) <= errors(before)


def errors(report):
    return {line for line in report.splitlines() if line.startswith("Error")}
