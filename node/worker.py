"""The one loop that stages run in, and the guard around the work on one row.

Only here is an unforeseen error caught: :class:`Worker` keeps its stage alive,
:func:`guard` sees that the row which caused it is tried again, then parked.

SECURITY: of an unforeseen error only its class and the line that raised it are
logged; its text may quote what a peer sent.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import structlog

from node.errors import ConfigError, SealnodeError, StaleClaimError
from node.spool.base import DeliveryClaim, EntryClaim
from node.types import DeliveryState, EntryState

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from node.spool.base import Ledger
    from node.types import Event

CRASHES = 3  # so many in a row and a person must look
POLL_SECONDS = 0.5  # how long a stop, or a lost ring, may go unnoticed
MAX_PAUSE_SECONDS = 30.0  # the longest pause of a stage that fails again and again

log = structlog.get_logger()
C = TypeVar("C", EntryClaim, DeliveryClaim)


class Doorbell:
    """Wakes workers in other processes. A lost ring costs them only their idle time.

    :param path: a FIFO, made if it is not there; another file is a ConfigError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting = -1

    def ring(self) -> None:
        """Wake whoever waits; nobody need."""
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                os.write(descriptor, b"\0")
            finally:
                os.close(descriptor)

    def wait(self, seconds: float) -> bool:
        """Wait for a ring, at most so many seconds; return whether there was one."""
        if self._waiting < 0:
            with suppress(FileExistsError):
                os.mkfifo(self._path, 0o600)
            # Open for writing, too: else the last ringer to leave would wake us for ever.
            self._waiting = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
            if not stat.S_ISFIFO(os.fstat(self._waiting).st_mode):
                raise ConfigError([f"{self._path}: is not a FIFO"], hint="remove it")
        rung = bool(select.select([self._waiting], [], [], seconds)[0])
        if rung:
            with suppress(BlockingIOError):  # another waiter took it; both were woken
                os.read(self._waiting, 4096)
        return rung

    def close(self) -> None:
        """Stop waiting."""
        if self._waiting >= 0:
            os.close(self._waiting)
            self._waiting = -1


class Worker:
    """Calls a step again and again until it is told to stop.

    :param step: does some work and returns how much; 0 means nothing is due.
    :param idle: seconds to wait when nothing is due.
    :param stop: set from anywhere; the step at work is finished first.
    :param bell: ends the wait early.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], int],
        *,
        idle: float,
        stop: threading.Event,
        bell: Doorbell | None = None,
    ) -> None:
        self.name = name
        self._step = step
        self._idle = idle
        self._stop = stop
        self._bell = bell

    def run(self) -> None:
        """Work until ``stop`` is set."""
        log.info("worker_started", worker=self.name)
        failures = 0
        while not self._stop.is_set():
            try:
                done = self._step()
            except SealnodeError as error:
                failures += 1
                log.warning("step_failed", worker=self.name, code=error.code)
            except Exception as error:  # noqa: BLE001 a stage must outlive its bugs
                failures += 1
                log.critical("step_crashed", worker=self.name, code="crash", cause=cause(error))
            else:
                failures = 0
                if done:
                    continue
            self._pause(min(self._idle * 2**failures, max(self._idle, MAX_PAUSE_SECONDS)))
        log.info("worker_stopped", worker=self.name)

    def _pause(self, seconds: float) -> None:
        if self._bell is None:
            self._stop.wait(seconds)
            return
        end = time.monotonic() + seconds
        while not self._stop.is_set() and (left := end - time.monotonic()) > 0:
            if self._bell.wait(min(left, POLL_SECONDS)):
                return


def stop_on_signals(stop: threading.Event) -> None:
    """Let SIGTERM and SIGINT end the process's workers after the item at hand."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def guard(
    ledger: Ledger,
    claim: C,
    work: Callable[[C], None],
    *,
    delay: Callable[[int], float | None],
    describe: Callable[[str, str], Event],
) -> str:
    """Work on one claimed row; whatever becomes of the work, the row says so.

    ``work`` ends the claim itself (``ready``, ``settle``, ``set_aside``). If it
    raises, the row is deferred where trying again can help, else PARKED with the
    error's code. An unforeseen error is tried again, then PARKED as ``crash``;
    a row whose workers died thrice is PARKED as ``poison`` without being touched.

    :param delay: seconds to wait after so many attempts, or None to give up.
    :param describe: makes the audit event of a name and a reason.
    :returns: ``"done"``, ``"deferred"``, ``"parked"`` or ``"lost"`` (the lease).
    :raises TransientError: the ledger cannot say so now; the lease will run out.
    """
    try:
        return _guard(ledger, claim, work, delay, describe)
    except StaleClaimError:
        log.warning("lease_lost", **_names(claim))
        return "lost"


def _guard(
    ledger: Ledger,
    claim: C,
    work: Callable[[C], None],
    delay: Callable[[int], float | None],
    describe: Callable[[str, str], Event],
) -> str:
    if claim.crashes >= CRASHES:
        return _park(ledger, claim, "poison", describe)
    try:
        work(claim)
    except StaleClaimError:
        raise
    except SealnodeError as error:
        if error.transient:
            return _defer(ledger, claim, error.code, delay, describe)
        return _park(ledger, claim, error.code, describe)
    except Exception as error:  # noqa: BLE001 the row must say that it was tried
        log.critical("work_crashed", code="crash", cause=cause(error), **_names(claim))
        if claim.crashes + 1 >= CRASHES:
            return _park(ledger, claim, "crash", describe)
        return _defer(ledger, claim, "crash", delay, describe, crash=True)
    return "done"


def cause(error: BaseException) -> str:
    """Return the class of an error and the line that raised it, without its text."""
    trace = error.__traceback__
    if trace is None:
        return type(error).__name__
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = os.path.basename(trace.tb_frame.f_code.co_filename)  # noqa: PTH119 a name, not a path
    return f"{type(error).__name__} at {file}:{trace.tb_lineno}"


def _defer(
    ledger: Ledger,
    claim: EntryClaim | DeliveryClaim,
    reason: str,
    delay: Callable[[int], float | None],
    describe: Callable[[str, str], Event],
    *,
    crash: bool = False,
) -> str:
    entry = isinstance(claim, EntryClaim)
    attempts = claim.entry.attempts if isinstance(claim, EntryClaim) else claim.delivery.attempts
    seconds = delay(attempts)
    if seconds is None:
        return _park(ledger, claim, "gave_up", describe)
    event = describe("entry_deferred" if entry else "delivery_deferred", reason)
    if isinstance(claim, EntryClaim):
        ledger.retry_entry(claim, seconds, reason, event, crash=crash)
    else:
        ledger.retry_delivery(claim, seconds, reason, event, crash=crash)
    log.info(event.event, reason=reason, attempts=attempts, delay=round(seconds), **_names(claim))
    return "deferred"


def _park(
    ledger: Ledger,
    claim: EntryClaim | DeliveryClaim,
    reason: str,
    describe: Callable[[str, str], Event],
) -> str:
    if isinstance(claim, EntryClaim):
        event = describe("entry_parked", reason)
        ledger.set_aside(claim, EntryState.PARKED, reason, event)
    else:
        event = describe("delivery_parked", reason)
        ledger.settle(claim, DeliveryState.PARKED, reason, event)
    log.error(event.event, reason=reason, **_names(claim))
    return "parked"


def _names(claim: EntryClaim | DeliveryClaim) -> dict[str, int]:
    if isinstance(claim, EntryClaim):
        return {"entry": claim.entry.id}
    return {"entry": claim.delivery.entry, "delivery": claim.delivery.id}
