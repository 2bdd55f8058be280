"""Group commit: changes that wait at the same time share one transaction.

Whoever comes first leads: it runs the changes of all who wait, each in a
savepoint of its own, and commits once. The others find their change done. One
fsync then serves many, and there is no writer thread to start, stop or lose.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

import apsw

from node.errors import SealnodeError, SpoolFullError, TransientError
from node.failpoint import reach

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
BATCH = 64  # changes in one transaction: more gain little and delay the first
FSYNC_FAILED = (
    apsw.SQLITE_IOERR_FSYNC,
    apsw.SQLITE_IOERR_DIR_FSYNC,
)


class Committer:
    """Runs changes on one connection, from any thread, durably and in order.

    After a failed fsync it refuses every change, since asking again would be
    answered yes without writing, until the ledger is opened anew.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._turn = threading.Condition()
        self._waiting: list[_Job] = []
        self._leading = False
        self._sick = False

    def run(self, change: Callable[[apsw.Connection], T]) -> T:
        """Run a change; when this returns it is durable, when it raises it never was.

        :raises SpoolFullError: the disk refuses.
        :raises TransientError: another process holds the database.
        """
        job = _Work(change)
        with self._turn:
            self._waiting.append(job)
        while True:
            with self._turn:
                self._turn.wait_for(lambda: job.ended or not self._leading)
                if job.ended:
                    return job.outcome()
                self._leading = True
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                self._commit(batch)
            finally:
                with self._turn:
                    self._leading = False
                    self._turn.notify_all()

    def _commit(self, batch: list[_Job]) -> None:
        # What stands unless all goes well, or a fault in one of the changes is on its way up.
        failure: SealnodeError | None = TransientError("a change beside this one failed")
        try:
            if self._sick:
                raise SpoolFullError(
                    "the disk of the ledger failed to write",
                    hint="look at the kernel's log, then start the node again",
                    code="spool_sick",
                )
            self._connection.execute("BEGIN IMMEDIATE")
            reach("ledger.begun")
            for job in batch:
                job.run(self._connection)
            reach("ledger.changed")
            self._connection.execute("COMMIT")
            reach("ledger.committed")
            failure = None
        except SealnodeError as error:
            failure = error
        except apsw.Error as error:
            failure = refusal(error)
            self._sick = getattr(error, "extendedresult", 0) in FSYNC_FAILED
        finally:
            for job in batch:
                job.error = failure or job.error
                job.ended = True
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


class _Job:
    """One change that waits, and what became of it."""

    error: SealnodeError | KeyError | None = None
    ended = False

    def run(self, connection: apsw.Connection) -> None:
        raise NotImplementedError


class _Work(_Job, Generic[T]):
    def __init__(self, change: Callable[[apsw.Connection], T]) -> None:
        self._change = change
        self._result: list[T] = []

    def run(self, connection: apsw.Connection) -> None:
        """Run the change; one that refuses leaves the changes beside it alone."""
        try:
            with connection:  # a savepoint
                self._result.append(self._change(connection))
        except (SealnodeError, KeyError) as error:
            self.error = error

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self._result[0]


def refusal(error: apsw.Error) -> SealnodeError:
    """Say what an error of SQLite means to one who waits.

    :raises apsw.Error: the statement itself is at fault.
    """
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return TransientError("another process holds the ledger", code="ledger_busy")
        case apsw.CorruptError() | apsw.NotADBError():
            return SpoolFullError("the ledger is damaged", code="ledger_damaged")
        case apsw.FullError() | apsw.IOError() | apsw.ReadOnlyError() | apsw.CantOpenError():
            return SpoolFullError("the disk of the ledger refuses to write")
        case apsw.NoMemError() | apsw.InterruptError():
            return TransientError("the ledger lacks memory")
    raise error
