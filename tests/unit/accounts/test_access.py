"""Who did what with whose images, as far as the one who asks may know."""

from __future__ import annotations

import pytest

from node.accounts.about import Patients
from node.accounts.access import REVEALS, Wanted, accesses
from node.audit.log import JsonLog
from node.crypto.months import MonthOpener, MonthSealer, erase
from node.crypto.recipient import generate
from node.dicom.reader import tag_of
from node.types import Attribute, Event

START = 1_767_312_000.0  # 2026-01-02
OFFICER = generate("officer", 0)
EVA = [Attribute(tag_of("PatientID"), "LO", b"EVA1 "), Attribute(tag_of("PatientName"), "PN", b"E")]
TOM = [Attribute(tag_of("PatientID"), "LO", b"TOM1")]


@pytest.fixture
def folder(tmp_path):
    """A log of two objects: received, sent, retrieved together, one restored by hand."""
    patients = Patients(MonthSealer(tmp_path / "months", OFFICER.recipient))
    eva, tom = patients.seal(START, EVA), patients.seal(START, TOM)
    sink = JsonLog(tmp_path)
    for seq, event in enumerate(
        [
            Event("instance_accepted", "A", "CT1", facts={"entry": 1, "route": "ct"} | eva),
            Event("instance_accepted", "B", "CT1", facts={"entry": 2} | tom),
            Event("delivery_sent", "A2", "", facts={"entry": 1}),
            Event("objects_retrieved", "", "VIEWER", facts={"objects": "A,B", "count": 2}),
            Event("original_restored", "A", "local:anna/root", facts=eva),
            Event("config_adopted", "", "receive"),
        ],
        start=1,
    ):
        sink.append(seq, START + seq, event)
    sink.close()
    return tmp_path


def opener(folder):
    return MonthOpener(folder / "months", OFFICER).open


def ask(folder, **wanted):
    return [
        (access.event, access.object, access.patient.get("PatientID", access.note))
        for access in accesses(folder, Wanted(**wanted), opener(folder))
    ]


def test_everything_about_a_patient_is_found_under_every_uid(folder):
    assert ask(folder, patient="EVA1") == [
        ("instance_accepted", "A", "EVA1"),
        ("delivery_sent", "A2", "EVA1"),
        ("objects_retrieved", "A", "EVA1"),
        ("original_restored", "A", "EVA1"),
    ]
    assert ask(folder, patient="EVA") == []


def test_who_has_seen_an_object(folder):
    assert ask(folder, objects=frozenset({"B"}), events=REVEALS) == [
        ("objects_retrieved", "B", "TOM1")
    ]


def test_what_a_user_did_and_when(folder):
    for name in ("anna", "root", "local:anna/root"):
        assert [event for event, *_ in ask(folder, user=name)] == ["original_restored"]
    assert len(ask(folder, since=START + 6)) == 1
    assert len(ask(folder, until=START + 3)) == 2


def test_without_the_key_patients_stay_sealed_and_after_erasure_nobody_reads_them(folder):
    rows = list(accesses(folder, Wanted(), None))
    assert {row.note for row in rows} == {"sealed", ""}
    assert not any(row.patient or "patient" in row.facts for row in rows)
    erase(folder / "months", "2026-01", START + 40 * 86400)
    assert ask(folder, objects=frozenset({"B"}))[0] == ("instance_accepted", "B", "erased")


def test_patients_that_are_not_to_be_noted_are_not(folder):
    assert Patients(None).seal(START, EVA) == {}
    assert Patients(MonthSealer(folder / "months", OFFICER.recipient)).seal(START, []) == {}
