from __future__ import annotations

import numpy as np
import pytest
from making import dataset, image, part10
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom.compare import differences
from node.dicom.elements import Encoding, element_bytes
from node.dicom.headers import header_bytes, parse_header
from node.dicom.reader import read, read_dataset

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]


def rich(*, undefined: bool = False, **changes) -> Dataset:
    inner = Dataset()
    inner.CodeValue = "109103"
    inner.RecommendedDisplayFrameRate = 3
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = Sequence([inner, inner])
    item.FrameIncrementPointer = 0x00181063
    ds = dataset(
        Rows=512,
        StationName="odd",
        RealWorldValueSlope=1.5,
        ReferencedStudySequence=Sequence([item]),
        RedPaletteColorLookupTableData=b"\1\2\3\4",
    )
    ds.private_block(0x0009, "THEIRS", create=True).add_new(1, "LO", "private")
    if undefined:
        ds["ReferencedStudySequence"].is_undefined_length = True
        item["PurposeOfReferenceCodeSequence"].is_undefined_length = True
        item.is_undefined_length_sequence_item = True
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


def written(ds: Dataset, syntax: str):
    """The object in a syntax; pydicom does not turn the words of OW round by itself."""
    if syntax == ExplicitVRBigEndian:
        words = np.frombuffer(ds.RedPaletteColorLookupTableData, "<u2")
        ds.RedPaletteColorLookupTableData = words.byteswap().tobytes()
    return read(part10(ds, syntax))


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_how_a_header_is_written_does_not_count(syntax, undefined):
    original = read(part10(rich()))
    found = written(rich(undefined=undefined), syntax)
    assert differences(original, found) == ()
    assert differences(parse_header(header_bytes(original)), found) == ()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_differs_is_named(syntax):
    original = read(part10(rich()))
    changed = rich(Rows=2, PatientName="Roe", RealWorldValueSlope=1.25, AccessionNumber="7")
    del changed.StationName
    changed.RedPaletteColorLookupTableData = b"\2\1\4\3"
    found = written(changed, syntax)
    expected = (
        "AccessionNumber",
        "StationName",
        "PatientName",
        "Rows",
        "RedPaletteColorLookupTableData",
        "RealWorldValueSlope",
    )
    assert set(differences(original, found)) == set(expected)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_change_deep_inside_a_sequence_is_found(syntax):
    original = read(part10(rich()))
    for change in ("value", "gone", "more", "item"):
        ds = rich()
        item = ds.ReferencedStudySequence[0]
        codes = item.PurposeOfReferenceCodeSequence
        if change == "value":
            codes[1] = Dataset()
            codes[1].CodeValue = "109104"
            codes[1].RecommendedDisplayFrameRate = 3
        elif change == "gone":
            del item.FrameIncrementPointer
        elif change == "more":
            item.CodeMeaning = "x"
        else:
            codes.append(Dataset())
        found = written(ds, syntax)
        assert differences(original, found) == ("ReferencedStudySequence",), change


def test_numbers_that_look_like_padding_are_compared():
    assert differences(read(part10(rich(Rows=0))), read(part10(rich(Rows=32)))) == ("Rows",)


def test_private_elements_are_compared_and_named_by_tag():
    changed = rich()
    changed[0x00091001].value = "other"
    assert differences(read(part10(rich())), read(part10(changed))) == ("(0009,1001)",)


def test_a_private_element_whose_vr_was_lost_is_the_same():
    original = read_dataset(
        element_bytes(0x00091001, "LO", b"private", Encoding.EXPLICIT_LE), ExplicitVRLittleEndian
    )
    found = read_dataset(
        element_bytes(0x00091001, "UN", b"private ", Encoding.EXPLICIT_LE), ExplicitVRLittleEndian
    )
    assert differences(original, found) == ()


def test_pixels_group_lengths_and_ignored_tags_are_not_compared():
    words = np.zeros((1, 4, 4, 1), np.uint16)
    original, found = read(image(words)), read(image(words + 1, PatientID="other"))
    assert differences(original, found) == ("PatientID",)
    assert differences(original, found, {0x00100020}) == ()
    length = element_bytes(0x00080000, "UL", bytes(4), Encoding.EXPLICIT_LE)
    with_length = read(original.file + length + original.dataset)
    assert differences(original, with_length) == ()


def test_damaged_sequences_are_compared_by_their_bytes():
    def damaged(content: bytes):
        data = element_bytes(0x00081115, "SQ", content, Encoding.EXPLICIT_LE)
        return read_dataset(data, ExplicitVRLittleEndian)

    assert differences(damaged(b"rubbish!"), damaged(b"rubbish!")) == ()
    assert differences(damaged(b"rubbish!"), damaged(b"garbage!")) == ("ReferencedSeriesSequence",)
