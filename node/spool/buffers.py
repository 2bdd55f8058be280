"""Blobs in memory: the twin that tests run against."""

from __future__ import annotations

import hashlib
import io
import mmap
import tempfile
import threading
import time
from typing import TYPE_CHECKING, BinaryIO, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class MemoryBlobs:
    """A :class:`~node.spool.base.BlobStore` that forgets all when the process ends.

    :param clock: seconds since the epoch; tells when a blob was written.
    :param room: bytes that all blobs together may take.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, room: int = 1 << 40) -> None:
        self._clock = clock
        self._room = room
        self._blobs: dict[str, tuple[bytes, float]] = {}
        self._pinned: list[str] = []
        self._lock = threading.Lock()

    def put(self) -> MemoryIncoming:
        """Begin a new blob."""
        return MemoryIncoming(self._keep, self._unpin)

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob for reading."""
        return io.BytesIO(self.read(sha256))

    def read(self, sha256: str) -> bytes:
        """Return a blob whole."""
        return self._blobs[sha256][0]

    def delete(self, sha256: str, *, unless: Callable[[], bool] | None = None) -> bool:
        """Remove a blob unless it is spared, or being committed."""
        with self._lock:
            if sha256 in self._pinned or (unless is not None and unless()):
                return False
            self._blobs.pop(sha256, None)
        return True

    def free(self) -> int:
        """Return how many bytes there is room for."""
        return self._room - sum(len(data) for data, _ in self._blobs.values())

    def walk(self) -> Iterator[tuple[str, float]]:
        """Yield (sha256, seconds since the epoch when it was written)."""
        yield from [(sha256, written) for sha256, (_, written) in self._blobs.items()]

    def sweep(self) -> int:
        """Return 0: partial blobs go with their writers."""
        return 0

    def _keep(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        with self._lock:
            self._blobs[sha256] = (data, self._clock())
            self._pinned.append(sha256)
        return sha256

    def _unpin(self, sha256: str) -> None:
        with self._lock:
            self._pinned.remove(sha256)


class MemoryIncoming:
    """A :class:`~node.spool.base.Incoming` of :class:`MemoryBlobs`."""

    def __init__(self, keep: Callable[[bytes], str], unpin: Callable[[str], None]) -> None:
        self._keep = keep
        self._unpin = unpin
        self._committed: list[str] = []
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 closed on leaving

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self._file.write(data)

    def fileno(self) -> int:
        """Return a descriptor to write to directly."""
        return self._file.fileno()

    def mapped(self) -> mmap.mmap:
        """Return what was written so far, mapped for reading."""
        return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def commit(self, *, durable: bool = True) -> str:  # noqa: ARG002 nothing here is
        """Make the blob visible and return its SHA-256 in hex."""
        self._file.seek(0)
        self._committed.append(self._keep(self._file.read()))
        return self._committed[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        for sha256 in self._committed:
            self._unpin(sha256)
