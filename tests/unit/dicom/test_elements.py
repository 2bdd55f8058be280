from __future__ import annotations

import struct
from itertools import pairwise

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import TEST_FILES
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from node.dicom import elements
from node.dicom.elements import Encoding, element_bytes, header, items, leading, walk
from node.errors import UnreadableError

LE, BE, IMPLICIT = Encoding.EXPLICIT_LE, Encoding.EXPLICIT_BE, Encoding.IMPLICIT_LE
SEQUENCE = 0x00081115
SEQUENCE_DELIMITER = header(elements.SEQUENCE_END, "", 0, LE)
ITEM_DELIMITER = header(elements.ITEM_END, "", 0, LE)
OPEN_ITEM = header(elements.ITEM, "", elements.UNDEFINED, LE)


def open_sequence(tag: int = SEQUENCE, vr: str = "SQ") -> bytes:
    return header(tag, vr, elements.UNDEFINED, LE)


def code_of(data: bytes, encoding: Encoding = LE) -> str:
    with pytest.raises(UnreadableError) as caught:
        walk(data, encoding)
    return caught.value.code


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_implicit.dcm",
        "MR_small_bigendian.dcm",
        "rtplan.dcm",
        "test-SR.dcm",
        "nested_priv_SQ.dcm",
        "MR_small_RLE.dcm",
        "JPEG2000.dcm",
        "waveform_ecg.dcm",
    ],
)
def test_elements_lie_where_pydicom_finds_them(name):
    data = (TEST_FILES / name).read_bytes()
    expected = pydicom.dcmread(TEST_FILES / name)
    syntax = expected.file_meta.TransferSyntaxUID
    encoding = {ImplicitVRLittleEndian: IMPLICIT, ExplicitVRBigEndian: BE}.get(syntax, LE)
    found = walk(data, encoding, leading(data, 2, 132)[-1].end)
    assert [e.tag for e in found] == [int(element.tag) for element in expected]
    assert found[-1].end == len(data)
    assert all(a.end == b.start for a, b in pairwise(found))
    for element in found:
        raw = expected.get_item(element.tag)
        if isinstance(raw, pydicom.dataelem.RawDataElement) and not element.undefined:
            assert data[element.value : element.stop] == (raw.value or b"")


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize(
    ("tag", "vr"), [(0x00100010, "PN"), (0x7FE00010, "OW"), (0x00091001, "UN")]
)
def test_a_header_that_was_written_is_walked(encoding, tag, vr):
    data = element_bytes(tag, vr, b"abcd", encoding)
    (element,) = walk(data, encoding)
    assert (element.tag, element.vr) == (tag, vr if encoding.explicit else "")
    assert data[element.value : element.stop] == b"abcd"
    assert element.end == len(data)


def test_odd_values_are_padded_as_their_vr_demands():
    assert element_bytes(0x00080018, "UI", b"1.2", LE).endswith(b"1.2\0")
    assert element_bytes(0x00100010, "PN", b"Doe", LE).endswith(b"Doe ")


def test_a_sequence_of_undefined_length_is_one_element():
    inner = element_bytes(0x00080018, "UI", b"1.2.3.", LE)
    nested = open_sequence() + OPEN_ITEM + ITEM_DELIMITER + SEQUENCE_DELIMITER
    data = open_sequence() + OPEN_ITEM + inner + nested + ITEM_DELIMITER + SEQUENCE_DELIMITER
    after = element_bytes(0x00100010, "PN", b"Doe^", LE)
    sequence, name = walk(data + after, LE)
    assert sequence.undefined
    assert sequence.end == len(data)
    assert sequence.stop == len(data) - len(SEQUENCE_DELIMITER)
    assert name.tag == 0x00100010
    assert len(items(data, sequence, LE)) == 1


def test_delimiters_inside_values_do_not_end_a_sequence():
    inner = element_bytes(0x00091001, "OB", SEQUENCE_DELIMITER + ITEM_DELIMITER, LE)
    data = open_sequence() + OPEN_ITEM + inner + ITEM_DELIMITER + SEQUENCE_DELIMITER
    (sequence,) = walk(data, LE)
    assert sequence.end == len(data)


def test_a_value_of_unknown_vr_and_undefined_length_is_implicit_inside():
    inner = element_bytes(0x00080018, "", b"1.2.3.", IMPLICIT)
    data = open_sequence(0x00091010, "UN") + OPEN_ITEM + inner + ITEM_DELIMITER
    (element,) = walk(data + SEQUENCE_DELIMITER, LE)
    assert element.end == len(data) + len(SEQUENCE_DELIMITER)


def test_a_vr_of_a_later_edition_has_a_long_length():
    data = struct.pack("<HH2sHI", 0x0009, 0x1001, b"ZZ", 0, 2) + b"ab"
    (element,) = walk(data, LE)
    assert (element.vr, element.stop - element.value) == ("ZZ", 2)


@pytest.mark.parametrize("padding", [b"\0", b"\0\0", b"\0" * 7, b"\0" * 8, b"\0" * 513])
def test_zeros_behind_the_last_element_are_left_alone(padding):
    data = element_bytes(0x00100010, "PN", b"Doe^", LE)
    for encoding in (LE, IMPLICIT):
        data = element_bytes(0x00100010, "PN", b"Doe^", encoding)
        assert walk(data + padding, encoding)[-1].end == len(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (element_bytes(0x00100010, "PN", b"Doe^", LE)[:-1], "truncated"),
        (header(0x7FE00010, "OW", 0xFFFFFFFE, LE), "truncated"),
        (header(0x00091001, "UN", 8, LE)[:10], "truncated"),
        (element_bytes(0x00100010, "PN", b"Doe^", LE) + b"PK\5\6", "truncated"),
        (struct.pack("<HH2sH", 0x10, 0x10, b"pn", 0) + bytes(4), "vr"),
        (struct.pack("<HH2sH", 0x10, 0x10, b"\0\0", 0) + bytes(4), "vr"),
        (open_sequence(), "sequence"),
        (open_sequence() + OPEN_ITEM + SEQUENCE_DELIMITER, "sequence"),
        (open_sequence() + ITEM_DELIMITER + SEQUENCE_DELIMITER, "sequence"),
        (open_sequence() + element_bytes(0x00100010, "PN", b"Doe^", LE), "sequence"),
        (open_sequence() + header(elements.ITEM, "", 99, LE) + SEQUENCE_DELIMITER, "truncated"),
        ((open_sequence() + OPEN_ITEM) * 66, "depth"),
    ],
)
def test_what_is_no_data_set_is_refused_with_a_code(data, code):
    assert code_of(data) == code


def test_64_sequences_inside_another_are_read():
    data = (open_sequence() + OPEN_ITEM) * 65 + (ITEM_DELIMITER + SEQUENCE_DELIMITER) * 65
    assert len(walk(data, LE)) == 1


def test_too_many_elements_are_refused(monkeypatch):
    monkeypatch.setattr(elements, "MAX_ELEMENTS", 10)
    assert code_of(element_bytes(0x00100010, "PN", b"", LE) * 11) == "too_many"


def test_too_many_items_are_refused(monkeypatch):
    monkeypatch.setattr(elements, "MAX_STEPS", 10)
    data = open_sequence() + header(elements.ITEM, "", 0, LE) * 11 + SEQUENCE_DELIMITER
    assert code_of(data) == "too_many"


def test_items_of_defined_and_undefined_length_are_found():
    inner = element_bytes(0x00080018, "UI", b"1.2.3.", LE)
    data = (
        open_sequence()
        + header(elements.ITEM, "", len(inner), LE)
        + inner
        + OPEN_ITEM
        + inner
        + ITEM_DELIMITER
        + SEQUENCE_DELIMITER
    )
    (sequence,) = walk(data, LE)
    assert [data[a:b] for a, b in items(data, sequence, LE)] == [inner, inner]


def test_a_damaged_sequence_of_defined_length_has_no_items():
    for content in (b"\xde\xad\xbe\xef" + bytes(4), header(elements.ITEM, "", 256, LE), b"abc"):
        data = header(SEQUENCE, "SQ", len(content), LE) + content
        (sequence,) = walk(data, LE)
        with pytest.raises(UnreadableError):
            items(data, sequence, LE)


@given(st.binary(max_size=200), st.sampled_from(list(Encoding)))
def test_random_bytes_are_walked_or_refused(data, encoding):
    try:
        found = walk(data, encoding)
    except UnreadableError:
        return
    assert all(e.start <= e.value <= e.stop <= e.end <= len(data) for e in found)


@given(st.data())
def test_a_data_set_cut_or_changed_anywhere_is_walked_or_refused(data):
    whole = (TEST_FILES / "rtplan.dcm").read_bytes()
    start = leading(whole, 2, 132)[-1].end
    body = bytearray(whole[start : data.draw(st.integers(start, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3)) if body else 0):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = walk(bytes(body), IMPLICIT)
    except UnreadableError:
        return
    assert all(e.start <= e.value <= e.stop <= e.end <= len(body) for e in found)
