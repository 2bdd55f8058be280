from __future__ import annotations

import pickle
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.crypto.mapping import MAX_DAYS, MIN_DAYS, Mapping

ONE, OTHER = Mapping(bytes(32)), Mapping(b"\1" * 32)

UID = b"2.25.260858283036241779760101451883077665221"
CODE = b"EHDXRHZYLASKEUAB"
DAYS = -172


def test_what_stands_for_something_is_for_ever_the_same():
    """These values are in archives: a version that gives others breaks what was sent."""
    assert ONE.uid(b"1.2.3") == UID
    assert ONE.code("patient", b"4711") == CODE
    assert ONE.days(b"4711") == DAYS


@given(st.binary(max_size=64))
def test_a_uid_is_that_of_a_uuid_and_valid(value):
    uid = ONE.uid(value).decode()
    assert len(uid) <= 44
    root, _, number = uid.rpartition(".")
    assert root == "2.25"
    made = uuid.UUID(int=int(number))
    assert (made.version, made.variant) == (8, uuid.RFC_4122)
    assert str(int(number)) == number


@given(st.binary(max_size=64))
def test_days_move_into_the_past_and_not_too_far(value):
    assert -MAX_DAYS <= ONE.days(value) <= -MIN_DAYS


def test_keys_and_kinds_make_a_difference():
    assert ONE.code("patient", b"1") != OTHER.code("patient", b"1")
    assert ONE.code("patient", b"1") != ONE.code("accession", b"1")


def test_a_mapping_keeps_its_key_to_itself():
    assert repr(ONE) == "<Mapping>"
    with pytest.raises(TypeError):
        pickle.dumps(ONE)
