"""The audit log is copied to its witness, and its old days go when the log has told of it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from node.accounts.keeping import Keeping
from node.audit.check import verify
from node.audit.checkpoint import Signer, generate
from node.audit.log import JsonLog
from node.audit.witness import WitnessFolder, witnessed
from node.reap import drain
from node.spool.sqlite import SqliteLedger
from node.types import Event

DAY = 86400.0
START = 1_767_312_000.0  # 2026-01-02


class Site:
    """A ledger, a log and what keeps it, under one clock."""

    def __init__(self, folder):
        self.now = START
        self.private, self.public = generate("test")
        self.directory, self.place = folder / "audit", folder / "witness"
        self.ledger = SqliteLedger(folder / "ledger.db", clock=lambda: self.now)
        self.sink = JsonLog(self.directory, signer=Signer(self.private), clock=lambda: self.now)
        self.keeping = Keeping(
            self.ledger,
            self.sink,
            self.directory,
            keep=2 * DAY,
            witness=WitnessFolder(self.directory, self.place),
            clock=lambda: self.now,
        )

    def pass_day(self, events=3):
        for _ in range(events):
            self.ledger.record(Event("e"))
        drain(self.ledger, self.sink)
        self.now += DAY
        with capture_logs() as said:
            self.keeping.step()
        return [line["event"] for line in said]

    def told(self):
        drain(self.ledger, self.sink)
        data = b"".join(path.read_bytes() for path in sorted(self.directory.glob("*.jsonl")))
        return [line.split(b'"')[9].decode() for line in data.splitlines()]

    def report(self):
        drain(self.ledger, self.sink)
        return verify(self.directory, self.public)


@pytest.fixture
def kept(tmp_path):
    made = Site(tmp_path)
    yield made
    made.sink.close()
    made.ledger.close()


def test_a_witness_that_is_away_is_told_of_once_and_gets_everything_later(kept):
    assert kept.pass_day() == ["witness_not_reached"]
    assert kept.pass_day() == ["witness_not_reached"]
    kept.place.mkdir()
    kept.pass_day()
    told = [name for name in kept.told() if name.startswith("witness")]
    assert told == ["witness_lost", "witness_found"]
    assert len(list(witnessed(kept.place))) >= 3


def test_old_days_go_and_the_log_tells_of_it_and_proves_itself(kept):
    kept.place.mkdir()
    for _ in range(5):
        kept.pass_day()
    assert "audit_expired" in kept.told()
    report = kept.report()
    assert report.problem == ""
    assert report.expired >= 6
    assert verify(kept.directory, kept.public, witnessed=witnessed(kept.place)).witnessed >= 3


def test_a_log_that_was_changed_is_kept_as_it_is(kept):
    kept.place.mkdir()
    for _ in range(2):
        kept.pass_day()
    path = kept.directory / "2026-01-02.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"e"', b'"f"', 1))
    said = [name for _ in range(3) for name in kept.pass_day()]
    assert "audit_not_expired" in said
    assert path.exists()
