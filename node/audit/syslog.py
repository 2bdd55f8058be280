"""Sending messages by syslog: RFC 5424, over TLS (RFC 5425) or UDP (RFC 5426); PS3.15 A.6.

TLS: each batch has its own connection, and counts as sent only when the
receiver has closed it in turn after reading all of it. UDP: nothing tells
whether a message arrived.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

from node.audit import line as lines
from node.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIORITY = 85  # PS3.15 A.6: facility 10 (security), severity 5 (notice)
APPLICATION = "sealnode"
MESSAGE_ID = "DICOM+RFC3881"  # PS3.15 A.6
SECONDS = 20.0  # for each step of a connection
LARGEST_DATAGRAM = 65507


def frame(at: float, host: str, xml: bytes) -> bytes:
    """Return a message of RFC 5424, with the time of its event."""
    name = "".join(c for c in host if "!" <= c <= "~")[:255] or "-"
    head = f"<{PRIORITY}>1 {lines.timestamp(at)} {name} {APPLICATION} - {MESSAGE_ID} - "
    return head.encode("ascii") + xml


class Transport:
    """Reaches one repository.

    :param context: for TLS; None sends datagrams.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._context = context

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages in order.

        :raises UnreachableError: not all of them arrived; some may have.
        """
        try:
            if self._context is None:
                self._datagrams(messages)
            else:
                self._stream(messages, self._context)
        except ssl.SSLError as error:
            reason = (error.reason or "failed").lower().replace("_", " ")
            raise UnreachableError(f"TLS: {reason}") from error
        except OSError as error:
            raise UnreachableError(error.strerror or type(error).__name__) from error

    def _datagrams(self, messages: Sequence[bytes]) -> None:
        family, kind, number, _, address = socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, number) as sock:
            sock.connect(address)
            for message in messages:
                sock.send(message[:LARGEST_DATAGRAM])

    def _stream(self, messages: Sequence[bytes], context: ssl.SSLContext) -> None:
        data = b"".join(b"%d %b" % (len(message), message) for message in messages)
        with (
            socket.create_connection((self._host, self._port), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=self._host) as sock,
        ):
            sock.sendall(data)
            with suppress(ssl.SSLEOFError):  # it closed without saying so in TLS
                sock.unwrap()
