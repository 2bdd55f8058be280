"""A node in a folder, started as its user would start it, for tests of whole flows."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from node import wiring
from node.cli.main import run
from node.config.load import load
from node.failpoint import VARIABLE
from node.wiring.stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.types import Delivery, SpoolEntry

NODECTL = [sys.executable, "-m", "node.cli.main"]
PATIENCE = 180.0  # seconds; a first run may have to compile the mark


def free_ports(count: int) -> list[int]:
    """Return TCP ports of the loopback interface that nobody listens on.

    They are below those from which the system lets others connect meanwhile.
    """
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            sock = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                sock.bind(("127.0.0.1", 12_000 + secrets.randbelow(20_000)))
                found.append(sock.getsockname()[1])
    return found


def wait_for(
    what: Callable[[], object], *, seconds: float = PATIENCE, every: float = 0.05, why: str = ""
) -> None:
    """Wait until ``what`` returns something true; ask it so often."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {why or what}"
        time.sleep(every)


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    status: int
    stdout: str
    stderr: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What it answered with --json."""
        return [json.loads(line) for line in self.stdout.splitlines()]


def nodectl(*arguments: object, expect: int | None = 0) -> Ended:
    """Run one command line in this process; no process starts, nothing is imported anew."""
    stdout, stderr = io.StringIO(), io.StringIO()
    status = run([str(word) for word in arguments], {}, stdout, stderr)
    ended = Ended(status, stdout.getvalue(), stderr.getvalue())
    assert expect in (None, status), f"{arguments} ended with {ended}"
    return ended


class RunningNode:
    """``nodectl init`` and ``nodectl serve`` in a folder.

    :param pacs: port of the destination ``pacs-main``, AE title ``PACS``.
    :param settings: further lines of ``[node]``.
    :param routes: the file in ``routes.d``, instead of the one that init writes.
    """

    def __init__(
        self, folder: Path, *, pacs: int, routes: str | None = None, settings: str = ""
    ) -> None:
        self.folder = folder
        self.config = folder / "config"
        self.port, self.fetch_port = free_ports(2)
        self.log = folder / "node.log"
        nodectl("init", self.config, "--port", self.port, "--pacs", f"PACS@127.0.0.1:{pacs}")
        file = self.config / "node.toml"
        own = f'fetch_port = {self.fetch_port}\nreserve = "1MiB"\npoll = "50ms"\n'
        if "reserve" in settings:
            own = f'fetch_port = {self.fetch_port}\npoll = "50ms"\n'
        text = file.read_text()
        file.write_text(text.replace("[node]\n", f"[node]\n{own}{settings}", 1))
        if routes is not None:
            for old in (self.config / "routes.d").glob("*.toml"):
                old.unlink()
            self.write_routes(routes)
        self.settings = load(self.config)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of ``nodectl serve``."""
        assert self._process
        return self._process.pid

    def write_routes(self, routes: str) -> None:
        (self.config / "routes.d" / "10-test.toml").write_text(routes)

    def start(self, failpoint: str = "") -> None:
        """Start ``nodectl serve``; whichever stage comes to the failpoint dies there."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*NODECTL, "--config", str(self.config), "serve"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, VARIABLE: failpoint},
            )  # fmt: skip
        wait_for(lambda: listening(self.port), why=f"the node to listen; see {self.log}")
        wait_for(
            lambda: all(self.children(stage) for stage in STAGES),
            why=f"every stage to live; see {self.log}",
        )

    def stop(self) -> int:
        """End the node kindly and return its exit status."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(60)
        finally:
            self.kill_all()
            self._process = None

    def kill_all(self) -> None:
        """Kill every process of the node at once, as a power cut would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def kill_parent(self) -> None:
        """Kill ``nodectl serve`` alone; its stages must notice."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def reload(self) -> None:
        """Have the configuration read again, and wait until every stage has done so."""
        outcomes = ("config_adopted", "config_refused")
        before = len([event for event in self.events() if event["event"] in outcomes])
        stages = len(self.children())
        os.kill(self.pid, signal.SIGHUP)
        wait_for(
            lambda: len([e for e in self.events() if e["event"] in outcomes]) == before + stages,
            why="every stage to read the configuration again",
        )

    def children(self, stage: str = "") -> list[int]:
        """Return the process ids of the node's stages, or of one."""
        assert self._process
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = status.read_text().rpartition(")")[2].split()
                name = (status.parent / "comm").read_text().strip().partition(":")
                of_node = int(fields[2]) == self._process.pid and name[0] == "nodectl"
                if of_node and (name[2] == stage or (not stage and name[2] in STAGES)):
                    found.append(int(status.parent.name))
        return found

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """Return the lines of the operational log, or those of one event."""
        lines = self.log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if name in ("", line["event"])]

    def entries(self) -> list[SpoolEntry]:
        """Return every entry of the spool."""
        rows = wiring.ledger(self.settings)
        try:
            return rows.query(limit=100_000)
        finally:
            rows.close()

    def entry(self, sop_instance_uid: str) -> SpoolEntry:
        """Return the newest entry of one SOP Instance UID."""
        rows = wiring.ledger(self.settings)
        try:
            return rows.find(sop_instance_uid)[0]
        finally:
            rows.close()

    def deliveries(self, entry: int) -> dict[str, Delivery]:
        """Return the deliveries of an entry by destination."""
        rows = wiring.ledger(self.settings)
        try:
            return {delivery.destination: delivery for delivery in rows.get(entry)[1]}
        finally:
            rows.close()

    def received(self, entry: SpoolEntry) -> bytes:
        """Return the Part 10 file that the spool keeps of what was received."""
        return wiring.blobs(self.settings).read(entry.instance.blob)

    def nodectl(self, *arguments: object, expect: int | None = 0) -> Ended:
        """Run a verb, in this process, with the node's configuration."""
        return nodectl("--config", self.config, *arguments, expect=expect)

    def rows(self, *arguments: object, expect: int | None = 0) -> list[dict[str, Any]]:
        """Run a verb with --json and return its lines."""
        return self.nodectl("--json", *arguments, expect=expect).rows
