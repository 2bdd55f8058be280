"""What every audit sink promises."""

from __future__ import annotations

import json

import pytest

from node.audit.log import JsonLog
from node.errors import AuditError
from node.types import Event

START = 1_700_000_000.0


def event(number):
    return Event(f"e{number}", "PSEUDONYM", "test", "success", {"number": number})


class Log:
    """A sink, and how to read it back."""

    def __init__(self, directory):
        self._directory = directory
        self.sink = JsonLog(directory, clock=lambda: START)

    def reopen(self):
        self.sink.close()
        self.sink = JsonLog(self._directory, clock=lambda: START)

    def read(self):
        return [
            (line["seq"], line["event"])
            for path in sorted(self._directory.glob("*.jsonl"))
            for line in map(json.loads, path.read_text().splitlines())
        ]


@pytest.fixture(params=["json"])
def log(tmp_path):
    log = Log(tmp_path / "audit")
    yield log
    log.sink.close()


def test_events_are_kept_in_order(log):
    for number in range(1, 6):
        log.sink.append(number, START + number, event(number))
    log.sink.flush()
    assert log.read() == [(n, f"e{n}") for n in range(1, 6)]


def test_an_event_that_comes_again_is_not_doubled(log):
    for numbers in ([1, 2, 3], [2, 3, 4], [1, 2, 3, 4]):
        for number in numbers:
            log.sink.append(number, START, event(number))
        log.sink.flush()
    log.reopen()
    for number in (3, 4, 5):
        log.sink.append(number, START, event(number))
    log.sink.flush()
    assert log.read() == [(n, f"e{n}") for n in range(1, 6)]


def test_an_event_that_comes_again_before_it_is_durable_is_not_doubled(log):
    for number in (1, 2, 1, 2, 3):
        log.sink.append(number, START, event(number))
    log.sink.flush()
    assert log.read() == [(n, f"e{n}") for n in range(1, 4)]


def test_another_event_under_a_number_that_is_taken_is_refused(log):
    log.sink.append(1, START, event(1))
    log.sink.flush()
    for ts, other in ((START, event(2)), (START + 1, event(1))):
        with pytest.raises(AuditError):
            log.sink.append(1, ts, other)
    assert log.read() == [(1, "e1")]


def test_a_gap_is_refused(log):
    with pytest.raises(AuditError):
        log.sink.append(2, START, event(2))
    log.sink.append(1, START, event(1))
    with pytest.raises(AuditError):
        log.sink.append(3, START, event(3))
    log.sink.append(2, START, event(2))
    log.sink.flush()
    assert log.read() == [(1, "e1"), (2, "e2")]


def test_the_last_number_is_known(log):
    assert log.sink.last() == 0
    log.sink.append(1, START, event(1))
    assert log.sink.last() == 1
    log.reopen()
    assert log.sink.last() == 1


def test_flushing_twice_is_no_error(log):
    log.sink.flush()
    log.sink.append(1, START, event(1))
    log.sink.flush()
    log.sink.flush()
    assert log.read() == [(1, "e1")]
