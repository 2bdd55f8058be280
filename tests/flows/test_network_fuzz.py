"""Streams that nobody thought of: valid ones, cut, repeated, shuffled and overwritten."""

from __future__ import annotations

import contextlib
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from network import (
    CT,
    DEFAULT_CONTEXTS,
    ECHO,
    MemoryReceiver,
    associate_rq,
    connect,
    fragment,
    item,
    pdu,
    requestor,
    serving,
    wait_until,
)
from structlog.testing import capture_logs

from node.dicom import command
from node.dicom.scu import echo
from node.types import Delivered

STORE = command.c_store_rq(1, CT, "1.2.3", 0)
OTHER = STORE.replace(CT.encode(), ECHO.encode() + bytes(8))
ROLE = item(0x54, b"\x00\x19" + CT.encode() + b"\x01\x01")
EXTENDED = item(0x56, b"\x00\x19" + CT.encode() + b"\x02\x00\x03\x00\x01\x00")
IDENTITY = item(0x58, b"\x01\x01\x00\x04user\x00\x00")
PIECES = [
    associate_rq(),
    associate_rq(contexts=DEFAULT_CONTEXTS + item(0x50, ROLE + EXTENDED + IDENTITY)),
    pdu(2, associate_rq()[6:]),
    pdu(3, bytes(4)),
    pdu(4, fragment(3, STORE, command=True, last=True)),
    pdu(4, fragment(3, b"data" * 20, command=False, last=False)),
    pdu(4, fragment(3, b"data" * 20, command=False, last=True)),
    pdu(4, fragment(1, OTHER, command=True, last=True)),
    pdu(5, bytes(4)),
    pdu(6, bytes(4)),
    pdu(7, bytes(4)),
    b"GET / HTTP/1.1\r\n\r\n",
]  # fmt: skip


@st.composite
def streams(draw) -> bytes:
    """Return pieces in any order, most often after a good start, with a few bytes overwritten."""
    order = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6))
    if draw(st.integers(0, 3)):
        order.insert(0, PIECES[0])
    data = bytearray(b"".join(order))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))])


def attack(examples: int) -> None:
    """Throw streams at a server; none may be a bug, none may leave anything behind."""
    receiver = MemoryReceiver()
    with capture_logs() as lines, serving(receiver) as server:

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(streams())
        def throw(data: bytes) -> None:
            with connect(server.port) as sock, contextlib.suppress(ConnectionError):
                sock.sendall(data)
                sock.shutdown(1)
                while sock.recv(65536):
                    pass
            bugs = [line for line in lines if line["event"] == "connection_failed"]
            assert bugs == []

        throw()
        assert echo(requestor(server.port)) == Delivered()
        wait_until(lambda: server.associations == 0)
    names = [t.name for t in threading.enumerate() if t.name.startswith("Thread-")]
    assert names == []


def test_no_stream_is_a_bug():
    attack(60)


@pytest.mark.slow
def test_no_stream_is_a_bug_for_long():
    attack(5000)
