"""Shares as DICOM objects: what archives take, keep and may change without harm."""

from __future__ import annotations

import io
import os
import shutil
import subprocess

import pydicom
import pytest

from node.dicom import share_object
from node.dicom.reader import read
from node.errors import UnreadableError

SHARE = os.urandom(5000)
NOW = 1_790_000_000.0


@pytest.fixture
def made() -> bytes:
    return share_object.wrap(SHARE, share_object.names(b"set id", 2), NOW)


def test_unwrapping_gives_the_share_back(made):
    assert share_object.unwrap(made) == SHARE
    assert share_object.carries(read(made))


def test_pydicom_reads_it_as_raw_data(made):
    ds = pydicom.dcmread(io.BytesIO(made))
    assert ds.SOPClassUID.name == "Raw Data Storage"
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert ds.InstanceNumber == 2
    assert (ds.ContentDate, ds.ContentTime) == ("20260921", "141320")
    assert ds.private_block(0x5345, share_object.CREATOR)[0x10].value == SHARE


def test_names_are_the_same_again_and_differ_where_they_must():
    names = share_object.names
    assert names(b"a", 1) == names(b"a", 1)
    assert names(b"a", 1).sop_uid != names(b"a", 2).sop_uid != names(b"b", 2).sop_uid
    assert names(b"a", 1).series_uid == names(b"a", 2).series_uid != names(b"b", 1).series_uid
    one, two = (names(origin, 1, series=b"s", study=b"t") for origin in (b"a", b"b"))
    assert (one.study_uid, one.series_uid) == (two.study_uid, two.series_uid)
    assert len({one.study_uid, one.series_uid, one.sop_uid}) == 3
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in (one.sop_uid, one.study_uid))


def test_a_block_that_an_archive_moved_is_found(made):
    ds = pydicom.dcmread(io.BytesIO(made))
    del ds[0x53450010], ds[0x53451010]
    other = ds.private_block(0x5345, "SOMEONE ELSE", create=True)
    other.add_new(0x10, "OB", b"not it")
    ds.private_block(0x5345, share_object.CREATOR, create=True).add_new(0x10, "UN", SHARE)
    moved = io.BytesIO()
    ds.save_as(moved)
    assert share_object.unwrap(moved.getvalue()) == SHARE


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"])
def test_another_transfer_syntax_does_no_harm(made, syntax):
    ds = pydicom.dcmread(io.BytesIO(made))
    ds.file_meta.TransferSyntaxUID = syntax
    changed = io.BytesIO()
    ds.save_as(changed, implicit_vr=syntax == "1.2.840.10008.1.2", little_endian=True)
    assert share_object.unwrap(changed.getvalue()) == SHARE


def test_an_object_without_a_share_says_so(made):
    ds = pydicom.dcmread(io.BytesIO(made))
    del ds[0x53451010]
    without = io.BytesIO()
    ds.save_as(without)
    with pytest.raises(UnreadableError, match="carries no share"):
        share_object.unwrap(without.getvalue())
    assert not share_object.carries(read(without.getvalue()))
    with pytest.raises(UnreadableError):
        share_object.unwrap(b"nothing")


def test_dciodvfy_finds_no_error(made, tmp_path):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")
    (tmp_path / "share.dcm").write_bytes(made)
    command = ["dciodvfy", str(tmp_path / "share.dcm")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "RawData" in done.stderr
    assert "Error" not in done.stderr
