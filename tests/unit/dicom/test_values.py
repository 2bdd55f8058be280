from __future__ import annotations

import pytest

from node.dicom.values import dummy, shifted


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        (b"20200301", b"20200229"),
        (b"20200301\\20200302", b"20200229\\20200301"),
        (b"202003", b"202002"),
        (b"2020.03.01", b"20200229"),
        (b"20200301 ", b"20200229"),
        (b"20200301235959.999999-0500", b"20200229235959.999999-0500"),
        (b"\\20200301", b"\\20200229"),
        (b"20201301", None),
        (b"yesterday", None),
        (b"00010101", None),
    ],
)
def test_a_date_moves_and_stays_as_exact_as_it_was(value, moved):
    assert shifted(value, -1) == moved


@pytest.mark.parametrize("vr", ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM"])
def test_a_dummy_of_a_text_fits_into_its_vr_and_says_nothing(vr):
    assert 0 < len(dummy(vr, b"Doe^Jane")) <= 16
    assert b"Doe" not in dummy(vr, b"Doe^Jane")


def test_a_dummy_of_binary_data_is_zeros_of_the_same_length():
    assert dummy("OB", b"Doe") == b"\0\0\0"
