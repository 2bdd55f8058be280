"""seal --embedder fine and what reads its files: as any sealed file, but over one tile."""

from __future__ import annotations

import pydicom
import pytest
from network import sample
from running import nodectl


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = tmp_path_factory.mktemp("fine") / "site"
    nodectl("init", site)
    return site


def test_a_finely_sealed_file_is_proved_read_and_restored(site, tmp_path):
    made, back = tmp_path / "made.dcm", tmp_path / "back.dcm"

    def at(*arguments, expect=0):
        return nodectl("--config", site, "--json", *arguments, expect=expect)

    sealed = at("seal", "--embedder", "fine", sample(), "-o", made).rows[0]
    assert (sealed["result"], sealed["carrier"]) == ("sealed", "pixels")
    assert "tiles-2" in pydicom.dcmread(made).DerivationDescription
    assert at("verify", made).rows[0]["verdict"] == "INTACT"
    name = at("extract", made).rows[0]["attributes"]["PatientID"]
    assert name == pydicom.dcmread(sample()).PatientID
    at("restore", made, "-o", back)
    assert back.read_bytes() == sample().read_bytes()


def test_without_its_header_it_is_still_known_to_whoever_asks_for_it(site, tmp_path):
    made, bare = tmp_path / "made.dcm", tmp_path / "bare.dcm"
    nodectl("--config", site, "seal", "--embedder", "fine", sample(), "-o", made)
    dataset = pydicom.dcmread(made)
    dataset.remove_private_tags()
    dataset.save_as(bare)
    found = nodectl("--config", site, "--json", "verify", bare, expect=None).rows[0]
    assert found["verdict"] != "UNMARKED"


def test_an_edit_of_a_finely_sealed_file_is_told(site, tmp_path):
    made, edited = tmp_path / "made.dcm", tmp_path / "edited.dcm"
    nodectl("--config", site, "seal", "--embedder", "fine", sample(), "-o", made)
    dataset = pydicom.dcmread(made)
    pixels = dataset.pixel_array.copy()
    pixels[60, 60] += 1
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(edited)
    ended = nodectl("--config", site, "--json", "verify", edited, expect=None)
    assert ended.rows[0]["verdict"] == "TAMPERED"


def test_a_payload_of_ones_own_needs_a_classical_method(site, tmp_path):
    out = tmp_path / "made.dcm"
    nodectl(
        "--config", site, "seal", "--embedder", "fine", "--payload", sample(), sample(), "-o", out,
        expect=2,
    )  # fmt: skip
