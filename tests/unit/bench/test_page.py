"""The page of benchmarks is what the results say, and says so where there are none."""

from __future__ import annotations

import json
from pathlib import Path

from bench.lab import page

RESULTS = Path(__file__).resolve().parents[3] / "bench" / "results"
ABOUT = {"machine": "one core", "software": "Python", "command": "scripts/bench mark",
         "date": "2026-01-02", "load": 0.1, "busy": False}  # fmt: skip


def test_a_part_that_was_not_measured_says_how_to_measure_it(tmp_path):
    text = page.benchmarks(tmp_path)
    for name in ("node", "mark", "shares", "spool", "classical"):
        assert f"`scripts/bench {name}`" in text


def test_goals_that_were_missed_are_told(tmp_path):
    methods = ["tiles-1, one tile", "tiles-1", "Sachnev 2009"]
    psnr = {"tiles-1, one tile": 61.1, "tiles-1": 55.0, "Sachnev 2009": 58.7}
    rows = [{"bits": 10_000, "psnr": psnr, "goal": 62.2}]
    found = ABOUT | {"methods": methods, "images": [{"image": "Lena", "rows": rows}]}
    (tmp_path / "mark.json").write_text(json.dumps({"published": found}))
    text = page.benchmarks(tmp_path)
    assert "| Lena | 10,000 | **61.1** | 55.0 | 58.7 | 62.2 |" in text
    assert "Goals reached: 0 of 1; furthest from one: -1.1 dB." in text


def test_timings_of_a_busy_machine_are_called_so():
    image = {"name": "CT", "megabytes": 0.5, "payload": 1024, "embed": None, "extract": 0.001}
    text = page.speed(ABOUT | {"busy": True, "images": [image]})
    assert page.BUSY in text.replace("\n", " ")
    assert "does not fit | 1.0 |" in text


def test_edits_that_nobody_told_are_counted():
    kinds = {"least bit": {"edits": 10, "told": 9, "placeable": 9, "placed": 9, "restored": 9}}
    found = {"kinds": kinds, "untouched": 1, "untouched_alarms": 0, "unmarked": 5,
             "unmarked_alarms": 0, "unmarked_skipped": 0}  # fmt: skip
    assert "10 edits, **1 untold**" in page.tamper(ABOUT | found)


def test_the_checked_in_page_is_of_the_checked_in_results():
    shown = (RESULTS.parents[1] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert shown == page.benchmarks(RESULTS)
