from __future__ import annotations

import pytest
from making import dataset, part10
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom import identity
from node.dicom.identity import MAX_TOTAL, collect, readable
from node.dicom.reader import read, tag_of
from node.types import Attribute


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_who_it_is_about_is_taken_as_received(syntax):
    ds = dataset(SpecificCharacterSet="ISO_IR 192", PatientBirthDate="19700101", Rows=4)
    ds.PatientName = "Müller^Jörg"
    found = collect(read(part10(ds, syntax)))
    by_tag = {attribute.tag: attribute for attribute in found}
    name = by_tag[tag_of("PatientName")]
    assert (name.vr, name.value.rstrip()) == ("PN", "Müller^Jörg".encode())
    assert [a.tag for a in found] == sorted(by_tag)
    assert tag_of("Rows") not in by_tag
    assert dict(readable(found)) == {
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientName": "Müller^Jörg",
        "PatientID": "4711",
        "PatientBirthDate": "19700101",
        "StudyInstanceUID": ds.StudyInstanceUID,
        "SeriesInstanceUID": ds.SeriesInstanceUID,
    }


def test_what_is_absent_is_left_out_and_what_is_empty_is_kept():
    found = collect(read(part10(dataset(PatientID="", StudyInstanceUID=None))))
    values = dict(readable(found))
    assert values["PatientID"] == ""
    assert "StudyInstanceUID" not in values


def test_a_value_is_cut():
    ds = dataset()
    ds.PatientID = "1" * 60
    ds.add_new(tag_of("PatientAddress"), "LO", "x")
    ds["PatientAddress"].VR = "UT"
    ds["PatientAddress"].value = "x" * 5000
    found = {a.tag: a.value for a in collect(read(part10(ds)))}
    assert found[tag_of("PatientAddress")] == b"x" * identity.MAX_VALUE


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_name_and_number_are_never_dropped_and_the_last_in_the_list_first():
    ds = dataset()
    for keyword in identity.IF_ROOM:
        if keyword not in ds:
            ds.add_new(tag_of(keyword), "UT", keyword * 20)
    found = collect(read(part10(ds)))
    keywords = {keyword for keyword, _ in readable(found)}
    assert {"PatientName", "PatientID"} <= keywords
    assert "PatientAddress" not in keywords
    assert sum(len(a.value) for a in found) <= MAX_TOTAL


def test_the_whole_is_small_for_an_ordinary_object():
    ds = dataset(
        PatientName="Mustermann^Erika",
        AccessionNumber="A123456",
        StudyDate="20260101",
        ReferringPhysicianName="Who^Doctor",
        StudyDescription="CT Thorax",
    )
    assert sum(len(a.value) for a in collect(read(part10(ds)))) < 250


def test_an_attribute_that_the_dictionary_does_not_know_shows_its_tag():
    assert readable([Attribute(0x00091001, "LO", b"x ")]) == [("(0009,1001)", "x")]
