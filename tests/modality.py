"""A modality that sends any bytes whatever: C-STORE over a bare socket, and what was answered.

Neither our own sender nor a library that would parse the object first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from network import associate_rq, connect, fragment, item, pdu, receive_pdu

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOM = 16384 - 64  # bytes of a fragment; every peer takes as much


class RejectedError(Exception):
    """The node does not want the association: result, source and reason (PS3.8 9.3.4)."""


class LostError(Exception):
    """The node ended the association, or the connection broke, before it answered."""


@dataclass(frozen=True)
class Sent:
    """One object as it is sent: what the command says, and the bytes of the data set."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset: bytes


@dataclass(frozen=True)
class Answered:
    """What a C-STORE response says."""

    status: int
    comment: str = ""

    def __str__(self) -> str:
        return f"{self.status:04X}H {self.comment}".strip()


class Modality:
    """One association; a presentation context for each (SOP class, transfer syntax).

    :raises RejectedError: the node does not want it.
    :raises LostError: the node is not there.
    """

    def __init__(
        self,
        port: int,
        pairs: Iterable[tuple[str, str]],
        *,
        aet: str = "DEMO",
        called: str = "SEALNODE",
    ) -> None:
        self._contexts = {pair: 2 * n + 1 for n, pair in enumerate(dict.fromkeys(pairs))}
        proposed = b"".join(
            item(0x20, bytes([n, 0, 0, 0]) + item(0x30, cls.encode()) + item(0x40, syntax.encode()))
            for (cls, syntax), n in self._contexts.items()
        )
        try:
            self._socket = connect(port)
            self._socket.settimeout(60)
            self._socket.sendall(
                associate_rq(called=called.encode(), calling=aet.encode(), contexts=proposed)
            )
            kind, body = receive_pdu(self._socket)
        except OSError as error:
            raise LostError(str(error)) from None
        if kind == 0x03:
            raise RejectedError(tuple(body[1:4]))
        if kind != 0x02:
            raise LostError(f"PDU type {kind}")
        self._accepted = _accepted(body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def accepts(self, sop_class_uid: str, transfer_syntax_uid: str) -> bool:
        """Whether the node takes such objects at all."""
        return self._contexts[sop_class_uid, transfer_syntax_uid] in self._accepted

    def store(self, sent: Sent) -> Answered:
        """Send one object and wait for the answer.

        :raises LostError: there was none.
        """
        number = self._contexts[sent.sop_class_uid, sent.transfer_syntax_uid]
        command = _element(0x0002, _uid(sent.sop_class_uid))
        command += _element(0x0100, b"\x01\x00") + _element(0x0110, b"\x01\x00")
        command += _element(0x0700, b"\x00\x00") + _element(0x0800, b"\x01\x00")
        command += _element(0x1000, _uid(sent.sop_instance_uid))
        command = _element(0x0000, struct.pack("<I", len(command))) + command
        data = sent.dataset
        try:
            self._socket.sendall(pdu(0x04, fragment(number, command, command=True, last=True)))
            for at in range(0, max(len(data), 1), ROOM):
                last = at + ROOM >= len(data)
                part = fragment(number, data[at : at + ROOM], command=False, last=last)
                self._socket.sendall(pdu(0x04, part))
            kind, body = receive_pdu(self._socket)
        except OSError as error:
            raise LostError(str(error)) from None
        if kind != 0x04:
            raise LostError(f"PDU type {kind}")
        values = _values(body[6:])
        status = struct.unpack("<H", values[0x0900])[0]
        return Answered(status, values.get(0x0902, b"").decode("ascii").strip())

    def close(self) -> None:
        """Release the association, or what is left of it."""
        with self._socket as sock:
            try:
                sock.sendall(pdu(0x05, bytes(4)))
                receive_pdu(sock)
            except OSError:
                pass


def _uid(text: str) -> bytes:
    value = text.encode()
    return value + b"\0" * (len(value) % 2)


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def _values(command: bytes) -> dict[int, bytes]:
    values, at = {}, 0
    while at < len(command):
        _, number, length = struct.unpack_from("<HHI", command, at)
        values[number] = command[at + 8 : at + 8 + length]
        at += 8 + length
    return values


def _accepted(body: bytes) -> set[int]:
    """Return the numbers of the contexts that an A-ASSOCIATE-AC accepts (PS3.8 9.3.3)."""
    found, at = set(), 68
    while at + 4 <= len(body):
        kind, _, length = struct.unpack_from(">BBH", body, at)
        if kind == 0x21 and body[at + 6] == 0:
            found.add(body[at + 4])
        at += 4 + length
    return found
