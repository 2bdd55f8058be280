"""A modality that sends any bytes whatever: C-STORE over a bare socket, and what was answered.

Neither our own sender nor a library that would parse the object first.
"""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pydicom
from network import associate_rq, connect, fragment, item, pdu, receive_pdu, sample

from node.dicom import reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

UID = "1.2.826.0.1.3680043.10.1234.99.{}"
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

    @property
    def pair(self) -> tuple[str, str]:
        """SOP class and transfer syntax."""
        return self.sop_class_uid, self.transfer_syntax_uid


def images(count: int, *, seed: int = 0, **attributes: Any) -> list[Sent]:
    """Return CT images that differ in their UIDs and in a few pixels.

    :param seed: others for another seed, the same for the same.
    """
    made = []
    ds = pydicom.dcmread(sample())
    pixels = ds.pixel_array.copy()
    rng = np.random.default_rng(seed)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    for number in range(count):
        changed = pixels.copy()
        changed.flat[rng.integers(0, pixels.size, 9)] += 1
        ds.SOPInstanceUID = UID.format(f"{seed}.{number}")
        ds.PixelData = changed.tobytes()
        written = io.BytesIO()
        ds.save_as(written, enforce_file_format=True)
        syntax = str(ds.file_meta.TransferSyntaxUID)
        dataset = reader.read(written.getvalue()).dataset
        made.append(Sent(ds.SOPClassUID, ds.SOPInstanceUID, syntax, dataset))
    return made


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
        request = associate_rq(called=called.encode(), calling=aet.encode(), contexts=proposed)
        with contextlib.ExitStack() as stack:
            try:
                self._socket = stack.enter_context(connect(port))
                self._socket.settimeout(60)
                self._socket.sendall(request)
                kind, body = receive_pdu(self._socket)
            except OSError as error:
                raise LostError(str(error)) from None
            if kind == 0x03:
                raise RejectedError(tuple(body[1:4]))
            if kind != 0x02:
                raise LostError(f"PDU type {kind}")
            stack.pop_all()
        self._accepted = _accepted(body)
        self.waited = 0.0  # seconds from the last byte of the last object to its answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def accepts(self, sop_class_uid: str, transfer_syntax_uid: str) -> bool:
        """Whether the node takes such objects at all."""
        return self._contexts[sop_class_uid, transfer_syntax_uid] in self._accepted

    def store(self, sent: Sent, *, midway: Callable[[], object] = lambda: None) -> Answered:
        """Send one object and wait for the answer.

        :param midway: called when about half of it is sent.
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
                if at <= len(data) // 2 < at + ROOM:
                    midway()
                last = at + ROOM >= len(data)
                part = fragment(number, data[at : at + ROOM], command=False, last=last)
                self._socket.sendall(pdu(0x04, part))
            sent_at = time.monotonic()
            kind, body = receive_pdu(self._socket)
            self.waited = time.monotonic() - sent_at
        except OSError as error:
            raise LostError(str(error)) from None
        if kind != 0x04:
            raise LostError(f"PDU type {kind}")
        values = _values(body[6:])
        status = struct.unpack("<H", values[0x0900])[0]
        return Answered(status, values.get(0x0902, b"").decode("ascii").strip())

    def close(self) -> None:
        """Release the association, or what is left of it."""
        with self._socket as sock, contextlib.suppress(OSError):
            sock.sendall(pdu(0x05, bytes(4)))
            receive_pdu(sock)


def store(port: int, *objects: Sent, **association: str) -> list[Answered]:
    """Send objects on one association; return what was answered to each."""
    with Modality(port, [sent.pair for sent in objects], **association) as modality:
        return [modality.store(sent) for sent in objects]


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


@dataclass
class Sender(threading.Thread):
    """A modality that keeps what was not acknowledged, and sends it again."""

    port: int
    waiting: list[Sent]
    acknowledged: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        pair = self.waiting[0].sop_class_uid, self.waiting[0].transfer_syntax_uid
        while self.waiting and not self.stopped.is_set():
            try:
                with Modality(self.port, [pair]) as modality:
                    while self.waiting:
                        sent = self.waiting[0]
                        if modality.store(sent).status == 0x0000:
                            self.acknowledged.append(sent.sop_instance_uid)
                            self.waiting.pop(0)
            except (LostError, RejectedError):
                time.sleep(0.1)
