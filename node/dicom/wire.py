"""One TCP or TLS connection on which nothing waits for ever and nothing is read unasked.

pynetdicom's :class:`AssociationSocket` blocks in ``recv`` without an end and
reads whatever length the peer claims. This one is non-blocking beneath: each
wait is a ``poll`` with a deadline on the monotonic clock.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import time
from collections import deque
from typing import TYPE_CHECKING

from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from node.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pynetdicom.association import Association

    from node.dicom.limits import Limits

HEADER = 6  # bytes: type, reserved, 32-bit length: PS3.8 9.3.1
_ABORT = bytes.fromhex("07 00 00000004 00 00 02")  # A-ABORT by the provider: PS3.8 9.3.8
_WANT_READ = (BlockingIOError, ssl.SSLWantReadError)
# Linux only; without it a peer that leaves Nagle on waits 40 ms for each object
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)


class LostError(UnreachableError):
    """The connection is gone or was given up.

    ``code``: ``closed``, ``idle``, ``slow``, ``stopped``, ``tls``, ``connect``.
    """


class Wire(AssociationSocket):
    """The transport of one association, bounded by :class:`Limits`.

    :param sock: an accepted connection, or None to connect to ``address``.
    :param tls: context and server name for the client side of TLS.
    :param stop: a descriptor that turns readable when the node stops; ends
        only the waits between messages.
    """

    def __init__(
        self,
        assoc: Association,
        limits: Limits,
        *,
        sock: socket.socket | None = None,
        address: AddressInformation | None = None,
        tls: tuple[ssl.SSLContext, str] | None = None,
        stop: int = -1,
    ) -> None:
        super().__init__(assoc, sock, address)
        self.limits = limits
        self.error: LostError | None = None
        self.tls_args = tls
        self._stop = stop
        self._buffer = bytearray(16384)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        if sock is not None:
            self._prepare(sock)

    def _prepare(self, sock: socket.socket) -> None:
        sock.settimeout(0.0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._plain = not isinstance(sock, ssl.SSLSocket)
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(sock, select.POLLOUT)
        self._idle = select.poll()
        self._idle.register(sock, select.POLLIN)
        if self._stop >= 0:
            self._idle.register(self._stop, select.POLLIN)

    def _create_socket(self, address: AddressInformation) -> socket.socket:
        return socket.socket(address.address_family, socket.SOCK_STREAM)

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect, TLS handshake included, and tell the state machine."""
        primitive.result = "Evt17"  # PS3.8 9.2.1: transport connection closed
        try:
            self._connect(primitive.address_info)
            primitive.result = "Evt2"  # transport connection confirmed
        except OSError as error:
            code = "tls" if isinstance(error, ssl.SSLError) else "connect"
            self.error = LostError("the destination cannot be connected to", code=code)
            if self.socket is not None:
                self.socket.close()
            self.socket = None
        self.provider_queue.put(primitive)
        self._ready.set()

    def _connect(self, address: AddressInformation) -> None:
        assert self.socket is not None
        self.socket.settimeout(self.limits.connect)
        self.socket.connect(address.as_tuple)
        if self.tls_args:
            context, name = self.tls_args
            self.socket = handshake(self.socket, context, self.limits.handshake, name)
        self._prepare(self.socket)
        self._is_connected = True

    @property
    def ready(self) -> bool:
        """Whether data waits to be read."""
        return self._start < self._end or self._pending() or bool(self._readable.poll(0))

    def header(self, first: float, *, stoppable: bool = False) -> tuple[int, int]:
        """Wait for a PDU header; return its type and length without taking it.

        :param first: when its first byte must be there, monotonic.
        :param stoppable: end the wait when the node stops.
        :raises LostError: closed, idle, slow or stopped.
        """
        if self._start == self._end:
            if stoppable and not self._pending():
                self._wait(self._idle, first, "idle")
            self._fill(1, first, "idle")
        if self._end - self._start < HEADER:
            self._fill(HEADER, time.monotonic() + self.limits.header, "slow")
        at = self._start
        return self._buffer[at], int.from_bytes(self._buffer[at + 2 : at + HEADER], "big")

    def body(self, length: int, deadline: float = math.inf) -> memoryview:
        """Return a PDU's body; header and body are taken.

        The view is valid until the next read.

        :raises LostError: closed, or slower than the limits allow.
        """
        whole = HEADER + length
        if self._end - self._start < whole:
            allowed = self.limits.grace + length / self.limits.min_rate
            self._fill(whole, min(deadline, time.monotonic() + allowed), "slow")
        begin = self._start + HEADER
        self._start += whole
        return self._view[begin : self._start]

    def recv(self, nr_bytes: int) -> bytearray:
        """Return exactly ``nr_bytes``, as pynetdicom's PDU reader asks for them."""
        try:
            if self._end - self._start < nr_bytes:
                self._fill(nr_bytes, time.monotonic() + self.limits.request, "slow")
        except LostError as error:
            self.error = error
            raise ConnectionError from error
        data = bytearray(self._view[self._start : self._start + nr_bytes])
        self._start += nr_bytes
        return data

    def _pending(self) -> bool:
        """Whether TLS holds decrypted bytes that no poll would tell of."""
        return isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    def _fill(self, count: int, deadline: float, code: str) -> None:
        self._make_room(count)
        while self._end - self._start < count:
            if self.socket is None:
                raise LostError("the connection is closed", code="closed")
            try:
                got = self.socket.recv_into(self._view[self._end :])
            except _WANT_READ:
                self._wait(self._readable, deadline, code)
                continue
            except ssl.SSLWantWriteError:
                self._wait(self._writable, deadline, code)
                continue
            except OSError as error:
                raise LostError("the connection broke", code="closed") from error
            if got == 0:
                raise LostError("the peer closed the connection", code="closed")
            self._end += got
        if self._plain and _QUICKACK is not None and self.socket is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _make_room(self, count: int) -> None:
        """Have space for ``count`` bytes from the first unread one on."""
        if self._start == self._end:
            self._start = self._end = 0
        if len(self._buffer) - self._start >= count:
            return
        rest = bytes(self._view[self._start : self._end])
        if len(self._buffer) < count:
            self._buffer = bytearray(max(count, 2 * (self.limits.max_pdu + HEADER)))
            self._view = memoryview(self._buffer)
        self._view[: len(rest)] = rest
        self._start, self._end = 0, len(rest)

    def _wait(self, poll: select.poll, deadline: float, code: str) -> None:
        left = deadline - time.monotonic()
        events = poll.poll(min(left, 3600.0) * 1000.0) if left > 0 else []
        if not events and time.monotonic() >= deadline:
            raise LostError("the peer took too long", code=code)
        if any(fd == self._stop for fd, _ in events):
            raise LostError("the node stops", code="stopped")

    def send(self, bytestream: bytes) -> None:
        """Send for the state machine, which is told of a failure by an event."""
        try:
            self.send_all(bytestream)
        except LostError as error:
            self.error = error
            self.event_queue.put("Evt17")

    def send_all(self, data: bytes | memoryview) -> None:
        """Send all of ``data``.

        :raises LostError: closed, or the peer takes nothing.
        """
        rest = memoryview(data)
        while rest:
            if self.socket is None:
                raise LostError("the connection is closed", code="closed")
            try:
                sent = self.socket.send(rest)
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(self._writable, time.monotonic() + self.limits.send, "slow")
            except ssl.SSLWantReadError:
                self._wait(self._readable, time.monotonic() + self.limits.send, "slow")
            except OSError as error:
                raise LostError("the connection broke", code="closed") from error
            else:
                rest = rest[sent:]

    def send_parts(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send parts in order, by one call to the kernel where that is possible.

        :raises LostError: closed, or the peer takes nothing.
        """
        if not self._plain:
            self.send_all(b"".join(parts))
            return
        rest = deque(parts)
        while rest:
            if self.socket is None:
                raise LostError("the connection is closed", code="closed")
            try:
                sent = self.socket.sendmsg(rest)
            except BlockingIOError:
                self._wait(self._writable, time.monotonic() + self.limits.send, "slow")
                continue
            except OSError as error:
                raise LostError("the connection broke", code="closed") from error
            while rest and sent >= len(rest[0]):
                sent -= len(rest.popleft())
            if sent:
                rest[0] = memoryview(rest[0])[sent:]

    def abort(self, reason: int) -> None:
        """Send an A-ABORT of the provider (PS3.8 Table 9-26), as far as the peer takes it."""
        if self.socket is not None and self._is_connected:
            self.send(_ABORT + bytes([reason]))

    def close(self) -> None:
        """Close at once; unread data makes the peer see a reset."""
        if self.socket is not None:
            self._shutdown_socket()
            self.socket.close()
        super().close()

    def finish(self) -> None:
        """Close so that the peer still reads what was sent last."""
        if self.socket is not None and self._is_connected:
            deadline = time.monotonic() + self.limits.linger
            with contextlib.suppress(OSError, LostError):  # it is being closed anyway
                self.socket.shutdown(socket.SHUT_WR)
                while time.monotonic() < deadline:  # bounded in bytes by bandwidth x linger
                    self._start = self._end = 0
                    self._fill(1, deadline, "slow")
        self.close()


def handshake(
    sock: socket.socket, context: ssl.SSLContext, seconds: float, server: str = ""
) -> ssl.SSLSocket:
    """Return the TLS side of a connection, within a deadline for the whole handshake.

    :param server: the name that the server must prove; ``""`` on the server side.
    :raises OSError: it failed or took too long.
    """
    deadline = time.monotonic() + seconds
    sock.settimeout(0.0)
    wrapped = context.wrap_socket(
        sock,
        server_side=not server,
        server_hostname=server or None,
        do_handshake_on_connect=False,
    )
    try:
        _shake(wrapped, deadline)
    except OSError:
        wrapped.close()
        raise
    return wrapped


def _shake(sock: ssl.SSLSocket, deadline: float) -> None:
    poll = select.poll()
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            poll.register(sock, select.POLLIN)
        except ssl.SSLWantWriteError:
            poll.register(sock, select.POLLOUT)
        else:
            return
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000.0):
            raise TimeoutError("TLS handshake")
