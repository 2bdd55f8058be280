"""What only the ledger in SQLite can get wrong."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import apsw
import pytest

from node.errors import ConfigError, SpoolFullError, TransientError
from node.spool import database
from node.spool.commit import Committer
from node.spool.named import load
from node.spool.sqlite import SqliteLedger
from node.types import Action, Decision, Event, Instance, Route

ROOT = Path(__file__).resolve().parents[3]
RULE = Decision(Route("ct", {}, Action.SEAL, ("pacs",)), Action.SEAL, ())


def instance(uid, blob="a" * 64):
    return Instance("1.1", uid, "1.2", "1.3", "1.4", blob, 9)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path):
    ledger = SqliteLedger(path)
    yield ledger
    ledger.close()


def test_what_was_accepted_survives_reopening(path):
    first = SqliteLedger(path)
    first.accept(instance("1"), RULE, Event("accepted"))
    first.close()
    again = SqliteLedger(path)
    assert [entry.instance for entry in again.query()] == [instance("1")]
    again.close()


def test_the_file_syncs_at_every_commit_and_is_the_owners_alone(path, ledger):
    ledger.accept(instance("1"), RULE, Event("accepted"))
    writer = ledger._writer
    assert writer.pragma("journal_mode") == "wal"
    assert writer.pragma("synchronous") == 2
    assert writer.pragma("foreign_keys") == 1
    for file in path.parent.glob("ledger.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_reader_cannot_write(ledger):
    with pytest.raises(apsw.ReadOnlyError):
        ledger._reader.execute("DELETE FROM entry")


# Speed that does not depend on the length of the queue


IN_ORDER = {
    # Read from the start and stopped by LIMIT: the rows are in the order that is asked for.
    "SCAN entry USING INDEX entry_due",
    "SCAN entry USING COVERING INDEX entry_waiting",
    "SCAN garbage",
    "SCAN outbox",
    # As many rows as there are tables, or states and destinations.
    "SCAN sqlite_sequence",
    "SCAN tally",
    # What is not committed, or not reported, which status counts.
    "SCAN delivery USING INDEX delivery_commit",
    "SCAN promise USING INDEX promise_transaction",
    "SCAN CONSTANT ROW",
}


@pytest.mark.parametrize("name", sorted(load("queries.sql")))
def test_no_statement_scans_a_table(ledger, name):
    text = load("queries.sql")[name]
    values = dict.fromkeys(re.findall(r":(\w+)", text), 1)
    plan = [row[-1] for row in ledger._writer.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    scans = [detail for detail in plan if detail.startswith("SCAN")]
    assert [s for s in scans if s not in IN_ORDER and not s.startswith("SCAN (subquery")] == []
    if name in {"due_entry", "oldest_entry", "garbage", "outbox"}:
        assert "LIMIT" in text


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("due_entry", "entry_due"),
        ("due_delivery", "delivery_due"),
        ("oldest_entry", "entry_waiting"),
        ("oldest_delivery", "delivery_waiting"),
        ("finished", "entry_ended"),
        ("expire_entries", "entry_leased"),
        ("expire_deliveries", "delivery_leased"),
        ("query_state", "entry_state"),
        ("query_destination", "delivery_destination"),
    ],
)
def test_the_queue_is_read_in_the_order_of_an_index(ledger, name, index):
    text = load("queries.sql")[name]
    values = dict.fromkeys(re.findall(r":(\w+)", text), 1)
    plan = [row[-1] for row in ledger._writer.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    assert any(index in detail for detail in plan), plan
    assert not any("TEMP B-TREE" in detail for detail in plan), plan


def test_the_tally_is_what_counting_would_give(ledger):
    for number in range(20):
        ledger.accept(instance(str(number)), RULE, Event("accepted"))
    for claim in ledger.claim_entries("w", limit=12, lease=60):
        ledger.ready(
            claim, "b" * 64, sop_class_uid="", sop_instance_uid="", transfer_syntax_uid="",
            event=Event("sealed"),
        )  # fmt: skip
    ledger.discard(1, "", Event("discarded"))
    ledger.forget(1, Event("forgotten"))
    counted = ledger._reader.execute(
        "SELECT '', state, count(*) FROM entry GROUP BY state "
        "UNION ALL SELECT destination, state, count(*) FROM delivery GROUP BY 1, 2"
    )
    kept = ledger._reader.execute("SELECT * FROM tally WHERE number <> 0")
    assert sorted(counted) == sorted(kept)


# Opening


def test_an_older_ledger_is_brought_up_to_date(path, tmp_path):
    old = apsw.Connection(str(path))
    old.execute((Path(__file__).parent / "schema_1.sql").read_text())
    old.execute("PRAGMA user_version = 1")
    old.close()
    updated, made = SqliteLedger(path), SqliteLedger(tmp_path / "new.db")
    shapes = []
    for ledger in (updated, made):
        ledger.accept(instance("1"), RULE, Event("accepted"))
        assert [entry.instance for entry in ledger.query()] == [instance("1")]
        tables = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY name"
        columns = "SELECT * FROM pragma_table_info(?)"
        found = ledger._writer.execute(tables).fetchall()
        shapes.append(
            [(row, ledger._writer.execute(columns, row[1:2]).fetchall()) for row in found]
        )
        ledger.close()
    assert shapes[0] == shapes[1]


def test_a_newer_schema_is_refused(path):
    SqliteLedger(path).close()
    with_newer = apsw.Connection(str(path))
    with_newer.execute("PRAGMA user_version = 99")
    with_newer.close()
    with pytest.raises(ConfigError, match="1 mistake") as caught:
        SqliteLedger(path)
    assert "schema 99 is newer" in caught.value.mistakes[0]


def test_a_file_that_is_no_database_is_refused(path):
    path.write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(ConfigError):
        SqliteLedger(path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError):
        SqliteLedger(tmp_path / "nowhere" / "ledger.db")


@pytest.mark.parametrize("kind", ["nfs4", "cifs"])
def test_a_network_disk_is_refused(path, monkeypatch, kind):
    monkeypatch.setattr(database, "_file_system_of", lambda _: kind)
    with pytest.raises(ConfigError) as caught:
        SqliteLedger(path)
    assert kind in caught.value.mistakes[0]


def test_the_file_system_of_a_folder_is_found(tmp_path):
    assert database._file_system_of(Path("/proc")) == "proc"
    assert database._file_system_of(tmp_path) not in {"", "proc"}


OPENER = """
import sys
from pathlib import Path
from node.spool.sqlite import SqliteLedger
from node.types import Action, Decision, Event, Instance, Route
rule = Decision(Route("ct", {}, Action.SEAL, ("pacs",)), Action.SEAL, ())
ledger = SqliteLedger(Path(sys.argv[1]))
for number in range(20):
    uid = f"{sys.argv[2]}.{number}"
    ledger.accept(Instance("1", uid, "2", "3", "4", "a" * 64, 9), rule, Event("accepted"))
ledger.close()
"""


def test_several_processes_may_make_and_fill_the_same_file(path):
    writers = [
        subprocess.Popen([sys.executable, "-c", OPENER, str(path), str(n)], cwd=ROOT)
        for n in range(4)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    ledger = SqliteLedger(path)
    assert ledger.stats().entries == {"received": 80}
    assert [seq for seq, _, _ in ledger.outbox(limit=99)] == list(range(1, 81))
    ledger.close()


# Group commit


class Disk:
    """A connection that counts commits and fails as it is told to."""

    def __init__(self, connection):
        self._connection = connection
        self.commits = 0
        self.failure = None

    def execute(self, text, *values):
        if text == "COMMIT":
            self.commits += 1
            if self.failure is not None:
                raise self.failure
        return self._connection.execute(text, *values)

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def __enter__(self):
        return self._connection.__enter__()

    def __exit__(self, *exc):
        return self._connection.__exit__(*exc)


@pytest.fixture
def disk(tmp_path):
    connection = apsw.Connection(str(tmp_path / "any.db"))
    connection.execute("CREATE TABLE t (v)")
    return Disk(connection)


def add(value):
    return lambda db: next(db.execute("INSERT INTO t VALUES (?) RETURNING v", (value,)))[0]


def values(disk):
    return [value for (value,) in disk.execute("SELECT v FROM t ORDER BY v")]


def run_all(committer, changes):
    """Run changes in threads while the first one holds the lead; return what each gave."""
    results = {}
    led = threading.Event()
    go = threading.Event()

    def leader(_db):
        led.set()
        go.wait(30)

    def work(name, change):
        try:
            results[name] = committer.run(change)
        except (KeyError, TransientError, ZeroDivisionError) as error:
            results[name] = type(error)

    threads = [threading.Thread(target=work, args=("leader", leader))]
    threads[0].start()
    led.wait(30)
    threads += [threading.Thread(target=work, args=item) for item in enumerate(changes)]
    for thread in threads[1:]:
        thread.start()
    while len(committer._waiting) < len(changes):
        led.wait(0.001)
    go.set()
    for thread in threads:
        thread.join(30)
    del results["leader"]
    return results


def test_changes_that_wait_together_share_one_commit(disk):
    committer = Committer(disk)
    assert run_all(committer, [add(n) for n in range(30)]) == {n: n for n in range(30)}
    assert values(disk) == list(range(30))
    assert disk.commits == 2


def test_more_than_a_batch_takes_more_commits(disk):
    committer = Committer(disk)
    run_all(committer, [add(n) for n in range(100)])
    assert values(disk) == list(range(100))
    assert disk.commits == 3


def test_a_change_that_refuses_leaves_its_neighbours_alone(disk):
    def refuse(db):
        add(99)(db)
        raise KeyError

    results = run_all(Committer(disk), [add(1), refuse, add(2)])
    assert results == {0: 1, 1: KeyError, 2: 2}
    assert values(disk) == [1, 2]


def test_a_fault_in_a_change_lets_nobody_hang_and_nothing_through(disk):
    committer = Committer(disk)
    results = run_all(committer, [add(1), lambda _db: 1 / 0, add(2)])
    assert sorted(map(str, results.values())).count(str(ZeroDivisionError)) == 1
    assert set(results.values()) <= {ZeroDivisionError, TransientError}
    assert values(disk) == []
    assert committer.run(add(3)) == 3


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (apsw.FullError("full"), SpoolFullError),
        (apsw.IOError("i/o"), SpoolFullError),
        (apsw.ReadOnlyError("read only"), SpoolFullError),
        (apsw.CorruptError("corrupt"), SpoolFullError),
        (apsw.BusyError("busy"), TransientError),
    ],
)
def test_when_the_commit_fails_all_are_told_and_nothing_is_there(disk, failure, raised):
    committer = Committer(disk)
    disk.failure = failure
    results = {}

    def work(number):
        try:
            committer.run(add(number))
        except TransientError as error:
            results[number] = error

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert {type(error) for error in results.values()} == {raised}
    assert {error.status for error in results.values()} == {0xA700}
    assert len(results) == 4
    disk.failure = None
    assert values(disk) == []
    assert committer.run(add(7)) == 7


def test_after_a_failed_fsync_nothing_is_written_any_more(disk):
    committer = Committer(disk)
    disk.failure = apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
    for _ in range(2):
        with pytest.raises(SpoolFullError) as caught:
            committer.run(add(1))
        disk.failure = None
    assert caught.value.code == "spool_sick"
    assert values(disk) == []


def test_a_full_disk_refuses_and_the_ledger_goes_on_when_there_is_room(ledger):
    ledger._writer.pragma("max_page_count", ledger._writer.pragma("page_count"))
    many = (instance(str(number)) for number in range(2000))
    with pytest.raises(SpoolFullError):
        list(map(partial(ledger.accept, decision=RULE, event=Event("accepted")), many))
    accepted = ledger.stats().entries.get("received", 0)
    assert len(ledger.outbox(limit=3000)) == accepted
    ledger._writer.pragma("max_page_count", 1 << 30)
    assert ledger.accept(instance("x"), RULE, Event("accepted")).kind == "new"


def test_another_process_that_holds_the_database_is_waited_for_then_told(path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TRIES", 10)
    ledger = SqliteLedger(path)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TransientError) as caught:
        ledger.record(Event("late"))
    assert caught.value.code == "ledger_busy"
    other.execute("ROLLBACK")
    ledger.record(Event("in_time"))
    other.close()
    ledger.close()


def test_a_folder_that_cannot_be_synced_is_refused(path, monkeypatch):
    def failing(_fd):
        raise OSError(errno.EIO, "i/o error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(ConfigError):
        SqliteLedger(path)
