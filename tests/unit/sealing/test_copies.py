"""Lossy copies are recognised: as objects, as pictures, by the command line."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from sealing import ORDER, sample

from node.cli.main import run
from node.config.config import Hospital
from node.crypto.keyring import MemoryKeys
from node.dicom import pixels, reader
from node.dicom.codecs import Decoder
from node.errors import ConfigError, DoesNotFitError, UnreadableError, UnsealableError
from node.mark.embedder import TiledEmbedder
from node.mark.message import own
from node.seal import Marker
from node.sealing.copies import Copies, read_picture
from node.sealing.report import cost
from node.types import Action, Route, VerdictKind
from node.verify import Examiner

KEYS = MemoryKeys([b"k" * 32])
KEY = b"r" * 32
OURS = Copies([Hospital("own", "Example Hospital", logo="logo.png")], KEY)
ROUTE = Route("ct", {}, Action.SEAL, robust="id", recipient=7)
CT = "693_UNCR.dcm"


def examiner(copies=OURS) -> Examiner:
    return Examiner(KEYS.opener(), TiledEmbedder(), None, copies)


def seal(data: bytes):
    marker = Marker(KEYS.sealer(), TiledEmbedder(), None, examiner(None))
    return marker.mark(data, replace(ORDER, robust=OURS.message(ROUTE)))


@pytest.fixture(scope="module")
def sealed():
    return seal(sample(CT))


def shown(data: bytes) -> Image.Image:
    found = pixels.load(reader.read(data))
    low, high = found.window
    grey = np.clip((found.carrier.samples - low) / (high - low), 0, 1) * 255
    return Image.fromarray(np.rint(grey).astype(np.uint8))


def saved(picture: Image.Image, kind: str, **how) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def blurred(data: bytes) -> bytes:
    """An object whose pixels were rounded to every fourth value, as a lossy codec might."""
    ds = dcmread(io.BytesIO(data))
    ds.PixelData = (ds.pixel_array // 4 * 4).astype(np.int16).tobytes()
    out = io.BytesIO()
    ds.save_as(out)
    return out.getvalue()


def test_a_sealed_object_with_the_robust_mark_is_intact_and_restores_exactly(sealed):
    assert sealed.robust
    found = examiner().examine(sealed.data)
    assert found.verdict.kind is VerdictKind.INTACT
    assert reader.read(found.restored).dataset == reader.read(sample(CT)).dataset
    assert found.record.robust[12:32] == OURS.message(ROUTE)
    assert cost(found).psnr_stored > 80


def test_a_retry_gives_the_same_bytes(sealed):
    assert seal(sample(CT)).data == sealed.data


def test_a_lossy_copy_is_called_one_and_says_whose_and_for_whom(sealed):
    verdict = examiner().examine(blurred(sealed.data)).verdict
    assert verdict.kind is VerdictKind.LOSSY
    assert verdict.hospital == own(KEY).id.hex()
    assert verdict.recipient == 7
    assert "Example Hospital" in verdict.reason


def test_without_the_robust_mark_a_lossy_copy_is_not_called_ours():
    marker = Marker(KEYS.sealer(), TiledEmbedder(), None, examiner(None))
    plain = marker.mark(sample(CT), ORDER)
    assert not plain.robust
    kind = examiner().examine(blurred(plain.data)).verdict.kind
    assert kind in {VerdictKind.TAMPERED, VerdictKind.UNMARKED}


def test_an_original_is_unmarked():
    assert examiner().examine(sample(CT)).verdict.kind is VerdictKind.UNMARKED


def test_an_edit_of_a_part_is_tampering_and_the_rest_is_restored(sealed):
    ds = dcmread(io.BytesIO(sealed.data))
    samples = ds.pixel_array.copy()
    samples[200:230, 200:230] = 100
    ds.PixelData = samples.tobytes()
    out = io.BytesIO()
    ds.save_as(out)
    found = examiner().examine(out.getvalue())
    assert found.verdict.kind is VerdictKind.TAMPERED
    before = dcmread(io.BytesIO(sample(CT))).pixel_array
    same = dcmread(io.BytesIO(found.restored)).pixel_array == before
    for region in found.verdict.regions:
        same[region.row : region.row + region.rows, region.column :][:, : region.columns] = True
    assert same.all()


def test_an_image_too_small_for_the_robust_mark_is_sealed_without_it():
    small = seal(sample("emri_small.dcm"))
    assert not small.robust
    assert examiner().examine(small.data).verdict.kind is VerdictKind.INTACT


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_picture_names_the_hospital_its_logo_and_the_recipient(sealed, kind):
    copy = OURS.of_picture(read_picture(saved(shown(sealed.data), kind)))
    assert (copy.title, copy.logo, copy.recipient) == ("Example Hospital", "logo.png", 7)


def test_another_hospital_is_known_by_its_mark_but_not_its_recipients(sealed):
    named = [Hospital("neighbour", "Neighbour Clinic", mark=own(KEY).word)]
    elsewhere = Copies(named, b"x" * 32)
    copy = elsewhere.of_picture(read_picture(saved(shown(sealed.data), "PNG")))
    assert copy.title == "Neighbour Clinic"
    assert copy.recipient is None


def test_without_a_key_no_route_can_ask_for_the_mark():
    with pytest.raises(ConfigError):
        Copies([], None).message(ROUTE)
    assert Copies([], None).message(replace(ROUTE, robust="")) == b""


def test_what_is_no_picture_is_refused():
    for data in (b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(40)):
        with pytest.raises(UnreadableError):
            read_picture(data)


def test_a_deep_picture_is_read_over_its_own_range():
    deep = Image.fromarray((np.arange(4096, dtype=np.uint16) * 10).reshape(64, 64))
    picture = read_picture(saved(deep, "PNG"))
    assert (picture.min(), picture.max()) == (0, 255)


def test_the_command_line_seals_with_a_recipient_and_names_the_hospital_in_a_jpeg(tmp_path):
    def nodectl(*words):
        out, err = io.StringIO(), io.StringIO()
        status = run([str(word) for word in words], {}, out, err)
        return status, out.getvalue(), err.getvalue()

    site = tmp_path / "site"
    assert nodectl("init", site)[0] == 0
    (tmp_path / "ct.dcm").write_bytes(sample(CT))
    sealing = ["seal", tmp_path / "ct.dcm", "-o", tmp_path / "sealed.dcm", "--recipient", "1042"]
    assert nodectl("--config", site, *sealing)[0] == 0
    picture = tmp_path / "shot.jpg"
    picture.write_bytes(saved(shown((tmp_path / "sealed.dcm").read_bytes()), "JPEG", quality=60))
    with (site / "node.toml").open("a") as file:
        file.write('\n[hospital.own]\ntitle = "St. Example"\nlogo = "logo.png"\n')

    status, text, _ = nodectl("--config", site, "inspect", picture)
    assert status == 0
    assert "St. Example" in text
    assert "1042" in text
    assert "█" in text
    facts = json.loads(nodectl("--config", site, "--json", "inspect", picture)[1])
    assert facts["hospital"] == "St. Example"
    assert facts["hospital_id"] == nodectl("--config", site, "keys", "mark")[1][:16]
    assert "--config" in json.loads(nodectl("--json", "inspect", picture)[1])["reason"]
    assert nodectl("--config", site, "seal", picture, "-o", tmp_path / "x", "--recipient", -1)[0]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    "folder", ["study_ptct", "objects", "rare_ts", "encaps", "synthetic", "syntax9"]
)
def test_every_file_of_the_collection_is_sealed_with_the_robust_mark_and_comes_back(
    shared_dicom, folder
):
    order = replace(ORDER, robust=OURS.message(ROUTE), lossy="decode")
    fates = {}
    with Decoder() as codec:
        prover = Examiner(KEYS.opener(), TiledEmbedder(), codec)
        marker = Marker(KEYS.sealer(), TiledEmbedder(), codec, prover)
        for path in sorted((shared_dicom / folder).glob("*.dcm")):
            try:
                made = marker.mark(path.read_bytes(), order)  # ends with the proof
            except (UnsealableError, UnreadableError, DoesNotFitError) as error:
                fates[path.name] = error.code
            else:
                fates[path.name] = "both marks" if made.robust else "one mark"
    print(*(f"{name:45} {fate}" for name, fate in fates.items()), sep="\n")
    assert "both marks" in fates.values()
