"""``nodectl serve``: the node, or one stage of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from node.cli.arguments import configured, directory_of
from node.config.check import approve
from node.wiring import SLOT

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from node.cli.arguments import Parser
    from node.cli.output import Out
    from node.config.config import Config

NAME = "serve"
HELP = "run the node, or one stage of it"
EPILOG = """
Without a stage, each runs in a process of its own under this one, which starts
one that dies again. SIGTERM or Ctrl-C ends all of them after the work at hand;
SIGHUP reads the configuration again: a bad one never replaces a good one.
Logs are JSON lines on standard error.

EXAMPLES
  nodectl --config /etc/sealnode serve
  nodectl --config /etc/sealnode serve receive --port 104

EXIT STATUS
  0   it was told to stop
  3   the configuration has mistakes
  75  the port cannot be had
"""
STAGES = ("all", "receive", "process", "forward", "verify", "reap")
TICK_SECONDS = 0.2
FIRST_REST_SECONDS = 0.5  # before a stage that died is started again; doubled each time
LONGEST_REST_SECONDS = 30.0
HEALTHY_SECONDS = 60.0  # a stage that lived so long starts anew without rest
STOP_SECONDS = 90.0

log = structlog.get_logger()


def add_arguments(parser: Parser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument(
        "stage", metavar="STAGE", nargs="?", default="all", choices=STAGES,
        help="all (default), receive, process, forward, verify or reap",
    )  # fmt: skip
    parser.add_argument("--port", metavar="N", type=int, help="listen on this port instead")
    # How a stage under "all" is told that its parent holds the other end of its input.
    parser.add_argument("--supervised", action="store_true", help="end when standard input ends")


def run(args: argparse.Namespace, out: Out) -> int:
    """Serve until told to stop."""
    from node import log as logging
    from node import wiring
    from node.cli import stages

    config = configured(args)
    logging.configure(args.stage, level=config.node.log_level)
    if args.stage != "all":
        stages.run(
            args.stage,
            directory_of(args),
            lambda found: _adjusted(found, args.port),
            supervised=args.supervised,
        )
        return 0
    approve(config)
    wiring.check_keys(config)
    config.node.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    out.note(
        f"nodectl: {config.node.aet} on {config.node.host} port {args.port or config.node.port}; "
        f"state in {config.node.state}; Ctrl-C stops it"
    )
    return Family(directory_of(args), config, args.port).run()


def _adjusted(config: Config, port: int | None) -> Config:
    return replace(config, node=replace(config.node, port=port)) if port else config


@dataclass
class Child:
    """One stage's process, over its lives."""

    stage: str
    slot: int
    process: subprocess.Popen[bytes] | None = None
    born: float = 0.0
    rest: float = 0.0
    due: float = field(default=0.0)


class Family:
    """The processes of all stages, under this one."""

    def __init__(self, directory: Path, config: Config, port: int | None) -> None:
        self._directory = directory
        self._port = port
        counts = {
            "receive": config.node.receivers,
            "process": config.node.processors or os.cpu_count() or 1,
            "forward": 1,
            "verify": 1,
            "reap": 1,
        }
        self._children = [Child(stage, slot) for stage, n in counts.items() for slot in range(n)]
        self._stopping = False
        self._reload = False

    def run(self) -> int:
        """Keep every stage alive until told to stop; return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        try:
            while not self._stopping:
                self._tend()
                time.sleep(TICK_SECONDS)
        finally:
            self._end()
        return 0

    def _on_stop(self, *_: object) -> None:
        self._stopping = True

    def _on_reload(self, *_: object) -> None:
        self._reload = True

    def _tend(self) -> None:
        now = time.monotonic()
        reload, self._reload = self._reload, False
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._bury(child, now)
            if child.process is None and now >= child.due:
                self._start(child, now)
            elif reload and child.process is not None:
                child.process.send_signal(signal.SIGHUP)

    def _start(self, child: Child, now: float) -> None:
        command = [sys.executable, "-m", "node.cli.main", "--config", str(self._directory)]
        command += ["serve", child.stage, "--supervised"]
        if self._port and child.stage == "receive":
            command += ["--port", str(self._port)]
        # Its standard input is ours to hold: when we die, however we die, it ends.
        place = {**os.environ, SLOT: str(child.slot)}
        child.process = subprocess.Popen(  # noqa: S603 - ours
            command, stdin=subprocess.PIPE, env=place
        )
        child.born = now

    def _bury(self, child: Child, now: float) -> None:
        assert child.process is not None
        status = child.process.returncode
        assert child.process.stdin is not None
        child.process.stdin.close()
        lived = now - child.born
        if lived >= HEALTHY_SECONDS:
            child.rest = 0.0
        child.rest = min(max(child.rest * 2, FIRST_REST_SECONDS), LONGEST_REST_SECONDS)
        child.due = now + child.rest
        child.process = None
        log.error("stage_died", name=child.stage, exit_code=status, delay=child.rest)

    def _end(self) -> None:
        """Stop receiving first, so that the others finish what is there."""
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("stage_killed", pid=process.pid)
                process.kill()
                process.wait()
