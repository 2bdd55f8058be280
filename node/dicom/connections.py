"""Who is connected: many may knock, few get a seat, and nobody takes all the seats."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.dicom.limits import Limits


class Connections:
    """Counts connections that are pending (no valid A-ASSOCIATE-RQ yet) and associations.

    When too many are pending the oldest one of the busiest address is closed:
    a flood of silent connections displaces itself, while an honest peer, which
    sends its request at once, gets through.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pending: dict[socket.socket, str] = {}
        self._seated: dict[socket.socket, str] = {}
        self._changed = threading.Condition()

    def opened(self, sock: socket.socket, address: str) -> bool:
        """Note a new connection; return whether another one was closed for it."""
        with self._changed:
            counts = Counter(self._pending.values())
            victim = None
            if counts[address] >= self._limits.pending_per_address:
                victim = address
            elif len(self._pending) >= self._limits.pending:
                victim = counts.most_common(1)[0][0]
            if victim is not None:
                oldest = next(s for s, a in self._pending.items() if a == victim)
                del self._pending[oldest]
                _shut(oldest)
            self._pending[sock] = address
            return victim is not None

    def replaced(self, old: socket.socket, new: socket.socket) -> None:
        """Note that TLS wrapped a pending connection, which has another descriptor now."""
        with self._changed:
            address = self._pending.pop(old, None)
            if address is None:
                _shut(new)
            else:
                self._pending[new] = address

    def seat(self, sock: socket.socket, address: str) -> bool:
        """Turn a pending connection into an association, if there is a seat left."""
        with self._changed:
            self._pending.pop(sock, None)
            counts = Counter(self._seated.values())
            if (
                len(self._seated) >= self._limits.associations
                or counts[address] >= self._limits.per_address
            ):
                return False
            self._seated[sock] = address
            return True

    def closed(self, sock: socket.socket) -> None:
        """Forget a connection."""
        with self._changed:
            self._pending.pop(sock, None)
            self._seated.pop(sock, None)
            self._changed.notify_all()

    @property
    def associations(self) -> int:
        """How many are associated."""
        with self._changed:
            return len(self._seated)

    def shut_pending(self) -> None:
        """Close what is not associated."""
        with self._changed:
            for sock in self._pending:
                _shut(sock)

    def shut_all(self) -> None:
        """Close everything."""
        self.shut_pending()
        with self._changed:
            for sock in self._seated:
                _shut(sock)

    def wait_empty(self, seconds: float) -> bool:
        """Wait until every connection is gone; return whether that is so."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._pending or self._seated:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return not (self._pending or self._seated)
        return True


def _shut(sock: socket.socket) -> None:
    """Wake the thread that uses a socket: it reads the end of the stream."""
    with contextlib.suppress(OSError):  # the peer was faster
        # of the base class: SSLSocket.shutdown would drop TLS under a running thread
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
