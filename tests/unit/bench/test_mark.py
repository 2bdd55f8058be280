"""One command measures the mark, with a few of everything."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from bench import mark
from bench.lab import survival, tampering
from node.types import Carrier


def carrier():
    down, right = np.mgrid[0:192, 0:192]
    values = 900 + 300 * np.sin(down / 31) * np.cos(right / 19)
    values += np.random.default_rng(3).normal(0, 1.2, values.shape)
    bounds = np.array([[0]], np.int32), np.array([[4095]], np.int32)
    return Carrier(np.rint(values).astype(np.int32), *bounds, 192)


def test_edits_of_every_kind_are_told_and_placed():
    found = tampering.edited(carrier(), 2 * len(tampering.EDITS), seed=1)
    assert found["alarms"] == 0
    for kind, seen in found["kinds"].items():
        assert seen["edits"] == seen["told"] > 0, kind
        assert seen["placed"] == seen["restored"] == seen["placeable"], kind


def test_an_edit_outside_the_altered_tiles_is_not_placed(monkeypatch):
    monkeypatch.setattr(tampering, "_sound", lambda *_: False)
    extract = tampering.TiledEmbedder.extract

    def blind(self, carrier, key):
        found = extract(self, carrier, key)
        return tampering.replace(found, altered=())

    monkeypatch.setattr(tampering.TiledEmbedder, "extract", blind)
    found = tampering.edited(carrier(), len(tampering.EDITS), seed=1)
    assert sum(seen["placed"] for seen in found["kinds"].values()) == 0


def test_packages_get_as_much_benefit_of_doubt_as_our_threshold_gives():
    assert survival.allowed() == 42


@pytest.mark.slow
def test_one_command_measures_all_and_keeps_the_parts_that_it_does_not_measure(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "mark.json").write_text(json.dumps({"robust": {}, "speed": {"kept": 1}}))
    words = ["mark", "--quick", "--jobs", "2", "--out", str(tmp_path), "--parts", "published",
             "medical", "tamper"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(mark.page, "mark", lambda report: f"parts: {', '.join(report)}\n")
    assert mark.main() == 0
    report = json.loads((tmp_path / "mark.json").read_text())
    assert report["speed"] == {"kept": 1}
    assert report["tamper"]["unmarked_alarms"] == 0
    assert report["medical"]["command"].startswith("scripts/bench mark --quick")
    assert "parts: " in (tmp_path / "mark.md").read_text()
    said = capsys.readouterr().out
    assert "drawn: " in said or "no plots: " in said


def test_a_folder_that_is_not_there_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mark", "nowhere"])
    with pytest.raises(SystemExit):
        mark.main()
    assert "no such folder: nowhere" in capsys.readouterr().err
