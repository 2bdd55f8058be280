"""DICOM Digital Signatures: made by the node, and those that objects come with."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from certificates import certified_key
from pydicom import dcmread
from sealing import ORDER, examiner, marker, sample

from node.crypto import signature
from node.crypto.keyring import MemoryKeys
from node.dicom import reader
from node.errors import ConfigError
from node.sealing.signatures import Signatory, check
from node.types import VerdictKind

if TYPE_CHECKING:
    from pathlib import Path

KEYS = MemoryKeys([b"k" * 32])
CT = "CT_small.dcm"
KINDS = ("rsa", "ec")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("signers")
    for kind in KINDS:
        certified_key(folder, kind)
    return folder


def signatory(folder: Path, kind: str = "rsa") -> Signatory:
    return Signatory(signature.load(folder / f"{kind}.pem", folder / f"{kind}.key"))


def order(folder: Path, kind: str = "rsa", **more):
    return replace(ORDER, signatory=signatory(folder, kind), keep_file=True, **more)


def said(data: bytes) -> list[str]:
    return [str(one).rsplit(" ", 1)[0] for one in check(reader.read(data))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sealed_object_is_signed_the_same_each_time_and_restores_exactly(folder, kind):
    data = sample(CT)

    made = marker(KEYS).mark(data, order(folder, kind))

    assert said(made.data) == [f"valid {kind.upper()} SHA256"]
    assert marker(KEYS).mark(data, order(folder, kind)).data == made.data
    found = examiner(KEYS).examine(made.data)
    assert (found.verdict.kind, found.restored) == (VerdictKind.INTACT, data)


def test_what_is_signed_cannot_be_changed_and_what_archives_correct_can(folder):
    ds = dcmread(BytesIO(marker(KEYS).mark(sample(CT), order(folder)).data))

    def after(**changes: str) -> list[str]:
        changed = dcmread(BytesIO(marker(KEYS).mark(sample(CT), order(folder)).data))
        for keyword, value in changes.items():
            setattr(changed, keyword, value)
        stream = BytesIO()
        changed.save_as(stream)
        return said(stream.getvalue())

    assert ds.SOPInstanceUID
    assert after(PatientName="Other^Name", AccessionNumber="1") == ["valid RSA SHA256"]
    assert after(Manufacturer="Somebody") == ["invalid RSA SHA256"]
    assert after(PixelData=bytes(len(ds.PixelData))) == ["invalid RSA SHA256"]


def test_signatures_that_an_object_came_with_are_told_removed_and_restored(folder):
    first = marker(KEYS).mark(sample(CT), order(folder)).data
    foreign = examiner(KEYS).examine(first)
    assert foreign.restored == sample(CT)
    signed = _signed(folder, sample(CT))

    made = marker(KEYS).mark(signed, replace(ORDER, keep_file=True))

    assert [one.result for one in made.signatures] == ["valid"]
    assert said(made.data) == []
    assert examiner(KEYS).examine(made.data).restored == signed


def test_in_the_header_carrier_signatures_stay_and_ours_stands_behind_them(folder):
    signed = _signed(folder, sample(CT), "ec")

    made = marker(KEYS).mark(signed, order(folder, carrier="header"))

    assert said(made.data) == ["valid EC SHA256", "valid RSA SHA256"]
    assert examiner(KEYS).examine(made.data).restored == signed


def test_a_signature_that_is_stale_is_told_to_be_invalid_and_garbage_unreadable(folder):
    signed = _signed(folder, sample(CT))
    ds = dcmread(BytesIO(signed))
    ds.Rows += 1
    ds[0xFFFAFFFA].value[0][0x04000110].value = "PGP"
    unknown = BytesIO()
    ds.save_as(unknown)
    del ds[0x4FFE0001].value[0][0x04000015]
    ds[0xFFFAFFFA].value[0][0x04000110].value = "X509_1993_SIG"
    nameless = BytesIO()
    ds.save_as(nameless)

    assert check(reader.read(unknown.getvalue()))[0].result == "unknown"
    assert check(reader.read(nameless.getvalue()))[0].result == "unknown"
    end = b"\0\x00\x04\x15\x00"  # MAC Algorithm follows
    broken = signed.replace(b"1.2.840.10008.1.2.1" + end, b"1.2.840.10008.1.2.5" + end)
    assert check(reader.read(broken))[0].result == "unreadable"


def test_a_certificate_of_another_key_and_a_key_too_short_are_refused(folder):
    with pytest.raises(ConfigError):
        signature.load(folder / "rsa.pem", folder / "ec.key")
    with pytest.raises(ConfigError):
        signature.load(folder / "rsa.key", folder / "rsa.key")
    with pytest.raises(ConfigError):
        signature.load(folder / "rsa.pem", folder / "none.key")


def _signed(folder: Path, data: bytes, kind: str = "rsa") -> bytes:
    obj = reader.read(data)
    made = signatory(folder, kind).sign(obj.dataset, obj.transfer_syntax_uid, time.time())
    return obj.file + made


PEER_FILES = [
    CT, "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "JPEG-LL.dcm",
    "rtplan.dcm", "reportsi.dcm", "SC_rgb.dcm",
]  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PEER_FILES)
def test_dcmtk_verifies_what_we_sign(folder, tmp_path, name, kind):
    dcmsign = shutil.which("dcmsign") or pytest.skip("dcmsign is not installed")
    (tmp_path / "signed.dcm").write_bytes(_signed(folder, sample(name), kind))
    wanted = ["+rc"] if kind == "rsa" else ["+rg"]

    words = [dcmsign, "--verify", *wanted, "+cf", folder / f"{kind}.pem", tmp_path / "signed.dcm"]
    subprocess.run(words, check=True)


@pytest.mark.peers
@pytest.mark.parametrize("name", PEER_FILES)
def test_we_verify_what_dcmtk_signs(folder, tmp_path, name):
    dcmsign = shutil.which("dcmsign") or pytest.skip("dcmsign is not installed")
    (tmp_path / "in.dcm").write_bytes(sample(name))
    for kind, flag, expected in (
        ("rsa", "+m5", "valid RSA SHA512"), ("rsa", "+mm", "valid weak RSA MD5"),
        ("ec", "+m3", "valid EC SHA384"), ("ec", "+ms", "valid weak EC SHA1"),
    ):  # fmt: skip
        files = folder / f"{kind}.key", folder / f"{kind}.pem"
        words = [dcmsign, "--sign", *files, flag, tmp_path / "in.dcm", tmp_path / "out.dcm"]
        subprocess.run(words, check=True)
        found = str(check(reader.read((tmp_path / "out.dcm").read_bytes()))[0])
        assert found.startswith(expected), (name, flag)
