"""The listening side: accepts connections, negotiates, serves until the peer leaves.

Each connection has one thread, from its TLS handshake to its last byte, so
that the accepting thread never waits for a peer.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from socketserver import BaseServer
from typing import TYPE_CHECKING, Any, cast

import structlog
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from node.dicom import contexts
from node.dicom.acceptance import Acceptance, Settings
from node.dicom.connections import Connections
from node.dicom.reader import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from node.dicom.tally import Tally
from node.dicom.upper import silence
from node.dicom.wire import handshake

if TYPE_CHECKING:
    import ssl

    from node.dicom.scp import Receiver

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PAUSE = 0.1  # seconds until the system is asked again
POLL = 0.25  # seconds in which the accepting thread notices that it shall stop

_log = structlog.get_logger()


class Listener(ThreadedAssociationServer):
    """The socket server beneath :class:`Server`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *args: Any, settings: Settings, receiver: Receiver, **kwargs: Any) -> None:
        self.settings = settings
        self.receiver = receiver
        self.connections = Connections(settings.limits)
        self.tally = Tally()
        self._pause = threading.Event()
        self.stop = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        """Bind, beside other processes if wanted."""
        if self.settings.reuse_port:
            cast("socket.socket", self.socket).setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept, and nothing more: TLS is the connection's own business.

        :raises OSError: the system has no descriptor left, among other reasons.
        """
        try:
            return cast("socket.socket", self.socket).accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                self.tally.note("descriptors_exhausted", address="")
                self._pause.wait(PAUSE)  # the connection stays in the backlog
            raise

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Note the connection."""
        if self.connections.opened(request, client_address[0]):
            self.tally.note("connection_displaced", address=client_address[0])
        return True

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that got no thread."""
        self.connections.closed(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Write what was counted."""
        self.tally.flush()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log that serving a connection failed by a bug, without any value."""
        kind, _, trace = sys.exc_info()
        last = traceback.extract_tb(trace)[-1]
        _log.error(
            "connection_failed",
            address=client_address[0],
            kind=getattr(kind, "__name__", ""),
            path=f"{Path(last.filename).name}:{last.lineno}",
        )

    def shutdown(self) -> None:
        """Stop accepting."""
        BaseServer.shutdown(self)
        self.server_close()


class Handler(RequestHandler):
    """Serves one connection."""

    server: Listener

    def handle(self) -> None:
        """Run the association from its first byte to its last."""
        listener, sock = self.server, self.request
        try:
            if listener.settings.tls is not None:
                sock = self._secure(sock, listener.settings.tls)
            if sock is not None:
                Acceptance(
                    settings=listener.settings,
                    receiver=listener.receiver,
                    connections=listener.connections,
                    tally=listener.tally,
                    ae=listener.ae,
                    sock=sock,
                    local=self.local,
                    remote=self.remote,
                    stop=listener.stop,
                ).run()
        finally:
            for used in (sock, self.request):
                if used is not None:
                    listener.connections.closed(used)
                    used.close()

    def _secure(self, sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket | None:
        try:
            wrapped = handshake(sock, context, self.server.settings.limits.handshake)
        except OSError as error:
            code = getattr(error, "reason", None) or type(error).__name__
            self.server.tally.note("tls_failed", address=self.client_address[0], code=code)
            return None
        self.server.connections.replaced(sock, wrapped)
        return wrapped


class Server:
    """A Storage SCP. The port is bound when it is made and served from :meth:`start` on.

    :raises OSError: the port cannot be bound.
    """

    def __init__(self, receiver: Receiver, settings: Settings) -> None:
        silence()
        ae = AE(settings.aet)
        ae.implementation_class_uid = UID(IMPLEMENTATION_UID)
        ae.implementation_version_name = IMPLEMENTATION_NAME
        listener = ae.make_server(
            (settings.host, settings.port),
            contexts=contexts.verification(),
            server_class=Listener,
            request_handler=Handler,
            settings=settings,
            receiver=receiver,
        )
        assert isinstance(listener, Listener)
        self._listener = listener
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(POLL,), name="accept", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.server_address[1])

    @property
    def associations(self) -> int:
        """How many associations are established."""
        return self._listener.connections.associations

    def secure(self, context: ssl.SSLContext | None) -> None:
        """Use another TLS context for the connections that come from now on."""
        self._listener.settings = replace(self._listener.settings, tls=context)

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def close(self, grace: float = 60.0) -> bool:
        """Stop accepting, let objects on their way arrive, then end every association.

        Called once.

        :param grace: seconds after which what still runs is cut off.
        :return: whether nothing had to be cut off.
        """
        listener = self._listener
        if self._thread.is_alive():
            listener.shutdown()
        else:
            listener.server_close()
        os.eventfd_write(listener.stop, 1)
        listener.connections.shut_pending()
        clean = listener.connections.wait_empty(grace)
        if not clean:
            listener.connections.shut_all()
            listener.connections.wait_empty(5.0)
        listener.tally.flush(final=True)
        if listener.connections.wait_empty(0.0):
            os.close(listener.stop)
        return clean
