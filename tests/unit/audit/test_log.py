"""The log in JSON lines: its form, its days, and what a crash or a full disk does to it."""

from __future__ import annotations

import errno
import json
import math
import os
import stat

import pytest

from node.audit.check import verify
from node.audit.checkpoint import Signer, generate
from node.audit.log import JsonLog
from node.errors import AuditError, ConfigError, SpoolFullError
from node.types import Event

DAY = 86400.0
START = 1_767_312_000.0  # 2026-01-02T00:00:00Z
PRIVATE, PUBLIC = generate("test")


class Clock:
    now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "audit"


class Opener:
    """Opens the log again and again, as one process after the other would."""

    def __init__(self, directory, clock):
        self._directory = directory
        self._clock = clock
        self._log = None

    def __call__(self, *, signed=True):
        self.close()
        signer = Signer(PRIVATE) if signed else None
        self._log = JsonLog(self._directory, signer=signer, clock=self._clock)
        return self._log

    def close(self):
        if self._log is not None:
            self._log.close()
        self._log = None

    def crash(self):
        """Let go of the log as a killed process would."""
        os.close(self._log._lock)
        self._log = None


@pytest.fixture
def opened(directory, clock):
    opener = Opener(directory, clock)
    yield opener
    opener.close()


def event(number):
    return Event("instance_accepted", "OBJ", "receive", facts={"entry": number})


def fill(log, first, last, *, every=1.0):
    for number in range(first, last + 1):
        log.append(number, START + number * every, event(number))
    log.flush()


def lines(directory):
    return [
        json.loads(line)
        for path in sorted(directory.glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def test_a_line_says_all_in_fixed_order(opened, directory):
    log = opened()
    facts = {"route": "ct", "psnr": 81.5, "entry": 3, "best": math.inf}
    log.append(1, START + 0.5, Event("sealed", "OBJ", "process", "success", facts))
    log.flush()
    [line] = (directory / "2026-01-02.jsonl").read_text().splitlines()
    assert line == (
        '{"seq":1,"ts":"2026-01-02T00:00:00.500000Z","event":"sealed","actor":"process",'
        '"object":"OBJ","outcome":"success","facts":{"best":"inf","entry":3,"psnr":81.5,'
        '"route":"ct"},"prev":"' + "0" * 64 + '"}'
    )


def test_text_of_any_kind_stays_on_its_line(opened, directory):
    log = opened()
    log.append(1, START, Event("e", actor='a\n"b"\u2028\x00é', facts={"x\n": "\r\n"}))
    log.append(2, START, event(2))
    log.flush()
    assert len((directory / "2026-01-02.jsonl").read_bytes().splitlines()) == 2
    assert lines(directory)[0]["actor"] == 'a\n"b"\u2028\x00é'
    assert verify(directory, PUBLIC).events == 2


def test_only_the_owner_may_read(opened, directory):
    fill(opened(), 1, 3)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_each_day_has_its_file_and_closes_with_a_checkpoint(opened, directory):
    fill(opened(), 1, 5, every=DAY / 2)
    names = sorted(path.name for path in directory.glob("2026*"))
    assert names == [
        "2026-01-02.jsonl", "2026-01-02.notes", "2026-01-03.jsonl", "2026-01-03.notes",
        "2026-01-04.jsonl",
    ]  # fmt: skip
    assert verify(directory, PUBLIC).signed == 3


def test_a_clock_set_back_opens_no_old_file(opened, directory):
    log = opened()
    log.append(1, START + DAY, event(1))
    log.append(2, START, event(2))
    log.flush()
    assert [path.name for path in directory.glob("*.jsonl")] == ["2026-01-03.jsonl"]
    fill(opened(), 3, 3)
    assert verify(directory, PUBLIC).events == 3


def test_a_checkpoint_is_signed_every_minute_and_every_thousand_events(opened, directory, clock):
    log = opened()
    fill(log, 1, 1)
    assert verify(directory, PUBLIC).signed == 1
    fill(log, 2, 9)
    assert verify(directory, PUBLIC).signed == 1
    clock.now += 60
    log.flush()
    assert verify(directory, PUBLIC).signed == 9
    fill(log, 10, 2500, every=0.01)
    report = verify(directory, PUBLIC)
    assert (report.problem, report.signed, report.checkpoints) == ("", 2009, 4)
    clock.now += 3600
    log.flush()
    clock.now += 3600
    log.flush()
    assert verify(directory, PUBLIC).checkpoints == 5


def test_two_processes_cannot_write_one_log(opened, directory):
    opened()
    with pytest.raises(ConfigError):
        JsonLog(directory)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("remembered", [True, False])
def test_a_log_goes_on_where_it_ended(opened, directory, signed, remembered):
    for first in (1, 4, 7):
        if not remembered:
            (directory / "resume.json").unlink(missing_ok=True)
        fill(opened(signed=signed), first, first + 2)
    report = verify(directory, *([PUBLIC] if signed else []))
    assert (report.events, report.problem) == (9, "")


ANOTHER = '{"size":1,"edge":["00"],"prev":"","day":"2026-01-02","offset":1}'


@pytest.mark.parametrize("memory", ["", "{}", "[]", '{"size": 3}', ANOTHER])
def test_a_wrong_memory_is_passed_over(opened, directory, memory):
    fill(opened(), 1, 5)
    (directory / "resume.json").write_text(memory)
    fill(opened(), 6, 7)
    assert verify(directory, PUBLIC).events == 7


@pytest.mark.parametrize("cut", [1, 2, 50, 199])
def test_a_torn_last_line_is_written_again(opened, directory, cut):
    log = opened()
    fill(log, 1, 1)
    fill(log, 2, 5)
    path = directory / "2026-01-02.jsonl"
    opened.crash()
    os.truncate(path, path.stat().st_size - cut)
    fill(opened(), 5, 7)
    report = verify(directory, PUBLIC)
    assert (report.events, report.problem) == (7, "")
    assert [line["seq"] for line in lines(directory)] == list(range(1, 8))


@pytest.mark.parametrize("garbage", [b"\0" * 4096, b'{"seq":6', b"\n\n", b"x\n" * 9])
def test_garbage_after_the_last_line_is_taken_away(opened, directory, garbage):
    log = opened()
    fill(log, 1, 1)
    fill(log, 2, 5)
    opened.crash()
    with (directory / "2026-01-02.jsonl").open("ab") as file:
        file.write(garbage)
    fill(opened(), 3, 7)
    report = verify(directory, PUBLIC)
    assert (report.events, report.problem) == (7, "")


def test_a_torn_checkpoint_is_signed_again(opened, directory, clock):
    log = opened()
    fill(log, 1, 3)
    clock.now += 60
    fill(log, 4, 5)
    opened.crash()
    notes = directory / "2026-01-02.notes"
    os.truncate(notes, notes.stat().st_size - 30)
    assert verify(directory, PUBLIC).problem
    clock.now += 60
    fill(opened(), 6, 6)
    report = verify(directory, PUBLIC)
    assert (report.signed, report.problem) == (6, "")


def test_lines_that_were_drained_and_are_gone_stop_the_log(opened, directory):
    log = opened()
    fill(log, 1, 1)
    fill(log, 2, 5)
    opened.crash()
    path = directory / "2026-01-02.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    log = opened()
    with pytest.raises(AuditError, match="ends at event 3"):
        log.append(6, START, event(6))
    assert len(lines(directory)) == 3


def test_an_edited_line_that_was_drained_stops_the_log_and_stays_as_evidence(opened, directory):
    log = opened(signed=False)
    fill(log, 1, 5)
    opened.crash()
    path = directory / "2026-01-02.jsonl"
    edited = path.read_bytes().replace(b'"entry":3', b'"entry":4')
    path.write_bytes(edited)
    log = opened(signed=False)
    with pytest.raises(AuditError):
        log.append(6, START, event(6))
    log.flush()
    assert path.read_bytes() == edited


def test_a_log_cut_before_its_last_checkpoint_is_not_gone_on_with(opened, directory):
    log = opened()
    fill(log, 1, 1500)
    opened.crash()
    path = directory / "2026-01-02.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:900]))
    log = opened()
    with pytest.raises(AuditError, match="1000 events were signed"):
        log.append(901, START + 901, event(901))


def fail(number):
    def failing(*_args):
        raise OSError(number, os.strerror(number))

    return failing


@pytest.mark.parametrize("call", ["write", "open"])
def test_after_a_full_disk_the_log_goes_on(opened, directory, monkeypatch, call):
    log = opened()
    fill(log, 1, 3)
    for number in (4, 5):
        log.append(number, START + number, event(number))
    monkeypatch.setattr(os, call, fail(errno.ENOSPC))
    with pytest.raises(SpoolFullError):
        log.flush()
    monkeypatch.undo()
    fill(log, 4, 6)
    report = verify(directory, PUBLIC)
    assert (report.events, report.problem) == (6, "")


def test_a_half_written_batch_is_written_again(opened, directory, monkeypatch):
    log = opened()
    fill(log, 1, 3)
    real = os.write

    def write(descriptor, data):
        monkeypatch.setattr(os, "write", fail(errno.ENOSPC))
        return real(descriptor, data[:500])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(SpoolFullError):
        fill(log, 4, 9)
    monkeypatch.undo()
    fill(log, 4, 9)
    assert [line["seq"] for line in lines(directory)] == list(range(1, 10))
    assert verify(directory, PUBLIC).problem == ""


def test_after_a_failed_fsync_nothing_is_written_until_it_is_opened_anew(
    opened, directory, monkeypatch
):
    log = opened()
    fill(log, 1, 3)
    monkeypatch.setattr(os, "fdatasync", fail(errno.EIO))
    with pytest.raises(SpoolFullError):
        fill(log, 4, 5)
    monkeypatch.undo()
    with pytest.raises(SpoolFullError) as caught:
        fill(log, 4, 6)
    assert caught.value.code == "spool_sick"
    opened.crash()
    fill(opened(), 4, 6)
    assert verify(directory, PUBLIC).events == 6


def test_an_event_of_years_ago_that_comes_again_is_looked_up(opened):
    fill(opened(), 1, 30, every=DAY)
    log = opened()
    log.append(2, START + 2 * DAY, event(2))
    with pytest.raises(AuditError):
        log.append(2, START + 2 * DAY, event(9))
