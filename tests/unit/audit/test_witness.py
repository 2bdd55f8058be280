"""A witness has every checkpoint, and shows a cut that the log itself cannot show."""

from __future__ import annotations

import os

import pytest

from node.audit.check import notes, verify
from node.audit.witness import WitnessFolder, witnessed


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "witness"
    folder.mkdir()
    return folder


def test_the_witness_gets_each_checkpoint_once(written, place):
    witness = WitnessFolder(written(3, 4), place)
    assert witness.copy() == 2
    assert witness.copy() == 0
    log = written(5, 1)
    assert witness.copy() == 2
    assert list(witnessed(place)) == list(notes(log))


@pytest.mark.parametrize("lost", [1, 2, 3, 90, 180, 260, 385])
def test_what_a_crash_left_half_written_is_mended(written, place, lost):
    log = written(3, 4)
    witness = WitnessFolder(log, place)
    witness.copy()
    [path] = place.iterdir()
    os.truncate(path, max(0, path.stat().st_size - lost))
    assert witness.copy() in (1, 2)
    assert list(witnessed(path)) == list(notes(log))


def test_a_log_cut_with_all_its_checkpoints_is_sound_but_for_the_witness(written, place, pair):
    log = written(3, 4)
    WitnessFolder(log, place).copy()
    for path in [sorted(log.glob("*.jsonl"))[1], sorted(log.glob("*.notes"))[1]]:
        path.unlink()
    assert verify(log, pair[1]).problem == ""
    report = verify(log, pair[1], witnessed=witnessed(place))
    assert (report.first_bad, report.witnessed) == (4, 0)
    assert "cut; 7" in report.problem


def test_a_witness_that_agrees_is_counted(written, place, pair):
    log = written(3, 4)
    WitnessFolder(log, place).copy()
    report = verify(log, pair[1], witnessed=witnessed(place))
    assert (report.problem, report.witnessed, report.checkpoints) == ("", 2, 2)


def test_a_witness_that_is_not_mounted_is_told_from_an_empty_one(written, place):
    place.rmdir()
    with pytest.raises(FileNotFoundError):
        WitnessFolder(written(2), place).copy()
    with pytest.raises(FileNotFoundError):
        list(witnessed(place))
