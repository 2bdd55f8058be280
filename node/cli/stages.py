"""Running one stage in this process: start, take over a new configuration, stop."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

import node
from node import proxy, wiring
from node.cli.actor import latest
from node.config.changes import changes
from node.config.check import approve
from node.config.load import load
from node.errors import ConfigError
from node.operating.memory import keep_freed
from node.types import Event
from node.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from node.config.config import Config

CHECK_SECONDS = 0.5  # how long a signal may go unnoticed
WITNESSES = 2  # loops that answer for workstations
DAY = 86400.0  # seconds
JOIN_SECONDS = 80.0  # less than systemd's TimeoutStopSec

log = structlog.get_logger()


class Stage(Protocol):
    """A stage at work."""

    def start(self) -> None:
        """Begin to work; return at once."""
        ...

    def adopt(self, config: Config) -> None:
        """Work by another configuration from now on; nothing at hand is lost."""
        ...

    def stop(self) -> None:
        """Finish what is at hand and end."""
        ...


class Receiving:
    """Stage 1. A new configuration changes peers, routes, certificates; else restart it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stack = ExitStack()
        self._receiver = wiring.receiver(lambda: self._config)
        codec = self._stack.enter_context(wiring.codec())
        services = proxy.services(lambda: self._config, self._receiver.ledger, codec)
        self._server = wiring.server(config, self._receiver, services)

    def start(self) -> None:
        """Accept associations."""
        self._server.start()
        log.info("receiving_started", aet=self._config.node.aet, port=self._server.port)

    def adopt(self, config: Config) -> None:
        """Admit and route by the new configuration."""
        before, self._config = self._config, config
        facts = changes(before, config) | latest(config.directory)
        self._server.secure(wiring.server_tls(config))
        facts = changes(before, config)
        self._receiver.ledger.record(Event("config_adopted", actor="receive", facts=facts))

    def stop(self) -> None:
        """Let objects on their way arrive, then end every association."""
        self._server.close()
        self._receiver.ledger.close()
        self._stack.close()


class Working:
    """A stage of one or more loops, each in a thread.

    :param build: makes the loops; what they hold is released with the stack.
    """

    def __init__(
        self,
        config: Config,
        build: Callable[[Config, threading.Event, ExitStack], list[Worker]],
    ) -> None:
        self._config = config
        self._build = build
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._stack = ExitStack()

    def start(self) -> None:
        """Start a thread for each loop."""
        self._stop = threading.Event()
        workers = self._build(self._config, self._stop, self._stack)
        self._threads = [threading.Thread(target=w.run, name=w.name) for w in workers]
        for thread in self._threads:
            thread.start()

    def adopt(self, config: Config) -> None:
        """Finish what is at hand and go on with the new configuration."""
        self.stop()
        self._config = config
        self.start()

    def stop(self) -> None:
        """Finish what is at hand and end."""
        self._stop.set()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._stack.close()


def make(name: str, config: Config) -> Stage:
    """Return the stage of a name."""
    builders = {"process": processing, "forward": forwarding, "verify": verifying, "reap": reaping}
    return Receiving(config) if name == "receive" else Working(config, builders[name])


def processing(config: Config, stop: threading.Event, stack: ExitStack) -> list[Worker]:
    """Return the loop of stage 2."""
    processor = wiring.processor(config, stack.enter_context(wiring.codec()))
    bell = wiring.doorbell(config, "process")
    stack.callback(bell.close)
    return [Worker("process", processor.step, idle=config.node.poll, stop=stop, bell=bell)]


def forwarding(config: Config, stop: threading.Event, stack: ExitStack) -> list[Worker]:
    """Return the loops of stage 3: one for each association; those of commitment."""
    workers = committing(config, stop)
    for destination in config.destinations.values():
        if not destination.enabled:
            continue
        for number in range(destination.associations):
            codec = stack.enter_context(wiring.codec())
            forwarder = wiring.forwarder(config, destination.name, codec, stop.is_set)
            stack.callback(forwarder.close)
            bell = wiring.doorbell(config, "forward")
            stack.callback(bell.close)
            workers.append(
                Worker(
                    f"forward-{destination.name}-{number}",
                    partial(forwarder.step, destination.name),
                    idle=config.node.poll,
                    stop=stop,
                    bell=bell,
                )
            )
    if config.syslog.host:
        sending = wiring.messenger(config)
        workers.append(Worker("syslog", sending.step, idle=config.node.poll, stop=stop))
    return workers


def committing(config: Config, stop: threading.Event) -> list[Worker]:
    """Return the loops of commitment: for each destination to ask; for sources to answer."""
    workers = []
    idle = config.node.poll * 10
    rows = wiring.ledger(config)
    wanted = [d for d in config.destinations.values() if d.commitment]
    for name in rows.owed().uncommitted.keys() - {destination.name for destination in wanted}:
        facts: dict[str, str | int | float] = {"destination": name}
        facts["count"] = rows.forgo_commitments(name)
        rows.record(Event("commitment_forgone", actor="forward", facts=facts))
    for destination in wanted:
        if destination.enabled:
            step = wiring.commitment(config, destination).step
            workers.append(Worker(f"commitment-{destination.name}", step, idle=idle, stop=stop))
    unreported = rows.owed().unreported
    rows.close()
    if unreported or any(source.host for source in config.sources.values()):
        workers.append(Worker("commitment", wiring.reporter(config).step, idle=idle, stop=stop))
    return workers


def verifying(config: Config, stop: threading.Event, stack: ExitStack) -> list[Worker]:
    """Return the loops of stage 4: for each destination to read back from; the witnesses."""
    workers = []
    if config.workstations:
        desk = proxy.desk(config)
        stack.callback(desk.close)
        for number in range(WITNESSES):
            witness = proxy.witness(config, stack.enter_context(wiring.codec()))
            workers.append(
                Worker(
                    f"witness-{number}",
                    partial(desk.serve, witness.answer, witness.rename),
                    idle=0.0,
                    stop=stop,
                )
            )
    for destination in config.destinations.values():
        if destination.enabled and destination.readback:
            codec = stack.enter_context(wiring.codec())
            reader = proxy.readback(config, destination, codec)
            workers.append(
                Worker(
                    f"verify-{destination.name}", reader.step, idle=config.node.poll * 10, stop=stop
                )
            )
    return workers


def reaping(config: Config, stop: threading.Event, stack: ExitStack) -> list[Worker]:
    """Return the loop of stage 5."""
    sink = wiring.audit_log(config)
    stack.callback(sink.close)
    return [Worker("reap", wiring.reaper(config, sink).step, idle=config.node.poll, stop=stop)]


def run(
    name: str, directory: Path, adjust: Callable[[Config], Config], *, supervised: bool
) -> None:
    """Run one stage until SIGTERM or SIGINT; SIGHUP reads the configuration again.

    :param adjust: what the command line changes in the configuration.
    :param supervised: end when standard input does, too: the parent is gone.
    :raises ConfigError: the configuration has mistakes.
    """
    config = adjust(load(directory))
    approve(config)
    stop, reload = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: reload.set())
    if supervised:
        threading.Thread(target=_outlive_no_parent, args=(stop,), daemon=True).start()
    if name in {"process", "verify"}:
        keep_freed()
    stage = make(name, config)
    stage.start()
    if name == "reap":
        _tell(config, "node_started")
    told = -math.inf
    try:
        while not stop.wait(CHECK_SECONDS):
            if name == "receive" and time.monotonic() - told >= DAY:
                told = time.monotonic()
                _tell_expiries(config)
            if reload.is_set():
                reload.clear()
                _adopt(stage, directory, adjust)
    finally:
        if name == "reap":
            _tell(config, "node_stopped")
        stage.stop()


def _tell(config: Config, event: str) -> None:
    """Tell the audit log that the node runs, or no longer, and by which configuration."""
    facts: dict[str, str | int | float] = {"version": node.__version__}
    ledger = wiring.ledger(config)
    ledger.record(Event(event, actor="reap", facts=facts | latest(config.directory)))
    ledger.close()


def _tell_expiries(config: Config) -> None:
    for name, at in wiring.expiries(config):
        days = math.floor((at - time.time()) / DAY)
        if days < wiring.EXPIRES_SOON:
            log.warning("certificate_expires", name=name, days=days)


def _adopt(stage: Stage, directory: Path, adjust: Callable[[Config], Config]) -> None:
    """A bad configuration never replaces a good one."""
    try:
        config = adjust(load(directory))
        approve(config)
        wiring.check_certificates(config)
        wiring.check_web(config)
        wiring.check_keys(config)
    except ConfigError as error:
        log.error("config_refused", mistakes=list(error.mistakes))  # noqa: TRY400 - no traceback
        return
    stage.adopt(config)
    log.info("config_adopted")


def _outlive_no_parent(stop: threading.Event) -> None:
    # os.read: a thread inside sys.stdin would hold its lock when the process ends
    while os.read(0, 4096):
        pass
    stop.set()
