"""The listening side: stopping, seats, bugs."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace

import pytest
from network import (
    BRISK,
    CT,
    MemoryReceiver,
    associate_rq,
    associated,
    connect,
    fragment,
    pdu,
    receive_pdu,
    serving,
    wait_until,
)
from structlog.testing import capture_logs

from node.dicom import command
from node.dicom.acceptance import Settings
from node.dicom.server import Server
from node.dicom.status import Answer

REQUEST = pdu(4, fragment(3, command.c_store_rq(1, CT, "1.2.3", 0), command=True, last=True))
A_ABORT, A_RELEASE_RQ, A_RELEASE_RP = 7, 5, 6


def store_response(sock) -> int | None:
    kind, body = receive_pdu(sock)
    return command.decode(body[6:]).status if kind == 4 else None


def test_stopping_lets_an_object_on_its_way_arrive_and_ends_idle_associations():
    receiver = MemoryReceiver()
    server = Server(receiver, Settings("SEALNODE", limits=BRISK))
    server.start()
    with associated(server.port) as busy, associated(server.port) as idle:
        busy.sendall(REQUEST + pdu(4, fragment(3, b"half", command=False, last=False)))
        wait_until(lambda: server.associations == 2)
        closing = threading.Thread(target=server.close)
        closing.start()
        assert receive_pdu(idle)[0] == A_ABORT
        busy.sendall(pdu(4, fragment(3, b"rest", command=False, last=True)))
        assert store_response(busy) == 0x0000
        assert receive_pdu(busy)[0] == A_ABORT
        closing.join(10)
        assert not closing.is_alive()
    assert receiver.objects[0][1] == b"halfrest"
    with pytest.raises(ConnectionError):
        connect(server.port)


def test_stopping_cuts_off_what_does_not_end_in_time():
    receiver = MemoryReceiver()
    server = Server(receiver, Settings("SEALNODE", limits=BRISK))
    server.start()
    with associated(server.port) as busy:
        busy.sendall(REQUEST + pdu(4, fragment(3, b"half", command=False, last=False)))
        wait_until(lambda: server.associations == 1)
        assert not server.close(grace=0.2)
    assert receiver.objects == []
    assert receiver.abandoned == 1
    assert server.associations == 0


def test_one_association_too_many_is_rejected_so_that_the_peer_tries_again():
    limits = replace(BRISK, associations=2)
    with serving(MemoryReceiver(), limits=limits) as server:
        with associated(server.port), associated(server.port) as second:
            with connect(server.port) as third:
                third.sendall(associate_rq())
                assert receive_pdu(third) == (3, bytes([0, 2, 3, 2]))
            second.sendall(pdu(A_RELEASE_RQ, bytes(4)))
            assert receive_pdu(second)[0] == A_RELEASE_RP
        wait_until(lambda: server.associations == 0)
        with associated(server.port):
            pass


def test_a_bug_aborts_its_association_alone_and_its_text_is_not_logged():
    receiver = MemoryReceiver()

    def fail(_):
        raise ZeroDivisionError("SECRET^NAME")

    receiver.on_begin = fail
    with serving(receiver) as server, capture_logs() as lines, associated(server.port) as other:
        with associated(server.port) as sock:
            sock.sendall(REQUEST)
            assert receive_pdu(sock)[0] == A_ABORT
        receiver.on_begin = lambda _: None
        other.sendall(REQUEST + pdu(4, fragment(3, b"data", command=False, last=True)))
        assert store_response(other) == 0x0000
        wait_until(lambda: any(line["event"] == "connection_failed" for line in lines))
    failed = next(line for line in lines if line["event"] == "connection_failed")
    assert failed["kind"] == "ZeroDivisionError"
    assert "SECRET" not in str(lines)


def test_two_servers_share_a_port_where_they_are_told_to():
    with (
        serving(MemoryReceiver(), reuse_port=True) as first,
        serving(MemoryReceiver(), reuse_port=True, port=first.port) as second,
    ):
        assert first.port == second.port
        with associated(first.port):
            pass


def test_a_port_in_use_is_an_error_at_once():
    with serving(MemoryReceiver()) as server, pytest.raises(OSError, match="in use"):
        Server(MemoryReceiver(), Settings("SEALNODE", port=server.port))


def test_back_pressure_keeps_pipelined_objects_out_of_memory():
    receiver = MemoryReceiver()
    gate = threading.Event()
    receiver.on_finish = lambda _: (gate.wait(10), Answer(0x0000))[1]
    whole = REQUEST + pdu(4, fragment(3, bytes(15000), command=False, last=True))
    with serving(receiver) as server, associated(server.port) as sock:
        sock.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 << 20:
                sent += sock.send(whole)
        assert sent < 16 << 20  # the kernel's buffers, not ours
        gate.set()


def test_pipelined_objects_are_all_answered_in_order():
    receiver = MemoryReceiver()
    with serving(receiver) as server, associated(server.port) as sock:
        for number in range(50):
            request = command.c_store_rq(number, CT, f"1.2.{number}", 0)
            sock.sendall(
                pdu(4, fragment(3, request, command=True, last=True))
                + pdu(4, fragment(3, b"data", command=False, last=True))
            )
        for number in range(50):
            answered = command.decode(receive_pdu(sock)[1][6:])
            assert (answered.message_id, answered.status) == (number, 0x0000)


def test_a_peer_that_leaves_in_the_middle_leaves_nothing_behind():
    receiver = MemoryReceiver()
    with serving(receiver) as server:
        with associated(server.port) as sock:
            sock.sendall(REQUEST + pdu(4, fragment(3, b"half", command=False, last=False)))
        wait_until(lambda: receiver.abandoned == 1)
        wait_until(lambda: server.associations == 0)
    assert receiver.objects == []
