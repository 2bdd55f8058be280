from __future__ import annotations

import numpy as np
import pytest
from making import dataset, image, part10
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from node.dicom import headers
from node.dicom.elements import SEQUENCE_END, Encoding, element_bytes, header
from node.dicom.encapsulated import to_items
from node.dicom.headers import assemble, fill, header_bytes, header_copy, open_copy, parse_header
from node.dicom.reader import PIXEL_DATA, read, read_dataset
from node.errors import UnreadableError, UnsealableError

LE = Encoding.EXPLICIT_LE
WORDS = np.arange(24, dtype=np.uint16).reshape(1, 4, 6, 1)
SYNTAXES = ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, ExplicitVRBigEndian]


def pixels_of(obj) -> bytes:
    start, stop = headers.pixel_span(obj)
    return obj.data[start:stop]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_header_and_its_pixels_are_the_data_set(syntax):
    obj = read(image(WORDS, syntax=syntax, tail=b"tail"))
    assert fill(header_bytes(obj), pixels_of(obj)) == obj.dataset
    assert len(pixels_of(obj)) == WORDS.nbytes


def test_a_data_set_without_pixels_is_its_header():
    obj = read(part10(dataset()))
    assert fill(header_bytes(obj), b"") == obj.dataset


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_header_reads_like_its_object(syntax):
    obj = read(image(WORDS, syntax=syntax, tail=b"tail"))
    found = parse_header(header_bytes(obj))
    assert found.transfer_syntax_uid == obj.transfer_syntax_uid
    assert [e.tag for e in found.elements] == [e.tag for e in obj.elements]
    assert [e.vr for e in found.elements] == [e.vr for e in obj.elements]
    assert found.text("PatientName") == "Doe^Jane"
    pixel = found.index[PIXEL_DATA]
    assert found.data[pixel.value : pixel.stop] == b"tail"


def test_the_header_of_an_encapsulated_object_has_no_stream_and_no_offset_table():
    before, after = assemble(read(image(WORDS)), {})
    tables = element_bytes(0x7FE00001, "OV", bytes(8), LE) + element_bytes(
        0x7FE00002, "OV", bytes(8), LE
    )
    head = headers.pixel_head(read(image(WORDS)), "1.2.840.10008.1.2.5", 0)
    end = header(SEQUENCE_END, "", 0, LE)
    items = to_items([b"stream"])
    with_tables = read_dataset(before + tables + head + items + end + after, "1.2.840.10008.1.2.5")
    without = read_dataset(before + head + items + end + after, "1.2.840.10008.1.2.5")
    assert pixels_of(with_tables) == items
    assert header_bytes(with_tables) == header_bytes(without)
    assert fill(header_bytes(without), items) == without.dataset
    found = parse_header(header_bytes(without))
    assert found.index[PIXEL_DATA].undefined
    assert b"stream" not in header_bytes(without)


def test_a_stream_that_ends_in_a_malformed_delimiter_is_not_touched():
    head = header(PIXEL_DATA, "OB", 0xFFFFFFFF, LE)
    data = head + to_items([b"ab"]) + header(SEQUENCE_END, "", 1, LE)
    with pytest.raises(UnsealableError) as caught:
        header_bytes(read_dataset(data, "1.2.840.10008.1.2.5"))
    assert caught.value.code == "delimiter"


def test_the_layout_of_a_header_never_changes():
    obj = read_dataset(
        element_bytes(0x00100010, "PN", b"Doe^", LE) + element_bytes(PIXEL_DATA, "OW", b"abcd", LE),
        "1.2.840.10008.1.2.1",
    )
    assert header_bytes(obj) == (
        b"1.2.840.10008.1.2.1\0"
        b"\x0c\0\0\0\x18\0\0\0\x18\0\0\0"
        b"\x10\0\x10\0PN\4\0Doe^"
        b"\xe0\x7f\x10\0OW\0\0\4\0\0\0"
    )


def test_a_copy_opens_to_the_header():
    obj = read(image(WORDS))
    copy = header_copy(obj)
    assert copy is not None
    assert open_copy(copy) == header_bytes(obj)
    assert header_copy(obj) == copy


def test_a_header_that_is_too_long_has_no_copy():
    noise = np.random.default_rng(0).bytes(70_000)
    ds = dataset()
    ds.add_new(0x00091001, "OB", noise)
    assert header_copy(read(part10(ds))) is None


@pytest.mark.parametrize("change", [b"", b"rubbish", None])
def test_a_damaged_copy_is_refused(change):
    copy = header_copy(read(image(WORDS)))
    assert copy is not None
    for damaged in (copy[:-1], copy + b"x") if change is None else (change,):
        with pytest.raises(UnreadableError):
            open_copy(damaged)


@pytest.mark.parametrize("data", [b"", b"1.2\0", b"1.2\0" + bytes(11), b"1.2\0" + b"\1\0\0\0" * 3])
def test_bytes_that_are_no_header_are_refused(data):
    with pytest.raises(UnreadableError):
        parse_header(data)


def test_elements_are_changed_put_in_and_left_out_where_they_belong():
    obj = read(image(WORDS))
    new = {
        0x00080005: element_bytes(0x00080005, "CS", b"ISO_IR 192", LE),
        0x00080060: element_bytes(0x00080060, "CS", b"MR", LE),
        0x00100010: None,
        0x00101010: None,
        0x5EA10010: element_bytes(0x5EA10010, "LO", b"SEALNODE", LE),
        0xFFFAFFFA: element_bytes(0xFFFAFFFA, "SQ", b"", LE),
    }
    below, above = assemble(obj, new)
    found = read_dataset(below + above, obj.transfer_syntax_uid)
    assert found.ordered
    assert found.text("Modality") == "MR"
    assert found.text("PatientName") == ""
    assert found.elements[-1].tag == 0xFFFAFFFA
    assert above == new[0xFFFAFFFA]
    gone = {0x00080060, 0x00100010, PIXEL_DATA}
    kept = [obj.data[e.start : e.end] for e in obj.elements if e.tag not in gone]
    found_raw = [found.data[e.start : e.end] for e in found.elements if e.tag not in new]
    assert found_raw == kept


def test_elements_out_of_order_are_not_touched():
    obj = read(image(WORDS) + element_bytes(0x00100040, "CS", b"F", LE))
    with pytest.raises(UnsealableError) as caught:
        header_bytes(obj)
    assert caught.value.code == "order"
