"""What other systems give to be sealed with an object: found, sealed, and given back."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from running import nodectl
from sealing import ORDER, examiner, marker, sample

from node.crypto.keyring import MemoryKeys
from node.errors import UnreadableError
from node.sealing.attachments import KINDS, pack, unpack
from node.sealing.dropfolder import FHIR, HL7, PDF, DropFolder
from node.types import Attachment, VerdictKind

KEYS = MemoryKeys([b"k" * 32])
REPORT = Attachment(FHIR, b'{"resourceType": "DiagnosticReport", "identifier": [{"value": "A1"}]}')
ORDERED = Attachment(HL7, b"MSH|^~\\&|RIS\rPID|1\rOBR|1|P|A1^RIS|CT\r")
LONG = Attachment(PDF, b"%PDF-1.7\n" + os.urandom(50_000))
attachments = st.lists(st.builds(Attachment, st.sampled_from(KINDS), st.binary(max_size=300)))


def image(accession: str = "A1") -> bytes:
    ds = dcmread(BytesIO(sample("CT_small.dcm")))
    ds.AccessionNumber = accession
    stream = BytesIO()
    ds.save_as(stream)
    return stream.getvalue()


@given(attachments)
def test_what_is_packed_comes_back_whole(given):
    if given:
        assert sorted(unpack(pack(given)), key=repr) == sorted(given, key=repr)
        assert pack(given) == pack(list(reversed(given)))


@given(st.binary(max_size=40))
def test_garbage_is_unreadable_or_what_it_says(packed):
    try:
        found = unpack(packed)
    except UnreadableError:
        return
    assert sorted(unpack(pack(found)), key=repr) == sorted(found, key=repr)


@pytest.mark.parametrize("carrier", ["pixels", "header"])
@pytest.mark.parametrize("given", [(REPORT,), (REPORT, ORDERED, LONG), ()])
def test_attachments_are_sealed_and_proved_and_the_original_restores_exactly(given, carrier):
    data = image()

    made = marker(KEYS).mark(
        data, replace(ORDER, attachments=given, keep_file=True, carrier=carrier)
    )

    found = examiner(KEYS).examine(made.data)
    assert (found.verdict.kind, found.restored) == (VerdictKind.INTACT, data)
    assert set(found.attachments) == set(given)
    assert made.attachments == len(given)
    assert b"DiagnosticReport" not in made.data


def test_attachments_that_the_header_lost_or_exchanged_are_told():
    order = replace(ORDER, attachments=(LONG,), keep_file=True)
    made = marker(KEYS).mark(image(), order).data
    other = marker(KEYS).mark(
        image(), replace(order, attachments=(replace(LONG, data=LONG.data[:-1]),))
    )

    def carrying(value: bytes | None) -> bytes:
        ds = dcmread(BytesIO(made))
        block = ds.private_block(0x5EA1, "SEALNODE")
        del block[5]
        if value is not None:
            block.add_new(5, "OB", value)
        stream = BytesIO()
        ds.save_as(stream)
        return stream.getvalue()

    foreign = dcmread(BytesIO(other.data)).private_block(0x5EA1, "SEALNODE")[5].value
    for value in (None, b"", b"garbage", foreign):
        found = examiner(KEYS).examine(carrying(value))
        assert found.verdict.kind is VerdictKind.HEADER_COERCED
        assert found.verdict.coerced == ("Attachments",)
        assert (found.attachments, found.restored) == ((), image())


def drop(folder, name: str, one: Attachment, accession: str = "") -> None:
    (folder / name).write_bytes(one.data)
    if accession:
        (folder / f"{name}.accession").write_text(accession + "\n")


def test_files_belong_to_the_accession_number_that_they_name(tmp_path):
    bundle = {"resourceType": "Bundle", "entry": [{"resource": json.loads(REPORT.data)}]}
    searched = Attachment(FHIR, json.dumps(bundle).encode())
    drop(tmp_path, "Somebody^Else", REPORT)
    drop(tmp_path, "b", searched)
    drop(tmp_path, "c.txt", ORDERED)
    drop(tmp_path, "d.bin", LONG, "A1")
    drop(tmp_path, "e", Attachment(HL7, ORDERED.data.replace(b"A1", b"A12")))
    for name, text in (("f", "["), ("g", "[]"), ("h", "[" * 100_000), ("i", "MSH"), ("j", "")):
        (tmp_path / name).write_text(text)
    (tmp_path / "k").symlink_to(tmp_path / "c.txt")
    (tmp_path / "l").mkdir()
    os.mkfifo(tmp_path / "m")
    folder = DropFolder(tmp_path, 1 << 20)

    assert set(folder.of(image())) == {REPORT, searched, ORDERED, LONG}
    assert len(folder.of(image("A12"))) == 1
    assert folder.of(image("a1")) == folder.of(image("")) == folder.of(b"garbage") == ()


def test_what_changes_in_the_folder_is_seen_and_a_folder_that_is_gone_gives_nothing(tmp_path):
    place = tmp_path / "drop"
    place.mkdir()
    folder = DropFolder(place, 1 << 20)
    drop(place, "pdf", LONG)
    assert folder.of(image()) == ()

    drop(place, "pdf", LONG, "A1")
    drop(place, "order", ORDERED)
    assert folder.of(image()) == (ORDERED, LONG)

    drop(place, "order", Attachment(HL7, ORDERED.data.replace(b"A1", b"B22")))
    assert folder.of(image()) == (LONG,)
    place.rename(tmp_path / "gone")
    assert folder.of(image()) == ()


def test_what_is_more_than_allowed_is_left_out_the_largest_first(tmp_path):
    drop(tmp_path, "order", ORDERED)
    drop(tmp_path, "report", REPORT)
    drop(tmp_path, "pdf", LONG, "A1")

    assert set(DropFolder(tmp_path, 2000).of(image())) == {ORDERED, REPORT}
    assert DropFolder(tmp_path, len(REPORT.data)).of(image()) == (ORDERED,)


def test_extract_gives_them_back_byte_for_byte(tmp_path):
    config = tmp_path / "config"
    nodectl("init", config)
    drop(tmp_path, "order", ORDERED)
    node, route = config / "node.toml", config / "routes.d" / "10-default.toml"
    node.write_text(
        node.read_text().replace("[attachments]", f'[attachments]\nfolder = "{tmp_path}"')
    )
    route.write_text(route.read_text().replace("[[route]]", "[[route]]\nattachments = true"))
    (tmp_path / "image.dcm").write_bytes(image())
    nodectl("--config", config, "seal", tmp_path / "image.dcm", "-o", tmp_path / "sealed.dcm")

    words = "extract", tmp_path / "sealed.dcm", "-o", tmp_path / "out", "--json"
    (row,) = nodectl("--config", config, *words).rows

    assert [(one["kind"], one["size"]) for one in row["attachments"]] == [(HL7, len(ORDERED.data))]
    assert (tmp_path / "out" / "1.hl7").read_bytes() == ORDERED.data
