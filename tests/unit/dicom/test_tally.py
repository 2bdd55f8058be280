"""Counting what a stranger can cause without end."""

from __future__ import annotations

from structlog.testing import capture_logs

from node.dicom.tally import Tally


def test_a_flood_is_one_line_that_says_how_often():
    tally = Tally()
    for number in range(1000):
        tally.note("association_lost", address=f"10.0.0.{number % 250}", code="closed")
    tally.note("association_lost", address="10.0.0.1", code="slow")
    with capture_logs() as lines:
        tally.flush()
        tally.flush()
    assert [(line["event"], line["code"], line["count"]) for line in lines] == [
        ("association_lost", "closed", 1000),
        ("association_lost", "slow", 1),
    ]


def test_what_is_counted_within_a_period_waits_for_its_end_or_the_last_flush():
    tally = Tally()
    with capture_logs() as lines:
        tally.flush()
        tally.note("tls_failed", address="10.0.0.1")
        tally.flush()
        assert lines == []
        tally.flush(final=True)
    assert lines[0]["count"] == 1
