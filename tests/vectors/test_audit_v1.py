"""The log of docs/formats/audit-v1.md, byte for byte, for ever."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from node.audit.check import verify
from node.audit.checkpoint import Signer
from node.audit.log import JsonLog
from node.types import Event

VECTORS = Path(__file__).resolve().parent / "audit-v1"
START = 1_767_398_340.25  # 2026-01-02T23:59:00.250000Z, so that the log has two days
EVENTS = [
    Event("config_adopted", actor="receive", facts={"name": "node.toml", "count": 3}),
    Event("instance_accepted", "IRK2VPXCEJXGGAPH", "CT1", facts={"route": "ct", "entry": 1}),
    Event("entry_sealed", "IRK2VPXCEJXGGAPH", "process", facts={"psnr": 88.93, "max_change": 1}),
    Event("delivery_deferred", "IRK2VPXCEJXGGAPH", "forward", "failure", {"code": "unreachable"}),
    Event("delivery_sent", "IRK2VPXCEJXGGAPH", "forward", facts={"destination": "pacs-main"}),
    Event(
        "odd", 'a "quoted"\\ \n\x00 é 漢 \U0001f600', "x", "refused", {"b": float("inf"), "a": -0.5}
    ),
    Event("entry_forgotten", actor="reap", facts={"entry": 1}),
]


def write(directory):
    """Write the log as the vectors have it."""
    now = [START]
    key = (VECTORS / "audit.key").read_text()
    log = JsonLog(directory, signer=Signer(key), clock=lambda: now[0])
    for number, event in enumerate(EVENTS, 1):
        log.append(number, now[0], event)
        if number % 2:
            log.flush()
        now[0] += 20.0
    log.close()


def files(directory):
    return {
        path.name: path.read_bytes()
        for path in sorted(directory.iterdir())
        if path.suffix in {".jsonl", ".notes"}
    }


def test_the_vectors_are_written_as_they_always_were(tmp_path):
    write(tmp_path / "audit")
    assert files(tmp_path / "audit") == files(VECTORS)
    assert len(files(VECTORS)) == 4


def test_the_vectors_verify():
    report = verify(VECTORS, (VECTORS / "audit.pub").read_text())
    assert (report.events, report.signed, report.problem) == (len(EVENTS), len(EVENTS), "")


@pytest.mark.parametrize("name", sorted(files(VECTORS)))
def test_the_vectors_do_not_verify_with_a_file_missing(tmp_path, name):
    copy = shutil.copytree(VECTORS, tmp_path / "copy")
    (copy / name).unlink()
    report = verify(copy, (VECTORS / "audit.pub").read_text())
    newest_notes = max(name for name in files(VECTORS) if name.endswith(".notes"))
    if name == newest_notes:
        assert report.signed < report.events  # shows only beside a copy kept elsewhere
    elif name.endswith(".notes"):
        assert report.problem == ""  # the later notes say as much and more
    else:
        assert report.problem
