"""Patient fields are read by the audit officer alone, and by nobody once their month is erased."""

from __future__ import annotations

import pytest

from node.crypto.months import MonthOpener, MonthSealer, erase, month_of, months
from node.crypto.recipient import generate
from node.crypto.suites import SUITES
from node.errors import DamagedError, UsageError

JANUARY, FEBRUARY = 1_767_312_000.0, 1_770_000_000.0
FIELDS = {"PatientID": "4711", "PatientName": "山田^太郎"}
OFFICER = generate("officer", 0)


@pytest.mark.parametrize("suite", SUITES)
def test_an_officer_of_any_suite_reads_what_was_sealed(tmp_path, suite):
    officer = generate("officer", 0, suite)
    text = MonthSealer(tmp_path / "months", officer.recipient).seal(JANUARY, FIELDS)
    assert text.startswith("2026-01:")
    assert "4711" not in text
    assert MonthOpener(tmp_path / "months", officer).open(text) == FIELDS


def test_all_processes_of_a_node_share_the_key_of_a_month(tmp_path):
    sealers = [MonthSealer(tmp_path, OFFICER.recipient) for _ in range(3)]
    texts = [sealer.seal(JANUARY, FIELDS) for sealer in sealers] * 2
    opener = MonthOpener(tmp_path, OFFICER)
    assert [opener.open(text) for text in texts] == [FIELDS] * 6
    assert [path.name for path in tmp_path.iterdir()] == ["2026-01.month"]
    assert len(set(texts)) == 3


def test_an_erased_month_is_read_by_nobody_and_gets_no_new_key(tmp_path):
    sealer = MonthSealer(tmp_path, OFFICER.recipient)
    old, new = sealer.seal(JANUARY, FIELDS), sealer.seal(FEBRUARY, FIELDS)
    erase(tmp_path, "2026-01", FEBRUARY)
    opener = MonthOpener(tmp_path, OFFICER)
    assert (opener.open(old), opener.open(new)) == (None, FIELDS)
    assert MonthSealer(tmp_path, OFFICER.recipient).seal(JANUARY, FIELDS) == ""
    assert months(tmp_path) == [("2026-01", True), ("2026-02", False)]


@pytest.mark.parametrize("month", ["2026-02", "2026-03", "2025-12", "2026-13", "../x", ""])
def test_only_a_month_that_has_passed_and_has_a_key_is_erased(tmp_path, month):
    MonthSealer(tmp_path, OFFICER.recipient).seal(JANUARY, FIELDS)
    with pytest.raises(UsageError):
        erase(tmp_path, month, FEBRUARY)
    assert months(tmp_path) == [("2026-01", False)]


def test_another_officer_and_a_changed_field_read_nothing(tmp_path):
    text = MonthSealer(tmp_path, OFFICER.recipient).seal(JANUARY, FIELDS)
    with pytest.raises(DamagedError):
        MonthOpener(tmp_path, generate("other", 0)).open(text)
    opener = MonthOpener(tmp_path, OFFICER)
    for broken in (text[:-8] + "AAAAAAA=", text[:-1], "2026-01:", "x", ""):
        with pytest.raises(DamagedError):
            opener.open(broken)


def test_months_are_those_of_utc():
    assert month_of(1_769_903_999.0) == "2026-01"
    assert month_of(1_769_904_000.0) == "2026-02"
