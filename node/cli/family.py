"""The processes of a node's stages: forked, watched, started again when they die, ended in order.

They are forked, not started anew, so that what all of them load is in memory
once, the compiled code of the mark with it; docs/decisions/0504-forked-stages.md has the figures.

SECURITY: whatever the parent holds, every stage holds. So it never opens a key.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

TICK_SECONDS = 0.2
FIRST_REST_SECONDS = 0.5  # before a stage that died is started again; doubled each time
LONGEST_REST_SECONDS = 30.0
HEALTHY_SECONDS = 60.0  # a stage that lived so long starts anew without rest
STOP_SECONDS = 90.0
REHEARSAL = "rehearsal"  # the process that loads what takes long, to see that it can be
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

log = structlog.get_logger()


@dataclass
class Child:
    """One stage's process, over its lives.

    :param slot: tells the processes of one stage apart.
    """

    stage: str
    slot: int
    pid: int = 0
    born: float = 0.0
    rest: float = 0.0
    due: float = 0.0

    def ended(self) -> int | None:
        """Return the exit code, minus the signal that killed it; None while it lives."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None


class Family:
    """The processes of all stages, under this one.

    :param counts: how many processes each stage has, in the order of their start.
    :param rehearsed: the stages that need what ``rehearse`` loads.
    :param rehearse: loads what takes long. Done in a process of its own first:
        what it leaves on the disk makes the second time short, and if it fails
        only the stages that need it fail.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        *,
        rehearsed: Collection[str] = (),
        rehearse: Callable[[], None],
    ) -> None:
        self._children = [Child(stage, slot) for stage, n in counts.items() for slot in range(n)]
        self._rehearsed = rehearsed
        self._rehearse = rehearse
        self._rehearsal: Child | None = Child(REHEARSAL, 0) if rehearsed else None
        self._stopping = False
        self._reload = False
        self._lifeline = (-1, -1)

    def run(self) -> Child | None:
        """Keep every stage alive until told to stop.

        :returns: None at the end; and in each child, once, what it is to be.
            Its standard input ends when this process does, however it dies.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, children would end unseen
        self._lifeline = os.pipe()
        gc.collect()
        gc.freeze()  # what is never collected is never written to, so that it stays shared
        born = None
        try:
            while not (self._stopping or born):
                born = self._tend()
                time.sleep(0.0 if born else TICK_SECONDS)
        finally:
            if born is None:
                self._end()
        return born

    def _on_stop(self, *_: object) -> None:
        self._stopping = True

    def _on_reload(self, *_: object) -> None:
        self._reload = True

    def _tend(self) -> Child | None:
        now = time.monotonic()
        reload, self._reload = self._reload, False
        if (trial := self._rehearsal) and self._rehearsing(trial):
            return trial
        for child in self._children:
            if child.pid and (status := child.ended()) is not None:
                self._bury(child, status, now)
            if not child.pid and now >= child.due:
                if self._rehearsal and child.stage in self._rehearsed:
                    continue
                if self._fork(child, now):
                    return child
            elif reload and child.pid:
                os.kill(child.pid, signal.SIGHUP)
        return None

    def _rehearsing(self, trial: Child) -> bool:
        """Take the rehearsal a step on; return whether this process is the one to do it."""
        if not trial.pid:
            return self._fork(trial, time.monotonic())
        status = trial.ended()
        if status is not None:
            self._rehearsal = None
            if status == 0:
                self._rehearse()
                gc.collect()
                gc.freeze()
            else:
                log.error("stage_died", name=trial.stage, exit_code=status)
        return False

    def _fork(self, child: Child, now: float) -> bool:
        """Return whether this process is the child."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        child.pid, child.born = os.fork(), now
        if child.pid == 0:
            self._children, self._rehearsal = [], None  # no siblings of ours to end
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            os.dup2(self._lifeline[0], 0)
            os.close(self._lifeline[1])
            with contextlib.suppress(OSError):  # the name that ps and top show
                Path("/proc/self/comm").write_text(f"nodectl:{child.stage}")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return child.pid == 0

    def _bury(self, child: Child, status: int, now: float) -> None:
        lived = now - child.born
        if lived >= HEALTHY_SECONDS:
            child.rest = 0.0
        child.rest = min(max(child.rest * 2, FIRST_REST_SECONDS), LONGEST_REST_SECONDS)
        child.due = now + child.rest
        child.pid = 0
        log.error("stage_died", name=child.stage, exit_code=status, delay=child.rest)

    def _end(self) -> None:
        """Stop receiving first, so that the others finish what is there."""
        trial = [self._rehearsal] if self._rehearsal else []
        running = [child for child in [*self._children, *trial] if child.pid]
        for child in running:
            os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in running:
            while child.ended() is None:
                if time.monotonic() >= deadline:
                    log.warning("stage_killed", pid=child.pid)
                    os.kill(child.pid, signal.SIGKILL)
                    os.waitpid(child.pid, 0)
                    break
                time.sleep(TICK_SECONDS / 10)
