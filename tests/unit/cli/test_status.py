"""``nodectl status``."""

from __future__ import annotations

import io
import json
import time

import pytest

from node.cli.output import Out
from node.cli.status import report
from node.config.load import load
from node.spool.aftercare import Finding, Found
from node.spool.base import Stats
from node.spool.commitment import Open, Owed

STATS = Stats(
    entries={"received": 3, "done": 120, "held": 1, "parked": 2},
    deliveries={"pacs-main": {"pending": 5, "sent": 118, "parked": 4}},
    oldest={"": 12.0, "pacs-main": 90061.0},
    pending={"": 3, "pacs-main": 5},
)


@pytest.fixture
def streams():
    return io.StringIO(), io.StringIO()


def test_a_person_sees_counts_and_the_oldest_of_each_queue(directory, streams):
    report(load(directory), STATS, Out(*streams))

    said = streams[0].getvalue()
    assert "parked            2\n" in said
    assert "to be sealed  3        2       12 s\n" in said
    assert "to pacs-main  5        4       1 d 1 h\n" in said
    assert "1.0 GiB of it kept in reserve" in said


def test_a_script_reads_one_object_with_everything(directory, streams):
    report(load(directory), STATS, Out(*streams, json=True))

    facts = json.loads(streams[0].getvalue())
    assert facts["entries"] == STATS.entries
    assert facts["queues"][1] == {
        "queue": "to pacs-main",
        "destination": "pacs-main",
        "pending": 5,
        "parked": 4,
        "oldest": 90061.0,
        "enabled": True,
    }
    assert facts["disk_free"] > 0


def test_what_came_back_is_counted_by_destination_modality_and_verdict(directory, streams):
    intact, tampered = Finding("pacs-main", "CT", "INTACT"), Finding("pacs-main", "CT", "TAMPERED")
    found = [Found(19000, intact, 7), Found(19001, intact, 3), Found(19001, tampered, 1)]
    report(load(directory), STATS, Out(*streams), found)

    said = streams[0].getvalue()
    assert "pacs-main    CT        INTACT    10\n" in said
    assert "pacs-main    CT        TAMPERED  1\n" in said

    streams[0].truncate(0)
    report(load(directory), STATS, Out(*streams, json=True), found)
    assert '{"day": "2022-01-08", "destination": "pacs-main"' in streams[0].getvalue()


def test_a_disk_below_its_reserve_is_a_warning(directory, streams):
    node = directory / "node.toml"
    node.write_text(node.read_text().replace("[node]", '[node]\nreserve = "1000TiB"'))

    report(load(directory), STATS, Out(*streams))

    assert "the disk is below the reserve" in streams[1].getvalue()


def test_an_empty_spool_is_shown_as_such(nodectl, directory):
    ended = nodectl("--config", directory, "status", "--json")

    assert ended.status == 0
    assert json.loads(ended.stdout)["queues"][0]["pending"] == 0


def test_what_is_not_committed_and_not_answered_is_counted(directory, streams):
    owed = Owed({"pacs-main": Open(5, time.time() - 90)}, {"ct1": Open(1, time.time() - 3700)})
    report(load(directory), STATS, Out(*streams), (), owed)
    said = streams[0].getvalue()
    assert "not committed by pacs-main  5       1 m" in said
    assert "requests of ct1             1       1 h" in said
    streams[0].truncate(0)

    report(load(directory), STATS, Out(*streams, json=True), (), owed)
    rows = json.loads(streams[0].getvalue().strip("\0"))["commitment"]
    assert [(r["destination"], r["source"], r["number"]) for r in rows] == [
        ("pacs-main", "", 5), ("", "ct1", 1),
    ]  # fmt: skip
