"""A child process for code that may crash, loop or eat memory, and its limits."""

from __future__ import annotations

import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from node.errors import UnsealableError

if TYPE_CHECKING:
    from collections.abc import Callable

CHILD = Path(__file__).with_name("codec_child.py")
MEMORY = 3 << 30  # bytes of address space of the child
SECONDS = 30.0  # that a call may take, and as many more
SECONDS_PER_MB = 2.0  # for each megabyte that goes in or comes out
MAX_HEAD = 4096  # bytes of the JSON of an answer
_LENGTH = struct.Struct("<I")
PIPE = 1 << 20  # bytes that fit into a pipe; what Linux lets anyone ask for


class Sandbox:
    """Runs requests in a child that is started when needed and kept.

    One call at a time; calls of other threads wait. When the child dies, or
    is killed for taking too long, the call fails and the next one gets a new
    child.

    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        memory: int = MEMORY,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
        child: Path = CHILD,
    ) -> None:
        self._memory = memory
        self._seconds = seconds
        self._clock = clock
        self._path = child
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def call(self, request: dict[str, Any], body: bytes, size: int) -> bytes:
        """Return the child's answer to one request.

        :param size: how many bytes the answer may have at most.
        :raises UnsealableError: the child said so, died (code
            ``decode_failed``), or ran out of a limit (code ``decode_limit``).
        """
        with self._lock:
            seconds = self._seconds + SECONDS_PER_MB * (len(body) + size) / 1e6
            deadline = self._clock() + seconds
            child = self._child = self._child or self._start()
            head = json.dumps(request).encode()
            message = b"".join((_LENGTH.pack(len(head)), head, _LENGTH.pack(len(body)), body))
            try:
                self._write(child, message, deadline)
                answer = json.loads(self._read_part(child, MAX_HEAD, deadline))
                result = self._read_part(child, size, deadline)
            except TimeoutError:
                self._stop()
                raise UnsealableError("the decoder took too long", code="decode_limit") from None
            except (OSError, EOFError, ValueError):
                self._stop()
                raise UnsealableError("the decoder died", code="decode_failed") from None
        if "error" in answer:
            raise UnsealableError("the pixels cannot be decoded", code=str(answer["error"]))
        return result

    def close(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._stop()

    def _start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-I", "-B", str(self._path), str(self._memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            close_fds=True,
            env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"},
        )
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
        return child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                pipe.close()

    def _write(self, child: subprocess.Popen[bytes], message: bytes, deadline: float) -> None:
        assert child.stdin is not None
        fd = child.stdin.fileno()
        rest = memoryview(message)
        while rest:
            self._wait(fd, select.POLLOUT, deadline)
            rest = rest[os.write(fd, rest[:PIPE]) :]

    def _read_part(self, child: subprocess.Popen[bytes], limit: int, deadline: float) -> bytes:
        (length,) = _LENGTH.unpack(self._read(child, _LENGTH.size, deadline))
        if length > limit:
            raise ValueError("the answer is too long")
        return self._read(child, length, deadline)

    def _read(self, child: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        assert child.stdout is not None
        fd = child.stdout.fileno()
        buffer = bytearray()
        while len(buffer) < size:
            self._wait(fd, select.POLLIN, deadline)
            chunk = os.read(fd, min(size - len(buffer), PIPE))
            if not chunk:
                raise EOFError
            buffer += chunk
        return bytes(buffer)

    def _wait(self, fd: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(fd, event)
        if not poll.poll(max(0.0, deadline - self._clock()) * 1000):
            raise TimeoutError
