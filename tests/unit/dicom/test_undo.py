from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom import undo
from node.dicom.undo import Undo, Was, pack, unpack
from node.errors import UnreadableError

ELEMENTS = st.dictionaries(
    st.integers(0x00080000, 0xFFFFFFFF) | st.sampled_from(undo.TOUCHED),
    st.binary(max_size=300) | st.sampled_from([Was.ABSENT, Was.IN_COPY]),
    max_size=8,
)
UNDOS = st.builds(
    Undo,
    st.sampled_from(undo.SYNTAXES) | st.just("1.2.826.0.1.99"),
    st.binary(max_size=12),
    ELEMENTS,
)


@given(UNDOS)
def test_undo_data_come_back(data):
    assert unpack(pack(data)) == data


def test_the_bytes_of_format_1_never_change():
    data = Undo(
        "1.2.840.10008.1.2.1",
        b"\xe0\x7f\x10\0OW\0\0\4\0\0\0",
        {
            0x00080000: b"\x08\0\0\0UL\4\0\2\0\0\0",
            0x00080008: b"\x08\0\x08\0CS\2\0X ",
            0x00082111: Was.ABSENT,
            0x00880200: Was.IN_COPY,
        },
    )
    expected = (
        "00"  # stored
        "01"  # explicit VR little endian
        "0ce07f10004f57000004000000"  # what announced Pixel Data
        "ff00000800010c08000000554c040002000000"  # the group length of 0008
        "00010a080008004353020058 20"  # Image Type
        "0100"  # Derivation Description was absent
        "0602"  # Icon Image Sequence is in the header copy
    ).replace(" ", "")
    assert pack(data).hex() == expected
    assert unpack(bytes.fromhex(expected)) == data


def test_places_in_the_tables_never_change():
    assert undo.TOUCHED[:8] == (
        0x00080008, 0x00082111, 0x0018A001, 0x00280106, 0x00280107, 0x4FFE0001, 0x00880200,
        0xFFFAFFFA,
    )  # fmt: skip
    assert [uid.removeprefix("1.2.840.10008.1.2") for uid in undo.SYNTAXES[:14]] == [
        "", ".1", ".2", ".1.99", ".5", ".4.57", ".4.70", ".4.80", ".4.81", ".4.90", ".4.91",
        ".4.201", ".4.202", ".4.203",
    ]  # fmt: skip


def test_long_undo_data_are_packed():
    data = Undo("1.2.840.10008.1.2", b"", {0x00880200: b"icon" * 1000})
    assert len(pack(data)) < 100
    assert unpack(pack(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\2\1\0",
        b"\0",
        b"\0\x63\0",
        b"\0\xff\x20" + b"1.2",
        b"\0\1\5ab",
        b"\0\1\0\x09\0",
        b"\0\1\0\0\3",
        b"\0\1\0\0\1\5ab",
        b"\0\1\0\xff\1\2",
        b"\0\1\0\0\1" + b"\xff" * 5,
        b"\1rubbish",
        b"\1" + zlib.compress(b"\1\0")[:-1],
        b"\1" + zlib.compress(b"\1\0") + b"x",
        b"\1" + zlib.compress(bytes(undo.MAX_UNDO + 1)),
    ],
)
def test_damaged_undo_data_are_refused(data):
    with pytest.raises(UnreadableError) as caught:
        unpack(data)
    assert caught.value.code == "undo"


@given(st.binary(max_size=100))
def test_random_bytes_are_unpacked_or_refused(data):
    try:
        unpack(data)
    except UnreadableError as error:
        assert error.code == "undo"  # noqa: PT017 - either outcome is right
