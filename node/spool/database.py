"""Opening the ledger's SQLite file, and running named statements on it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import apsw

from node.errors import ConfigError, StaleClaimError, TransientError
from node.spool.named import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = 4
BUSY_TRIES = 3000  # for another process's lock: about 5 s
NETWORK_FILE_SYSTEMS = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs",
}  # fmt: skip

Row = dict[str, Any]


class Statements:
    """The statements of ``queries.sql``, run on any connection by their names."""

    def __init__(self) -> None:
        self._text = load("queries.sql")

    def rows(self, db: apsw.Connection, name: str, values: Mapping[str, Any]) -> list[Row]:
        """Run a statement and return its rows as dictionaries."""
        cursor = db.execute(self._text[name], values)
        found: list[Row] = []
        names: list[str] = []
        for row in cursor:
            names = names or [column[0] for column in cursor.get_description()]
            found.append(dict(zip(names, row, strict=True)))
        return found

    def count(self, db: apsw.Connection, name: str, values: Mapping[str, Any]) -> int:
        """Run a change and return how many rows it touched."""
        db.execute(self._text[name], values)
        return db.changes()

    def fenced(self, db: apsw.Connection, name: str, values: Mapping[str, Any]) -> None:
        """Run a change that only the holder of the lease may make.

        :raises StaleClaimError: the lease was lost.
        """
        if self.count(db, name, values) == 0:
            raise StaleClaimError("the lease ran out before the work was done")


def open_writer(path: Path) -> apsw.Connection:
    """Open the file for changes; make it where it is not, and its tables, or bring them up to date.

    :raises ConfigError: its schema is newer, or the disk is a network's.
    :raises TransientError: another process holds it.
    """
    file_system = _file_system_of(path.parent)
    if file_system in NETWORK_FILE_SYSTEMS:
        raise ConfigError(
            [f"{path}: lies on {file_system}, where SQLite's locks cannot be trusted"],
            hint="put the state on a local disk",
        )
    try:
        _create(path)
        connection = _connect(path)
        _migrate(connection, path)
    except apsw.BusyError as error:
        raise TransientError("another process holds the ledger", code="ledger_busy") from error
    except (apsw.Error, OSError) as error:
        raise ConfigError([f"{path}: cannot be opened as a ledger: {error}"]) from error
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_size_limit = 67108864")  # bytes the WAL keeps when idle
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Open the file for reading only."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_handler(_wait)
    return connection


def _wait(tries: int) -> bool:
    """Wait a moment for another process's lock, which has no queue.

    SQLite's own handler sleeps up to 100 ms at a time: of six processes the
    unluckiest then waited 1.3 s, with these short sleeps 0.1 s.
    """
    time.sleep(0.0005 + 0.0025 * os.urandom(1)[0] / 255)
    return tries < BUSY_TRIES


def _create(path: Path) -> None:
    """Make an empty file that only its owner reads; -wal and -shm take its mode."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        os.close(os.open(path, flags, 0o600))
    except FileExistsError:
        return
    _sync(path.parent)
    with suppress(PermissionError):  # then it was there before us
        _sync(path.parent.parent)  # the folder may be as new as the file


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _migrate(connection: apsw.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # The switch went through a rollback journal. Were its name to come back after a power cut,
    # SQLite would roll the switch back, and every commit in the WAL with it.
    _sync(path.parent)
    found = connection.pragma("user_version")
    if found == 0:
        connection.execute("BEGIN IMMEDIATE")
        if connection.pragma("user_version") == 0:  # nobody was faster
            connection.execute(load("schema.sql")["schema"])
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")
        found = connection.pragma("user_version")
    while 0 < found < SCHEMA:
        connection.execute("BEGIN IMMEDIATE")
        if connection.pragma("user_version") == found:
            connection.execute(load("migrations.sql")[f"to_{found + 1}"])
            connection.execute(f"PRAGMA user_version = {found + 1}")
        connection.execute("COMMIT")
        found = connection.pragma("user_version")
    if found > SCHEMA:
        connection.close()
        raise ConfigError(
            [f"{path}: schema {found} is newer than this version of the node knows ({SCHEMA})"],
            hint="install the version that wrote it, or a newer one",
        )


def _file_system_of(folder: Path) -> str:
    """Return the type of the file system, or "" where the system does not tell."""
    target = os.path.realpath(folder)
    best, kind = "", ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:  # noqa: PTH123 a kernel file
            for line in mounts:
                mounted, _, source = line.partition(" - ")
                point = mounted.split(" ")[4].replace("\\040", " ")
                inside = target == point or target.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, source.split(" ")[0]
    except FileNotFoundError:
        return ""
    return kind
