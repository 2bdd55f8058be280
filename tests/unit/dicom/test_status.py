"""What statuses mean, and what is answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom import status
from node.errors import MismatchError, RefusedError, SpoolFullError, UnreadableError
from node.types import Deferred, Delivered, Refused


def test_success_is_delivered_without_a_warning():
    assert status.outcome(0x0000) == Delivered()


@pytest.mark.parametrize("value", [0xB000, 0xB006, 0xB007, 0x0001, 0x0107, 0x0116])
def test_a_warning_is_delivered_and_remembered(value):
    assert status.outcome(value) == Delivered(warning=value)


@pytest.mark.parametrize("value", [0xA700, 0xA701, 0xA7FF, 0x0213, 0xFE00, 0xFF00, 0x0110])
def test_what_a_resend_may_mend_is_deferred(value):
    assert isinstance(status.outcome(value), Deferred)


@pytest.mark.parametrize("value", [0x0122, 0x0124, 0x0117, 0xA900, 0xA9FF, 0xC000, 0xCFFF])
def test_what_no_resend_can_mend_is_refused(value):
    found = status.outcome(value)
    assert isinstance(found, Refused)
    assert found.status == value


@given(st.integers(0, 0xFFFF))
def test_only_success_and_warnings_count_as_delivered(value):
    found = status.outcome(value)
    kept = value in {0x0000, 0x0001, 0x0107, 0x0116} or 0xB000 <= value <= 0xBFFF
    assert isinstance(found, Delivered) == kept


def test_a_transient_rejection_defers_and_a_permanent_one_refuses():
    assert isinstance(status.rejected(2, 3, 2), Deferred)
    assert isinstance(status.rejected(1, 1, 7), Refused)


@pytest.mark.parametrize(
    ("error", "value", "comment"),
    [
        (SpoolFullError("x"), 0xA700, "spool_full"),
        (MismatchError("x"), 0xA900, "mismatch"),
        (UnreadableError("x"), 0xC000, "unreadable"),
        (RefusedError("x"), 0x0124, "refused"),
        (UnreadableError("x", code="c" * 80), 0xC000, "c" * 64),
    ],
)
def test_an_error_is_answered_with_its_status_and_its_code_alone(error, value, comment):
    assert status.answer(error) == status.Answer(value, comment)
