"""Old days go, what stays proves itself, and nothing goes in silence or under a hold."""

from __future__ import annotations

import pytest

from node.audit import retention, start
from node.audit.check import verify
from node.audit.checkpoint import Verifier
from node.audit.proof import check, prove
from node.errors import AuditError, UsageError
from node.types import Event

START = 1_767_312_000.0
DAY = 86400.0


def expired(log, days=2):
    return retention.expired(log, keep=days * DAY, now=START + 4 * DAY)


@pytest.fixture
def log(written):
    return written(5, 6, 7, 8)


def expire(log, written):
    found = expired(log)
    written(1, names=[Event(start.EXPIRED, facts={"days": 2, "through": found.start.size})])
    retention.remove(log, found)
    return found


def test_days_past_retention_go_and_the_rest_proves_itself(log, written, pair):
    found = expire(log, written)

    assert (found.events, found.start.size) == (11, 11)
    assert [path.stem for path in sorted(log.glob("*.jsonl"))] == [
        "2026-01-04", "2026-01-05", "2026-01-06",
    ]  # fmt: skip
    report = verify(log, pair[1])
    assert (report.problem, report.events, report.expired) == ("", 27, 11)
    assert check(prove(log, 20), [Verifier(pair[1])])["seq"] == 20
    with pytest.raises(UsageError, match="no event 3"):
        prove(log, 3)
    assert expired(log) is None
    written(3, 2)  # the log goes on, even where it has to be read from its start
    assert verify(log, pair[1]).events == 32
    (log / "resume.json").unlink()
    written(3)
    assert verify(log, pair[1]).events == 35


def test_a_log_cut_at_its_beginning_is_broken_even_with_a_start(log, pair):
    retention.remove(log, expired(log))
    report = verify(log, pair[1])
    assert "no event tells of it" in report.problem


def test_a_start_that_was_not_signed_is_broken(log, written, pair):
    expire(log, written)
    path = log / "start.json"
    text = path.read_text()
    edge = start.read(log).edge[0].hex()
    path.write_text(text.replace(edge, "00" * 32))
    assert "not what was signed" in verify(log, pair[1]).problem
    path.write_text("{}")
    assert "unknown form" in verify(log, pair[1]).problem
    path.unlink()
    assert verify(log, pair[1]).first_bad == 1


def test_a_crash_in_between_leaves_a_log_that_is_whole(log, written, pair):
    kept = {path: path.read_bytes() for path in log.glob("2026-01-02.*")}
    expire(log, written)
    for path, data in kept.items():
        path.write_bytes(data)
    assert verify(log, pair[1]).problem == ""
    expired(log)
    assert not any(path.exists() for path in kept)


def test_nothing_goes_while_a_hold_stands(log):
    retention.hold(log, "case-7", {"by": "local:anna"})
    assert expired(log) is None
    with pytest.raises(UsageError, match="already"):
        retention.hold(log, "case-7", {})
    with pytest.raises(UsageError, match="no hold"):
        retention.release(log, "case-8")
    assert retention.holds(log) == {"case-7": {"by": "local:anna"}}
    retention.release(log, "case-7")
    assert expired(log) is not None
    (log / "holds.json").write_text("[")
    with pytest.raises(AuditError):
        expired(log)


def test_the_newest_day_stays_and_what_was_changed_is_not_let_go(log):
    assert retention.expired(log, keep=DAY, now=START + 900 * DAY).start.last == "2026-01-04"
    assert retention.expired(log, keep=900 * DAY, now=START + 4 * DAY) is None
    path = log / "2026-01-03.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"n":7', b'"n":0'))
    with pytest.raises(AuditError):
        expired(log)
