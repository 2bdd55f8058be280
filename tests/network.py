"""What tests of the network share: sample objects, sockets, DCMTK's tools, a receiver in memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from node.dicom.acceptance import Settings
from node.dicom.limits import Limits
from node.dicom.requestor import Requestor
from node.dicom.server import Server
from node.dicom.status import Answer
from node.types import Destination

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from node.dicom.scp import StoreRequest
    from node.types import Login, Peer

CT = "1.2.840.10008.5.1.4.1.1.2"
ECHO = "1.2.840.10008.1.1"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"


def sample(name: str = "CT_small.dcm") -> Path:
    """Return one of pydicom's own test files."""
    return Path(get_testdata_file(name))


def dataset_bytes(path: Path) -> bytes:
    """Return the bytes of a Part 10 file after its meta information."""
    with path.open("rb") as file:
        header = dcmread(file, stop_before_pixels=True)
    length = 12 + header.file_meta[0x00020000].value
    return path.read_bytes()[132 + length :]


def wait_until(what: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Wait until something is true, and fail if it never is."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@dataclass
class Kept:
    """A :class:`node.dicom.scp.Reception` that keeps what it got in memory."""

    receiver: MemoryReceiver
    request: StoreRequest
    data: bytearray = field(default_factory=bytearray)

    def write(self, data: memoryview) -> None:
        self.receiver.on_write(self)
        self.data += data

    def finish(self) -> Answer:
        answer = self.receiver.on_finish(self)
        self.receiver.objects.append((self.request, bytes(self.data)))
        return answer

    def abandon(self) -> None:
        self.receiver.abandoned += 1


class MemoryReceiver:
    """A :class:`node.dicom.scp.Receiver` that takes everything from everybody."""

    def __init__(self) -> None:
        self.objects: list[tuple[StoreRequest, bytes]] = []
        self.abandoned = 0
        self.peers: list[Peer] = []
        self.names: list[tuple[str, ...]] = []
        self.on_admit: Callable[[Peer], None] = lambda _: None
        self.on_begin: Callable[[StoreRequest], None] = lambda _: None
        self.on_write: Callable[[Kept], None] = lambda _: None
        self.logins: list[Login | None] = []
        self.on_finish: Callable[[Kept], Answer] = lambda _: Answer(0x0000)

    def admit(self, peer: Peer, names: tuple[str, ...], login: Login | None) -> Peer:
        self.logins.append(login)
        self.on_admit(peer)
        self.peers.append(peer)
        self.names.append(names)
        return peer

    def begin(self, request: StoreRequest) -> Kept:
        self.on_begin(request)
        return Kept(self, request)


@contextlib.contextmanager
def serving(receiver: object, **settings: object) -> Iterator[Server]:
    """Run a server on a free port of the loopback interface."""
    server = Server(receiver, Settings(**{"aet": "SEALNODE", "limits": BRISK, **settings}))
    server.start()
    try:
        yield server
    finally:
        server.close(grace=5.0)


# Limits short enough for tests; each test that depends on one sets it itself
BRISK = Limits(request=3.0, header=1.0, grace=5.0, idle=5.0, linger=0.2, connect=2.0, send=5.0)


def requestor(
    port: int, *, aet: str = "SEALNODE", response: float = 5.0, **more: object
) -> Requestor:
    """Return what asks a peer on the loopback interface for associations."""
    name, own = more.pop("host", "127.0.0.1"), more.pop("own", "MODALITY")
    there = Destination("peer", aet, name, port)
    return Requestor(there, aet=own, limits=BRISK, response=response, **more)


@cache
def dcmtk(tool: str) -> str:
    """Return the path of one of DCMTK's tools, or skip the test.

    pynetdicom installs scripts of the same names, which are not meant.
    """
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = shutil.which(tool, path=folder)
        if path:
            shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            if "dcmtk" in shown.stdout:
                return path
    pytest.skip(f"DCMTK's {tool} is not on the PATH")


def run_dcmtk(tool: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one of DCMTK's tools to its end."""
    return subprocess.run(
        [dcmtk(tool), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "TCP_NODELAY": "1"},
    )


# Raw PDUs, for what no library would send -----------------------------------


def connect(port: int, *, source: str = "127.0.0.1") -> socket.socket:
    """Return a connection that fails a test rather than wait for ever."""
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))


def pdu(kind: int, body: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a PDU whose length may be a lie (PS3.8 9.3)."""
    return struct.pack(">BBI", kind, 0, len(body) if length is None else length) + body


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def proposal(number: int, abstract: str, *syntaxes: str) -> bytes:
    """Return a presentation context item (PS3.8 9.3.2.2)."""
    body = bytes([number, 0, 0, 0]) + item(0x30, abstract.encode())
    return item(0x20, body + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes))


DEFAULT_CONTEXTS = proposal(1, ECHO, IMPLICIT_LE) + proposal(3, CT, EXPLICIT_LE)


def associate_rq(
    *,
    called: bytes = b"SEALNODE",
    calling: bytes = b"MODALITY",
    contexts: bytes = DEFAULT_CONTEXTS,
    application: str = "1.2.840.10008.3.1.1.1",
    version: int = 1,
) -> bytes:
    """Return an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3.4")
    body = struct.pack(">HH16s16s32x", version, 0, called.ljust(16), calling.ljust(16))
    body += item(0x10, application.encode()) + contexts + item(0x50, user)
    return pdu(0x01, body)


def fragment(context: int, data: bytes, *, command: bool, last: bool) -> bytes:
    """Return a presentation data value item (PS3.8 9.3.5.1)."""
    return struct.pack(">IBB", len(data) + 2, context, command | last << 1) + data


def receive_pdu(sock: socket.socket) -> tuple[int, bytes]:
    """Return the type and body of the next PDU, or (0, b"") at the end."""
    head = receive(sock, 6)
    if len(head) < 6:
        return 0, b""
    return head[0], receive(sock, int.from_bytes(head[2:], "big"))


def receive(sock: socket.socket, count: int) -> bytes:
    """Return so many bytes, or fewer if the peer closes or resets first."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while len(data) < count and (more := sock.recv(count - len(data))):
            data += more
    return data


@contextlib.contextmanager
def associated(port: int, **request: object) -> Iterator[socket.socket]:
    """Give a raw connection with an established association."""
    with connect(port) as sock:
        sock.sendall(associate_rq(**request))
        kind, _ = receive_pdu(sock)
        assert kind == 0x02, f"not accepted: PDU type {kind}"
        yield sock
