from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import dataset, part10
from pydicom.encaps import generate_frames

from node.dicom.elements import ITEM, SEQUENCE_END, UNDEFINED, Encoding, element_bytes, header
from node.dicom.encapsulated import frames_of, to_items
from node.dicom.reader import PIXEL_DATA, read, read_dataset
from node.errors import UnsealableError

LE = Encoding.EXPLICIT_LE
JPEG_LS = "1.2.840.10008.1.2.4.80"


def item(content: bytes) -> bytes:
    return header(ITEM, "", len(content), LE) + content


def encapsulated(items: bytes, before: bytes = b""):
    head = header(PIXEL_DATA, "OB", UNDEFINED, LE)
    end = header(SEQUENCE_END, "", 0, LE)
    return read_dataset(read(part10(dataset())).dataset + before + head + items + end, JPEG_LS)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6))
def test_frames_come_back_padded_to_even_length(frames):
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    items = to_items(frames)
    assert frames_of(encapsulated(items), len(frames)) == padded
    assert list(generate_frames(items, number_of_frames=len(frames))) == padded


def test_one_frame_takes_every_fragment():
    obj = encapsulated(item(b"") + item(b"ab") + item(b"") + item(b"cd"))
    assert frames_of(obj, 1) == [b"abcd"]


def test_a_basic_offset_table_tells_where_frames_begin():
    table = struct.pack("<II", 0, 2 * 10)
    obj = encapsulated(item(table) + item(b"ab") + item(b"cd") + item(b"ef"))
    assert frames_of(obj, 2) == [b"abcd", b"ef"]


def test_an_extended_offset_table_tells_it_too():
    table = element_bytes(0x7FE00001, "OV", struct.pack("<QQ", 0, 10), LE)
    obj = encapsulated(item(b"") + item(b"ab") + item(b"cd") + item(b"ef"), table)
    assert frames_of(obj, 2) == [b"ab", b"cdef"]


def test_without_a_table_streams_begin_at_their_markers():
    soi = b"\xff\xd8\xff\xf7"
    obj = encapsulated(item(b"") + item(soi) + item(b"ab") + item(soi) + item(b"cd"))
    assert frames_of(obj, 2) == [soi + b"ab", soi + b"cd"]


@pytest.mark.parametrize(
    ("items", "count"),
    [
        (b"", 1),
        (item(b""), 1),
        (item(b"") + item(b"ab"), 2),
        (item(b"") + item(b"ab"), 0),
        (item(b"") + item(b"ab"), 2**31 - 1),
        (item(struct.pack("<II", 0, 99)) + item(b"ab") * 3, 2),
        (item(struct.pack("<II", 10, 0)) + item(b"ab") * 3, 2),
        (item(b"abc") + item(b"ab") * 3, 2),
        (item(b"") + item(b"ab") * 3, 2),
    ],
)
def test_fragments_that_make_no_frames_are_refused(items, count):
    with pytest.raises(UnsealableError) as caught:
        frames_of(encapsulated(items), count)
    assert caught.value.code == "fragments"
