"""A node in a folder, started as its user would start it, for tests of whole flows."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

NODECTL = [sys.executable, "-m", "node.cli.main"]
PATIENCE = 60.0  # seconds


def free_ports(count: int) -> list[int]:
    """Return TCP ports of the loopback interface that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def wait_for(what: Callable[[], object], *, seconds: float = PATIENCE, why: str = "") -> None:
    """Wait until ``what`` returns something true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {why or what}"
        time.sleep(0.05)


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class RunningNode:
    """``nodectl init`` and ``nodectl serve`` in a folder.

    :param pacs: port of the destination ``pacs-main``, AE title ``PACS``.
    """

    def __init__(self, folder: Path, *, pacs: int, routes: str | None = None) -> None:
        self.folder = folder
        self.config = folder / "config"
        self.port, self.fetch_port = free_ports(2)
        self.log = folder / "node.log"
        self.run("init", str(self.config), "--port", str(self.port),
                 "--pacs", f"PACS@127.0.0.1:{pacs}", configured=False)  # fmt: skip
        settings = self.config / "node.toml"
        text = settings.read_text()
        settings.write_text(
            text.replace(
                "[node]\n", f'[node]\nfetch_port = {self.fetch_port}\nreserve = "1MiB"\n', 1
            )
        )
        if routes is not None:
            for old in (self.config / "routes.d").glob("*.toml"):
                old.unlink()
            (self.config / "routes.d" / "10-test.toml").write_text(routes)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*NODECTL, "--config", str(self.config), "serve"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        wait_for(lambda: listening(self.port), why=f"the node to listen; see {self.log}")

    def stop(self) -> int:
        """End the node kindly and return its exit status."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(30)
        finally:
            self.kill_all()
            self._process = None

    def kill_all(self) -> None:
        """Kill every process of the node at once, as a power cut would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def children(self) -> list[int]:
        """Return the process ids of the node's processes, without the first."""
        assert self._process
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = status.read_text().rpartition(")")[2].split()
                if (
                    int(fields[2]) == self._process.pid
                    and int(status.parent.name) != self._process.pid
                ):
                    found.append(int(status.parent.name))
        return found

    def run(
        self, *arguments: str, configured: bool = True, expect: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        before = ["--config", str(self.config)] if configured else []
        done = subprocess.run(
            [*NODECTL, *before, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if expect is not None:
            assert done.returncode == expect, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    def rows(self, *arguments: str, expect: int | None = 0) -> list[dict]:
        """Run a verb with --json and return its lines."""
        done = self.run("--json", *arguments, expect=expect)
        return [json.loads(line) for line in done.stdout.splitlines()]
