"""What the examiner finds in objects that something happened to."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian
from sealing import ORDER, examiner, marker, sample

from node.crypto.keyring import MemoryKeys
from node.dicom import pixels, reader
from node.types import VerdictKind

KEYS = MemoryKeys([b"k" * 32])
OTHER_KEYS = MemoryKeys([b"o" * 32])


@pytest.fixture(scope="module")
def original() -> bytes:
    return sample("examples_overlay.dcm")


@pytest.fixture(scope="module")
def sealed(original) -> bytes:
    return marker(KEYS).mark(original, replace(ORDER, keep_file=True)).data


def edited(data: bytes, edit) -> bytes:
    """Return a file that pydicom has read, edited and written, as a PACS would."""
    ds = dcmread(BytesIO(data))
    edit(ds)
    out = BytesIO()
    ds.save_as(out)
    return out.getvalue()


def test_an_untouched_object_is_intact_and_gives_the_original_file_back(original, sealed):
    found = examiner(KEYS).examine(sealed)

    assert found.verdict.kind is VerdictKind.INTACT
    assert found.restored == original
    assert found.exact


def test_a_twin_at_hand_changes_no_verdict(original, sealed):
    twin, other = (pixels.load(reader.read(one)) for one in (original, sealed))

    for at_hand in (twin, other):
        found = examiner(KEYS).examine(sealed, twin=at_hand)
        assert found.verdict.kind is VerdictKind.INTACT
        assert found.restored == original


def test_the_record_holds_the_patient_as_received(original, sealed):
    found = examiner(KEYS).examine(sealed)

    name = dcmread(BytesIO(original)).PatientName.original_string
    assert name.strip() in [a.value.strip() for a in found.record.attributes]


def test_marked_pixels_differ_but_by_one_and_stay_between_their_extremes(original, sealed):
    before = dcmread(BytesIO(original)).pixel_array.astype(int)
    after = dcmread(BytesIO(sealed)).pixel_array.astype(int)

    assert 0 < np.abs(after - before).max() <= 2
    assert (after.min(), after.max()) == (before.min(), before.max())


def test_one_changed_pixel_is_found_and_named(sealed):
    def edit(ds):
        samples = ds.pixel_array.copy()
        samples[100, 200] += 1
        ds.PixelData = samples.tobytes()

    found = examiner(KEYS).examine(edited(sealed, edit))

    assert found.verdict.kind is VerdictKind.TAMPERED
    (region,) = found.verdict.regions
    assert region.row <= 100 < region.row + region.rows
    assert region.column <= 200 < region.column + region.columns
    assert not found.exact


def test_what_lies_outside_the_changed_region_is_restored(original, sealed):
    def edit(ds):
        samples = ds.pixel_array.copy()
        samples[100:110, 200:210] = 0
        ds.PixelData = samples.tobytes()

    found = examiner(KEYS).examine(edited(sealed, edit))

    before = dcmread(BytesIO(original)).pixel_array
    after = dcmread(BytesIO(found.restored)).pixel_array
    differs = np.argwhere(before != after)
    for region in found.verdict.regions:
        rows = (differs[:, 0] >= region.row) & (differs[:, 0] < region.row + region.rows)
        columns = (differs[:, 1] >= region.column) & (
            differs[:, 1] < region.column + region.columns
        )
        differs = differs[~(rows & columns)]
    assert len(differs) == 0


def test_a_coerced_attribute_is_named_and_the_original_comes_back(original, sealed):
    def edit(ds):
        ds.PatientID = "COERCED"
        ds.AccessionNumber = "X1"

    found = examiner(KEYS).examine(edited(sealed, edit))

    assert found.verdict.kind is VerdictKind.HEADER_COERCED
    assert found.verdict.coerced == ("AccessionNumber", "PatientID")
    assert found.restored == original
    assert found.exact


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_another_transfer_syntax_is_no_change(original, sealed, syntax):
    ds = dcmread(BytesIO(sealed))
    ds.file_meta.TransferSyntaxUID = syntax
    out = BytesIO()
    ds.save_as(out, implicit_vr=syntax.is_implicit_VR, little_endian=True)

    found = examiner(KEYS).examine(out.getvalue())

    assert found.verdict.kind is VerdictKind.INTACT, found.verdict
    assert found.restored == original


def test_a_pacs_that_drops_private_elements_leaves_the_seal_in_the_pixels():
    original = sample("CT_small.dcm")
    sealed = marker(KEYS).mark(original, replace(ORDER, keep_file=True)).data
    obj = reader.read(sealed)
    private = [e for e in obj.elements if e.tag >> 16 == 0x5EA1]
    stripped = sealed[: private[0].start] + sealed[private[-1].end :]

    found = examiner(KEYS).examine(stripped)

    assert found.verdict.kind is VerdictKind.INTACT
    assert found.restored == original


def test_an_unmarked_object_is_unmarked(original):
    found = examiner(KEYS).examine(original)

    assert found.verdict.kind is VerdictKind.UNMARKED
    assert found.restored is None


def test_an_object_under_another_key_says_so(sealed):
    found = examiner(OTHER_KEYS).examine(sealed)

    assert found.verdict.kind is VerdictKind.NOT_OUR_KEY
    assert KEYS.sealer().key_id.hex() in found.verdict.reason


def test_pixels_that_were_replaced_under_our_header_are_tampered(original, sealed):
    def edit(ds):
        ds.PixelData = dcmread(BytesIO(original)).PixelData

    found = examiner(KEYS).examine(edited(sealed, edit))

    assert found.verdict.kind is VerdictKind.TAMPERED
    assert found.verdict.regions


def test_pixels_of_another_sealed_object_are_not_taken_for_this_one(original, sealed):
    def another(ds):
        ds.SOPInstanceUID = "1.2.3.4"

    other = marker(KEYS).mark(edited(original, another), ORDER).data

    def edit(ds):
        ds.PixelData = dcmread(BytesIO(other)).PixelData

    found = examiner(KEYS).examine(edited(sealed, edit))

    assert found.verdict.kind is VerdictKind.TAMPERED


@pytest.mark.parametrize("data", [b"", b"DICM", b"\0" * 128 + b"DICM", b"\xff" * 4096])
def test_garbage_is_unreadable(data):
    assert examiner(KEYS).examine(data).verdict.kind is VerdictKind.UNREADABLE


def test_no_byte_of_a_sealed_object_can_change_unnoticed(sealed):
    """Every byte of header and pixels, sampled; what meta information says is not sealed."""
    rng = np.random.default_rng(1)
    start = 144 + int.from_bytes(sealed[140:144], "little")
    ours = marker_span(sealed)
    exam = examiner(KEYS)
    for position in rng.integers(start, len(sealed), 60):
        if ours[0] <= position < ours[1]:
            continue
        changed = bytearray(sealed)
        changed[position] ^= 1
        found = exam.examine(bytes(changed))
        assert found.verdict.kind is not VerdictKind.INTACT or found.exact, position


def marker_span(data: bytes) -> tuple[int, int]:
    """Where our private block lies: a change there is noticed, but need not matter."""
    start = data.index(b"\xa1\x5e\x10\x00")
    return start, data.index(b"\xe0\x7f\x10\x00", start)


def test_a_sealed_object_that_became_another_instance_is_tampered_not_unmarked(sealed):
    def edit(ds):
        ds.SOPInstanceUID = "1.2.3.4.5"

    found = examiner(KEYS).examine(edited(sealed, edit))

    assert found.verdict.kind is VerdictKind.TAMPERED
    assert "nothing of the seal is left" in found.verdict.reason
