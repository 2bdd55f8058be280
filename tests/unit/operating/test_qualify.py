"""Whether a PACS passes, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest
from archive import Archive
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from running import free_ports, nodectl
from sealing import ORDER, examiner, marker

from node.aftercare.judge import Judge
from node.crypto.keyring import MemoryKeys
from node.dicom import phantom
from node.dicom.codecs import Decoder
from node.errors import UnreadableError
from node.operating.qualify import Case, Qualification, Qualifier, Register, place_of, result_of
from node.spool.memory import MemoryLedger
from node.types import Delivered, Destination

PACS = Destination("pacs-main", "PACS", "127.0.0.1", 104, qualified="required")
GOOD = Case("CT", ExplicitVRLittleEndian, "pixels", "passed", "INTACT")
REFUSED = replace(GOOD, result="refused")
BAD = replace(GOOD, result="failed", verdict="TAMPERED")


def known(result="passed", **more):
    return Qualification(1.0, place_of(PACS), result, (GOOD,), actor="root", **more)


@pytest.fixture
def register(tmp_path):
    return Register(tmp_path / "state" / "qualified.json")


@pytest.mark.parametrize(
    ("cases", "result"),
    [
        ([GOOD, REFUSED], "passed"),
        ([GOOD, BAD], "failed"),
        ([REFUSED], "failed"),
        ([replace(GOOD, carrier="header")], "failed"),
        ([], "failed"),
    ],
)
def test_it_passes_if_what_it_takes_comes_back_and_an_image_is_among_it(cases, result):
    assert result_of(cases) == result


def test_what_must_be_qualified_gets_nothing_before(register):
    ledger = MemoryLedger()
    assert not register.admits(PACS)
    assert register.admits(replace(PACS, qualified="advised"))
    register.note(PACS, known("failed"), ledger)
    assert not register.admits(PACS)
    register.note(PACS, known(), ledger)
    assert register.admits(PACS)
    assert register.get(PACS) == known()
    assert [e.event for _, _, e in ledger.outbox(limit=9)] == ["destination_qualified"] * 2


def test_a_person_may_accept_what_did_not_pass_and_the_audit_log_says_why(register):
    ledger = MemoryLedger()
    register.note(PACS, known("", accepted="no licence"), ledger)

    assert register.admits(PACS)
    [(_, _, event)] = ledger.outbox(limit=9)
    assert (event.event, event.actor, event.facts["reason"]) == (
        "destination_accepted", "root", "no licence",
    )  # fmt: skip


@pytest.mark.parametrize("change", [{"port": 105}, {"host": "pacs2"}, {"aet": "OTHER"}])
def test_another_place_is_another_pacs(register, change):
    register.note(PACS, known(), MemoryLedger())

    assert not register.admits(replace(PACS, **change))


@pytest.mark.parametrize("text", ["{", '{"pacs-main": {"cases": 1}}', '{"pacs-main": {}}'])
def test_a_register_that_cannot_be_read_admits_nothing(register, text):
    register.note(PACS, known(), MemoryLedger())
    register.path.write_text(text)

    assert not register.admits(PACS)
    with pytest.raises(UnreadableError):
        register.get(PACS)


def test_the_test_objects_are_labelled_of_no_patient_and_new_in_each_run():
    with Decoder() as codec:
        first, second = list(phantom.phantoms("a", codec)), list(phantom.phantoms("b", codec))
    uids = {one.sop_instance_uid for one in [*first, *second]}
    assert len(uids) == 2 * len(first)
    assert {one.transfer_syntax_uid for one in first} == set(map(str, phantom.SYNTAXES))
    for one in first:
        ds = dcmread(BytesIO(one.data), stop_before_pixels=True)
        assert (ds.StudyInstanceUID, ds.PatientID) == (phantom.STUDY, "SEALNODE-QUALIFY")
        assert "NO PATIENT" in ds.StudyDescription
        assert ds.SOPInstanceUID == one.sop_instance_uid


class Changing:
    """A sender and an archive in one, that keeps objects in its own way."""

    def __init__(self, change):
        self._change = change
        self._kept = b""

    def expect(self, pairs):
        pass

    def send(self, item):
        self._kept = item.open().read()
        return Delivered()

    def fetch(self, _wanted, folder):
        ds = dcmread(BytesIO(self._kept))
        if self._change(ds) == "lose":
            return []
        path = folder / "0"
        ds.save_as(path, enforce_file_format=True)
        return [path]


def edit_pixels(ds):
    ds.PixelData = bytes(5000) + ds.PixelData[5000:]


def coerce(ds):
    ds.InstitutionName = "Elsewhere"


@pytest.mark.parametrize(
    ("change", "result", "verdict"),
    [
        (lambda _: "keep", "passed", "INTACT"),
        (coerce, "passed", "HEADER_COERCED"),
        (edit_pixels, "failed", "TAMPERED"),
        (lambda _: "lose", "failed", "MISSING"),
    ],
)
def test_what_a_pacs_does_to_an_image_is_called_by_its_name(tmp_path, change, result, verdict):
    keys = MemoryKeys([b"k" * 32])
    pacs = Changing(change)
    with Decoder() as codec:
        image = next(phantom.phantoms("a", codec))
        qualifier = Qualifier(
            marker=marker(keys, codec), order=replace(ORDER, carrier="auto"), sender=pacs,
            archive=pacs, judge=Judge(examiner(keys, codec)), carries=lambda _: True,
            folder=tmp_path,
        )  # fmt: skip
        [case] = qualifier.run([image])

    assert (case.result, case.verdict) == (result, verdict)
    assert ("InstitutionName" in case.coerced) == (change is coerce)


@pytest.fixture
def site(tmp_path):
    (port, fetch) = free_ports(2)
    nodectl("init", tmp_path / "site", "--pacs", f"PACS@127.0.0.1:{port}")
    file = tmp_path / "site" / "node.toml"
    file.write_text(file.read_text().replace("[node]\n", f"[node]\nfetch_port = {fetch}\n", 1))
    return tmp_path / "site", port


@pytest.mark.slow
def test_an_archive_that_keeps_all_as_it_is_passes_and_that_is_shown_later(site, tmp_path):
    config, port = site
    with Archive(tmp_path / "pacs", aet="PACS", port=port):
        [row] = nodectl("--config", config, "--json", "qualify", "pacs-main").rows
    assert row["result"] == "passed"
    assert {(case["result"], case["verdict"]) for case in row["cases"]} == {("passed", "INTACT")}
    said = nodectl("--config", config, "qualify", "pacs-main", "--show").stdout
    assert "pacs-main passed on" in said
    assert "never qualified" not in nodectl("--config", config, "check").stderr


@pytest.mark.slow
def test_an_archive_that_loses_or_refuses_objects_does_not_pass(site, tmp_path):
    config, port = site
    with Archive(tmp_path / "pacs", aet="PACS", port=port, answer=lambda _: 0x0124):
        nodectl("--config", config, "qualify", "pacs-main", expect=10)
    shown = nodectl("--config", config, "--json", "qualify", "pacs-main", "--show", expect=10)
    [row] = shown.rows
    assert {case["result"] for case in row["cases"]} == {"refused"}


def test_what_does_not_answer_is_no_verdict(site):
    config, _ = site
    nodectl("--config", config, "qualify", "pacs-main", expect=75)
    assert "never" in nodectl("--config", config, "qualify", "pacs-main", "--show", expect=2).stderr
    assert "never qualified" in nodectl("--config", config, "check").stderr


def test_accepting_needs_a_reason(site):
    config, _ = site
    nodectl("--config", config, "qualify", "pacs-main", "--accept", " ", expect=2)
    nodectl("--config", config, "qualify", "pacs-main", "--accept", "no licence")
    assert "no licence" in nodectl("--config", config, "qualify", "pacs-main", "--show").stdout
