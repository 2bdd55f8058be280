"""The record: exact both ways, and strict to the last bit."""

from __future__ import annotations

import dataclasses
import hashlib
import zlib

import pytest

from node.crypto import record
from node.errors import UnreadableError, UnsealableError
from node.types import Attribute, Binding, Record

BINDING = Binding("1.2.840.10008.5.1.4.1.1.2", "1.2.392.200036.9116.2.6.1.48.12142.9.1")
HEAD = bytes(64)
EMPTY = Record((), bytes(32), bytes(32), b"")
TYPICAL = Record(
    (
        Attribute(0x00080020, "DA", b"20260914"),
        Attribute(0x00080030, "TM", b"101530.000000 "),
        Attribute(0x00080050, "SH", b"A202609140001 "),
        Attribute(0x00080090, "PN", "佐藤^次郎".encode("iso2022_jp")),
        Attribute(0x00100010, "PN", "YAMADA^TARO=山田^太郎=やまだ^たろう".encode("iso2022_jp")),
        Attribute(0x00100020, "LO", b"1234567890"),
        Attribute(0x00100030, "DA", b"19500101"),
        Attribute(0x00100040, "CS", b"M "),
        Attribute(0x00101010, "AS", b"076Y"),
        Attribute(0x0020000D, "UI", b"1.2.392.200036.9116.2.6.1.48.12142.8\x00"),
    ),
    hashlib.sha256(b"pixels").digest(),
    hashlib.sha256(b"object").digest(),
    b"",
)


def raw(flags: int, tail: bytes, version: int = 1) -> bytes:
    return bytes((version, flags)) + HEAD + tail


def deflate(text: bytes) -> bytes:
    dictionary = record.DICTIONARY + BINDING.sop_instance_uid.encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, dictionary)
    return packer.compress(text) + packer.flush()


def test_the_dictionary_is_the_published_one():
    digest = hashlib.sha256(record.DICTIONARY).hexdigest()
    assert digest == "d28c19ca98a811ffb17566d67eee0b8339f9d64cb5f09319e486e9e4c3cdf8d1"


def test_the_smallest_record_is_two_hashes_and_three_bytes():
    assert record.encode(EMPTY, BINDING) == b"\x01\x00" + bytes(64) + b"\x00"


@pytest.mark.parametrize(
    "given",
    [
        EMPTY,
        TYPICAL,
        dataclasses.replace(TYPICAL, undo=b"u", logo=bytes(128), file=bytes(400), robust=b"r"),
        dataclasses.replace(EMPTY, attributes=(Attribute(0, "AE", b""),)),
        dataclasses.replace(EMPTY, attributes=(Attribute(0xFFFFFFFF, "UV", bytes(70000)),)),
    ],
)
def test_decoding_gives_back_what_was_encoded(given):
    assert record.decode(record.encode(given, BINDING), BINDING) == given


def test_ten_attributes_with_japanese_names_fit_into_230_bytes():
    assert len(record.encode(TYPICAL, BINDING)) <= 230


def test_an_absent_section_costs_nothing_and_one_byte_costs_two():
    without = len(record.encode(EMPTY, BINDING))
    for name in ("undo", "logo", "file", "robust"):
        assert len(record.encode(dataclasses.replace(EMPTY, **{name: b"x"}), BINDING)) == (
            without + 2
        )


def test_bytes_that_do_not_shrink_are_not_deflated():
    noise = hashlib.shake_256(b"").digest(1000)
    encoded = record.encode(dataclasses.replace(EMPTY, undo=noise), BINDING)
    assert encoded[1] == 0x01
    assert noise in encoded


def test_a_uid_of_the_same_device_costs_few_bytes():
    uid = BINDING.sop_instance_uid.replace(".9.1", ".8.1").encode()
    one = dataclasses.replace(EMPTY, attributes=(Attribute(0x0020000D, "UI", uid),))
    assert len(record.encode(one, BINDING)) < len(record.encode(EMPTY, BINDING)) + len(uid) // 2


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ((Attribute(2, "LO", b""), Attribute(1, "LO", b"")), "record_order"),
        ((Attribute(2, "LO", b""), Attribute(2, "LO", b"")), "record_order"),
        ((Attribute(2**32, "LO", b""),), "record_order"),
        ((Attribute(-1, "LO", b""),), "record_order"),
        ((Attribute(1, "ZZ", b""),), "record_vr"),
    ],
)
def test_a_record_that_has_no_encoding_is_refused(attributes, code):
    with pytest.raises(UnsealableError) as caught:
        record.encode(dataclasses.replace(EMPTY, attributes=attributes), BINDING)
    assert caught.value.code == code


def test_a_hash_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        record.encode(dataclasses.replace(EMPTY, pixels_sha256=bytes(31)), BINDING)


def test_a_text_beyond_the_limit_is_refused():
    with pytest.raises(UnsealableError, match="16 MiB"):
        record.encode(dataclasses.replace(EMPTY, undo=bytes(record.MAX_TEXT)), BINDING)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        raw(0, b"\x00", version=0),
        raw(0, b"\x00", version=2),
        raw(0x20, b"\x00"),
        raw(0x80, b"\x00"),
        b"\x01\x00" + bytes(63),
        raw(0, b""),
        raw(0, b"\x00\x00"),  # trailing
        raw(0, b"\x80\x00"),  # varint not the shortest
        raw(0, b"\x80\x80\x80\x80\x10"),  # varint of 33 bits
        raw(0, b"\x80\x80\x80\x80\x80\x00"),  # varint of 6 bytes
        raw(0, b"\x01\x05\x00\x00"),  # VR 0
        raw(0, b"\x01\x05\x23\x00"),  # VR 35
        raw(0, b"\x01\x05\x01\x02x"),  # value beyond the end
        raw(0, b"\x02\x05\x01\x00\x00\x01\x00"),  # the same tag twice
        raw(0, b"\x02\x05\x01\x00\xff\xff\xff\xff\x0f\x01\x00"),  # tag beyond 32 bits
        raw(0x01, b"\x00\x00"),  # empty section
        raw(0x04, b"\x00\x00"),  # empty logo
        raw(0x01, b"\x00"),  # section missing
    ],
)
def test_what_is_not_exactly_a_record_is_unreadable(data):
    with pytest.raises(UnreadableError):
        record.decode(data, BINDING)


@pytest.mark.parametrize(
    "tail",
    [
        deflate(b"\x01\x05\x01\xff\x01" + bytes(255))[:-1],
        deflate(b"\x01\x05\x01\xff\x01" + bytes(255)) + b"\x00",
        deflate(b"\x00"),  # not shorter than what it inflates to
        b"\xff\xff\xff",
        b"",
    ],
)
def test_a_broken_deflate_stream_is_unreadable(tail):
    with pytest.raises(UnreadableError):
        record.decode(raw(0x10, tail), BINDING)


def test_a_deflated_section_reads_where_it_should():
    text = b"\x01\x05\x01\xff\x01" + bytes(255)
    expected = dataclasses.replace(EMPTY, attributes=(Attribute(5, "AE", bytes(255)),))
    assert record.decode(raw(0x10, deflate(text)), BINDING) == expected


def test_a_deflate_bomb_is_refused_within_bounded_memory():
    bomb = deflate(b"\x00" * (record.MAX_TEXT + 2))
    assert len(bomb) < 20000
    with pytest.raises(UnreadableError):
        record.decode(raw(0x10, bomb), BINDING)


def test_no_error_shows_a_value():
    encoded = record.encode(
        dataclasses.replace(EMPTY, attributes=(Attribute(1, "PN", b"DOE^JANE"),)), BINDING
    )
    with pytest.raises(UnreadableError) as caught:
        record.decode(encoded + b"\x00", BINDING)
    assert "DOE" not in str(caught.value)
