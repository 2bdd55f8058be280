"""What stands for the original is DICOM as good as the original: others' checkers find nothing new.

dciodvfy (dicom3tools) knows the attributes that each kind of object must have;
dcmdump (DCMTK) reads every element.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import peers
import pytest
from sealing import ORDER, marker, sample

from node.crypto.keyring import MemoryKeys
from node.crypto.mapping import Mapping
from node.dicom.codecs import Decoder
from node.sealing.pseudonyms import Pseudonyms
from node.types import Profile

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peers

KEYS = MemoryKeys([b"k" * 32])
PACKAGED = ("CT_small.dcm", "MR_small_implicit.dcm", "reportsi.dcm", "rtplan.dcm")
SHARED = (
    "syntax9/mr_siemens_2.dcm",  # implicit VR
    "syntax9/mr_siemens_3.dcm",  # big endian
    "syntax9/mr_siemens_4.dcm",  # RLE
    "syntax9/mr_siemens_6.dcm",  # JPEG lossless
    "syntax9/mr_siemens_8.dcm",  # JPEG-LS
    "syntax9/mr_siemens_9.dcm",  # JPEG 2000
    "objects/cr_10x2265.dcm",
    "objects/ct_ge_big_endian_179_private.dcm",
    "objects/emr_siemens_xa_6f.dcm",  # multi-frame
    "objects/mg_ge_3062x2394_jpegll.dcm",
    "objects/nm_13f.dcm",
    "objects/sr_comprehensive3d.dcm",
    "objects/us_8f_mono.dcm",
    "objects/xa_12f_jpegll.dcm",
    "study_ptct/pt_00.dcm",
    "synthetic/es_rgb.dcm",
)
HIDING = (
    "objects/ko_xa.dcm",
    "objects/pr_luts.dcm",
    "objects/pr_overlay.dcm",
    "objects/rtstruct_1.9M.dcm",
    "objects/seg_overlap_7f.dcm",
)
HIDDEN = Pseudonyms(Mapping(b"m" * 32), Profile("basic"))
VALUE = re.compile(r'"[^"]*"|<[^<>]*[0-9.][^<>]*>|(?<=UID )[0-9.]+')


def complaints(path: Path) -> Counter[str]:
    """Return what the checkers call an error, without the values that they quote."""
    found: Counter[str] = Counter()
    for command in (["dciodvfy", str(path)], ["dcmdump", "-q", "+L", str(path)]):
        done = subprocess.run(
            [peers.program(command[0]), *command[1:]],
            capture_output=True, text=True, errors="replace", timeout=60, check=False,
        )  # fmt: skip
        lines = (done.stdout + done.stderr).splitlines()
        wrong = [line for line in lines if line.startswith(("Error", "E:", "F:"))]
        found.update(VALUE.sub("…", line) for line in wrong)
        if command[0] == "dcmdump":
            found["dcmdump cannot read it"] += done.returncode != 0
    return found


def new_complaints(
    data: bytes, folder: Path, pseudonyms: Pseudonyms | None = None
) -> dict[str, int]:
    before, after = folder / "before.dcm", folder / "after.dcm"
    with Decoder() as codec:
        order = replace(ORDER, carrier="auto", pseudonyms=pseudonyms)
        made = marker(KEYS, codec).mark(data, order)
    before.write_bytes(data)
    after.write_bytes(made.data)
    return dict(complaints(after) - complaints(before))


@pytest.mark.parametrize("name", PACKAGED)
def test_nothing_new_is_wrong_with_a_marked_file_of_the_packages(name, tmp_path):
    peers.needed("dciodvfy", "dcmdump")
    assert new_complaints(sample(name), tmp_path) == {}


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", SHARED)
def test_nothing_new_is_wrong_with_a_marked_file_of_the_collection(name, shared_dicom, tmp_path):
    peers.needed("dciodvfy", "dcmdump")
    assert new_complaints((shared_dicom / name).read_bytes(), tmp_path) == {}


@pytest.mark.parametrize("name", PACKAGED)
def test_nothing_new_is_wrong_with_a_pseudonymised_file_of_the_packages(name, tmp_path):
    peers.needed("dciodvfy", "dcmdump")
    assert new_complaints(sample(name), tmp_path, HIDDEN) == {}


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", [*SHARED, *HIDING])
def test_nothing_new_is_wrong_with_a_pseudonymised_file_of_the_collection(
    name, shared_dicom, tmp_path
):
    peers.needed("dciodvfy", "dcmdump")
    assert new_complaints((shared_dicom / name).read_bytes(), tmp_path, HIDDEN) == {}


def test_the_checkers_would_notice(tmp_path):
    peers.needed("dciodvfy", "dcmdump")
    path = tmp_path / "spoilt.dcm"
    path.write_bytes(
        sample("CT_small.dcm")
        .replace(b"AXIAL\\", b"AXIAL/")
        .replace(b"\x20\x00\x32\x00", b"\x21\x00\x32\x00")
    )
    whole = tmp_path / "whole.dcm"
    whole.write_bytes(sample("CT_small.dcm"))
    assert complaints(path) - complaints(whole)
