"""The family of processes: born, mourned, reborn, ended, and never left without a parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest
from running import wait_for

CODE = """
import os, pathlib, signal, sys, time
from node.cli.family import REHEARSAL, Family

folder = pathlib.Path(sys.argv[1])

def note(name, text=""):
    with (folder / name).open("a") as file:
        file.write(f"{os.getpid()} {text}\\n")

def rehearse():
    note("rehearsed")
    SLOW_OR_BROKEN

child = Family({"one": 1, "two": 2}, rehearsed={"two"}, rehearse=rehearse).run()
if child is None:
    note("ended")
elif child.stage == REHEARSAL:
    rehearse()
else:
    note(child.stage, child.slot)
    while os.read(0, 1):
        pass
    note("orphaned")
"""


@pytest.fixture
def start(tmp_path):
    """Start a family whose members write their process ids into files; end it at last."""
    started = []

    def begin(rehearsal: str = "pass", before: str = "") -> subprocess.Popen[bytes]:
        code = before + textwrap.dedent(CODE).replace("SLOW_OR_BROKEN", rehearsal)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            start_new_session=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def lines(tmp_path):
    """Return the process ids, then the words, that were noted under a name."""

    def read(name: str) -> list[list[str]]:
        path = tmp_path / name
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    return read


def pids(found: list[list[str]]) -> list[int]:
    return [int(line[0]) for line in found]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_each_stage_has_as_many_processes_as_are_wanted_each_in_its_slot(start, lines):
    start()
    wait_for(lambda: len(lines("one")) == 1 and len(lines("two")) == 2)
    assert [words[1:] for words in lines("one")] == [["0"]]
    assert sorted(words[1] for words in lines("two")) == ["0", "1"]
    assert Path(f"/proc/{lines('one')[0][0]}/comm").read_text() == "nodectl:one\n"


def test_what_takes_long_is_loaded_elsewhere_first_and_then_once_for_all(start, lines):
    parent = start()
    wait_for(lambda: len(lines("two")) == 2)
    first, second = pids(lines("rehearsed"))
    assert first != parent.pid
    assert second == parent.pid


def test_a_rehearsal_that_fails_keeps_no_stage_from_starting(start, lines):
    parent = start("os.abort()")
    wait_for(lambda: len(lines("two")) == 2)
    assert parent.pid not in pids(lines("rehearsed"))


def test_a_stop_does_not_wait_for_the_rehearsal(start, lines):
    parent = start("time.sleep(600)")
    wait_for(lambda: lines("one") and lines("rehearsed"))
    began = time.monotonic()
    parent.terminate()
    assert parent.wait(30) == 0
    assert time.monotonic() - began < 30
    assert not any(map(alive, pids(lines("one") + lines("rehearsed"))))


def test_a_process_that_is_killed_is_born_again_in_the_same_slot(start, lines):
    start()
    wait_for(lambda: len(lines("two")) == 2)
    os.kill(pids(lines("two"))[0], signal.SIGKILL)
    wait_for(lambda: len(lines("two")) == 3)
    assert lines("two")[2][1] == lines("two")[0][1]


def test_children_are_mourned_also_where_the_parent_was_told_to_ignore_their_end(start, lines):
    start(before="import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)")
    wait_for(lambda: len(lines("two")) == 2)
    os.kill(pids(lines("two"))[0], signal.SIGKILL)
    wait_for(lambda: len(lines("two")) == 3)


def test_a_stop_ends_all(start, lines):
    parent = start()
    wait_for(lambda: len(lines("two")) == 2)
    parent.terminate()
    assert parent.wait(30) == 0
    assert pids(lines("ended")) == [parent.pid]
    assert not any(map(alive, pids(lines("one") + lines("two"))))


def test_children_learn_of_the_death_of_their_parent(start, lines):
    parent = start()
    wait_for(lambda: len(lines("two")) == 2)
    parent.kill()
    wait_for(lambda: len(lines("orphaned")) == 3)
    assert sorted(pids(lines("orphaned"))) == sorted(pids(lines("one") + lines("two")))
