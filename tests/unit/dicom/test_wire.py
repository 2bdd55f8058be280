"""One connection on which nothing waits for ever."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from certificates import Certificates
from hypothesis import given
from hypothesis import strategies as st
from network import BRISK, pdu

from node.dicom.wire import LostError, Wire, handshake

PATIENT = replace(BRISK, header=30.0, grace=30.0, send=30.0)  # where nothing is meant to run out
QUICK = replace(BRISK, header=0.2, grace=0.2, send=0.2, min_rate=1e6, linger=0.1)


@pytest.fixture
def pair():
    """Give a maker of (wire, other end) that are closed in the end."""
    made = []

    def make(limits=QUICK, stop: int = -1) -> tuple[Wire, socket.socket]:
        ours, theirs = socket.socketpair()
        # what a wire needs of an association: somewhere to put its events
        events = SimpleNamespace(put=lambda _: None)
        assoc = SimpleNamespace(dul=SimpleNamespace(event_queue=events))
        wire = TcpLess(assoc, limits, sock=ours, stop=stop)
        theirs.settimeout(5)
        made.extend([wire, theirs])
        return wire, theirs

    yield make
    for end in made:
        end.close()


class TcpLess(Wire):
    """A wire over a socket pair, which knows no TCP options."""

    def _prepare(self, sock):
        class Quiet(socket.socket):
            def setsockopt(self, *_):
                pass

        quiet = Quiet(fileno=sock.detach())
        self.socket = quiet
        super()._prepare(quiet)


def soon() -> float:
    return time.monotonic() + 60.0


@given(st.lists(st.binary(max_size=3000), max_size=6), st.lists(st.integers(1, 4000), min_size=1))
def test_pdus_come_out_as_they_went_in_however_they_are_cut(bodies, cuts):
    ours, theirs = socket.socketpair()
    events = SimpleNamespace(put=lambda _: None)
    assoc = SimpleNamespace(dul=SimpleNamespace(event_queue=events))
    wire = TcpLess(assoc, PATIENT, sock=ours)
    stream = b"".join(pdu(4, body) for body in bodies)

    def write() -> None:
        at = turn = 0
        while at < len(stream):
            size = cuts[turn % len(cuts)]
            theirs.sendall(stream[at : at + size])
            at, turn = at + size, turn + 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for body in bodies:
            assert wire.header(soon()) == (4, len(body))
            assert bytes(wire.body(len(body))) == body
    finally:
        thread.join()
        wire.close()
        theirs.close()


@pytest.mark.parametrize(
    ("sent", "closed", "code"),
    [
        (b"", False, "idle"),
        (b"", True, "closed"),
        (b"\4", False, "slow"),
        (b"\4\0\0", True, "closed"),
    ],
)
def test_a_header_that_does_not_come_is_told_by_its_cause(pair, sent, closed, code):
    wire, theirs = pair()
    theirs.sendall(sent)
    if closed:
        theirs.close()
    with pytest.raises(LostError) as error:
        wire.header(time.monotonic() + 0.1)
    assert error.value.code == code


def test_a_body_that_comes_too_slowly_is_given_up(pair):
    wire, theirs = pair()
    theirs.sendall(pdu(4, b"half", length=1000))
    wire.header(soon())
    with pytest.raises(LostError) as error:
        wire.body(1000)
    assert error.value.code == "slow"


def test_a_stop_ends_the_wait_between_messages_but_no_other(pair):
    stop = os.eventfd(0)
    try:
        wire, theirs = pair(stop=stop)
        os.eventfd_write(stop, 1)
        with pytest.raises(LostError) as error:
            wire.header(soon(), stoppable=True)
        assert error.value.code == "stopped"
        theirs.sendall(pdu(4, b"body"))
        assert wire.header(soon()) == (4, 4)
    finally:
        os.close(stop)


def test_sending_to_a_peer_that_reads_nothing_is_given_up(pair):
    wire, _ = pair()
    with pytest.raises(LostError) as error:
        wire.send_all(bytes(50 << 20))
    assert error.value.code == "slow"


def test_sending_to_a_peer_that_is_gone_is_told(pair):
    wire, theirs = pair()
    theirs.close()
    with pytest.raises(LostError) as error:
        wire.send_all(bytes(50 << 20))
    assert error.value.code == "closed"


@given(st.lists(st.binary(max_size=200_000), max_size=12))
def test_parts_arrive_in_order_whatever_their_sizes(parts):
    ours, theirs = socket.socketpair()
    events = SimpleNamespace(put=lambda _: None)
    wire = TcpLess(SimpleNamespace(dul=SimpleNamespace(event_queue=events)), BRISK, sock=ours)
    got = bytearray()

    def read() -> None:
        while data := theirs.recv(100_000):
            got.extend(data)

    thread = threading.Thread(target=read)
    thread.start()
    wire.send_parts(parts)
    wire.close()
    thread.join()
    theirs.close()
    assert got == b"".join(parts)


def test_finishing_lets_the_peer_read_what_was_sent_last(pair):
    wire, theirs = pair()
    theirs.sendall(b"x" * 10000)  # unread data would turn a close into a reset
    wire.send_all(b"last words")
    wire.finish()
    assert theirs.recv(100) == b"last words"
    assert theirs.recv(100) == b""


def test_a_handshake_has_one_deadline_for_all_of_it(tmp_path):
    certificates = Certificates(tmp_path)
    ours, theirs = socket.socketpair()
    began = time.monotonic()
    with theirs, pytest.raises(TimeoutError):
        handshake(ours, certificates.server(mutual=False), 0.2)
    assert 0.15 < time.monotonic() - began < 2.0
