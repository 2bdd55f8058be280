"""What strangers throw at the port: each attack ends within its bounds and harms nobody else."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import ssl
import struct
import threading
import time
from dataclasses import replace

import pytest
from certificates import Certificates
from network import (
    BRISK,
    CT,
    EXPLICIT_LE,
    IMPLICIT_LE,
    MemoryReceiver,
    associate_rq,
    associated,
    connect,
    fragment,
    item,
    pdu,
    proposal,
    receive,
    receive_pdu,
    requestor,
    serving,
    wait_until,
)
from structlog.testing import capture_logs

from node.dicom import command
from node.dicom.scu import echo
from node.types import Delivered

A_ABORT = 7
REQUEST = command.c_store_rq(1, CT, "1.2.3", 0)
UNKNOWN = REQUEST.replace(b"\x00\x01\x02\0\0\0\x01\0", b"\x00\x01\x02\0\0\0\x77\x77")
COMMAND = pdu(4, fragment(3, REQUEST, command=True, last=True))


@pytest.fixture
def receiver() -> MemoryReceiver:
    return MemoryReceiver()


@pytest.fixture
def server(receiver):
    with serving(receiver) as running:
        yield running
        # whatever a test did, an honest peer is served at once and no thread is left
        began = time.monotonic()
        assert echo(requestor(running.port)) == Delivered()
        assert time.monotonic() - began < 1.0
    assert running.associations == 0
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("Thread-")])


def end_of(sock, *, within: float = 5.0) -> bytes:
    """Return what the server says before it hangs up; it must hang up."""
    sock.settimeout(within)
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := sock.recv(65536):
            data += more
    return data


def memory() -> int:
    """Return the peak of this process's resident memory, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_connecting_and_leaving_takes_no_seat_and_fills_no_log(server):
    with capture_logs() as lines:
        for _ in range(300):
            connect(server.port).close()
        assert echo(requestor(server.port)) == Delivered()
        assert len(lines) < 10


@pytest.mark.parametrize("start", [b"", b"\x01", b"\x01\x00\x00", associate_rq()[:40]])
def test_a_connection_that_stops_speaking_is_cut_in_time(server, start):
    with connect(server.port) as sock:
        sock.sendall(start)
        assert end_of(sock)[:1] in {b"", b"\x07"}


def test_a_crowd_of_silent_connections_shuts_nobody_out(server):
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(server.port)).sendall(b"\x01")
        began = time.monotonic()
        assert echo(requestor(server.port)) == Delivered()
        assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    "text", [b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"\0" * 100]
)
def test_other_protocols_are_hung_up_on(server, text):
    with connect(server.port) as sock:
        sock.sendall(text)
        assert end_of(sock)[:1] == bytes([A_ABORT])


@pytest.mark.parametrize("kind", [2, 3, 4, 5, 6, 7, 99])
def test_a_first_pdu_that_is_no_request_ends_the_connection(server, kind):
    with connect(server.port) as sock:
        sock.sendall(pdu(kind, bytes(4)))
        assert end_of(sock)[:1] == bytes([A_ABORT])


def test_a_claimed_length_of_four_gigabytes_is_not_believed(server):
    before = memory()
    with connect(server.port) as sock:
        sock.sendall(pdu(1, bytes(1000), length=0xFFFFFFF0))
        assert end_of(sock) == pdu(A_ABORT, bytes([0, 0, 2, 6]))
    with associated(server.port) as sock:
        sock.sendall(pdu(4, bytes(1000), length=0xFFFFFFF0))
        assert end_of(sock) == pdu(A_ABORT, bytes([0, 0, 2, 6]))
    assert memory() - before < 64 << 20


def test_a_pdu_longer_than_negotiated_ends_the_association(server, receiver):
    with associated(server.port) as sock:
        sock.sendall(COMMAND + pdu(4, b"", length=BRISK.max_pdu + 1))
        assert end_of(sock) == pdu(A_ABORT, bytes([0, 0, 2, 6]))
    assert receiver.abandoned == 1


def test_an_endless_object_is_cut_at_the_limit_and_leaves_nothing(receiver):
    limits = replace(BRISK, max_object=1 << 20)
    piece = pdu(4, fragment(3, bytes(60000), command=False, last=False))
    before = memory()
    with serving(receiver, limits=limits) as server, associated(server.port) as sock:
        sock.sendall(COMMAND)
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                sock.sendall(piece)
    assert receiver.objects == []
    assert receiver.abandoned == 1
    assert memory() - before < 64 << 20


def test_an_object_that_trickles_in_is_cut(receiver):
    limits = replace(BRISK, grace=0.3, min_rate=1e6)
    with serving(receiver, limits=limits) as server, associated(server.port) as sock:
        sock.sendall(COMMAND)
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                sock.sendall(pdu(4, fragment(3, b"x", command=False, last=False)))
                time.sleep(0.1)
        wait_until(lambda: receiver.abandoned == 1)


def test_an_idle_association_ends_in_time(receiver):
    limits = replace(BRISK, idle=0.2)
    with serving(receiver, limits=limits) as server, associated(server.port) as sock:
        assert end_of(sock)[:1] == bytes([A_ABORT])


MANY = b"".join(proposal(number, CT, EXPLICIT_LE) for number in range(1, 256, 2))


@pytest.mark.parametrize(
    "contexts",
    [
        b"",
        proposal(1, CT, EXPLICIT_LE) * 2,
        MANY + proposal(255, CT, IMPLICIT_LE),
        MANY * 8,
        proposal(1, CT, *[f"1.2.{n}" for n in range(65)]),
    ],
    ids=["none", "twice the same number", "129", "1024", "65 syntaxes"],
)
def test_absurd_presentation_contexts_are_rejected_for_good(server, contexts):
    with connect(server.port) as sock:
        sock.sendall(associate_rq(contexts=contexts))
        assert end_of(sock)[:1] in {b"\x03", b"\x07"}


def test_128_contexts_are_fine(server):
    with associated(server.port, contexts=MANY):
        pass


@pytest.mark.parametrize(
    "contexts",
    [
        proposal(2, CT, EXPLICIT_LE),
        item(0x99, b"what is this"),
        struct.pack(">BBH", 0x20, 0, 60000) + b"short",
        b"\x20",
    ],
)
def test_a_malformed_request_is_refused(server, contexts):
    with connect(server.port) as sock:
        sock.sendall(associate_rq(contexts=contexts))
        assert end_of(sock)[:1] in {b"\x03", b"\x07"}


def test_another_application_context_and_another_protocol_version_are_rejected(server):
    with connect(server.port) as sock:
        sock.sendall(associate_rq(application="1.2.3.4"))
        assert receive_pdu(sock) == (3, bytes([0, 1, 1, 2]))
    with connect(server.port) as sock:
        sock.sendall(associate_rq(version=2))
        assert receive_pdu(sock) == (3, bytes([0, 1, 2, 2]))


@pytest.mark.parametrize("size", [1, 6, 127])
def test_a_peer_that_takes_only_tiny_pdus_is_rejected(server, size):
    tiny = associate_rq().replace(struct.pack(">I", 16384), struct.pack(">I", size))
    with connect(server.port) as sock:
        sock.sendall(tiny)
        assert receive_pdu(sock) == (3, bytes([0, 1, 2, 1]))


def test_more_than_1024_open_files_do_not_shut_the_port(server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("the system allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1100):
            stack.callback(os.close, os.dup(0))
        assert echo(requestor(server.port)) == Delivered()


def test_no_descriptor_left_is_waited_out_without_a_busy_loop(receiver):
    before = time.process_time()
    with capture_logs() as lines, serving(receiver) as server, socket.socket() as early:
        with contextlib.ExitStack() as stack:
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            highest = os.dup(0)
            os.close(highest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest, limits[1]))
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
            early.connect(("127.0.0.1", server.port))
            time.sleep(0.5)
        assert echo(requestor(server.port)) == Delivered()
        assert time.process_time() - before < 0.4
    noted = [line["count"] for line in lines if line["event"] == "descriptors_exhausted"]
    assert 0 < sum(noted) < 10


@pytest.mark.parametrize(
    "title", [b"CT\n1", b"CT\x1b[31m", b"\0" * 16, b"\xff\xfe", b" " * 16, b"A\\B"]
)
def test_ae_titles_with_control_characters_never_reach_the_log_raw(receiver, title):
    with capture_logs() as lines, serving(receiver) as server, connect(server.port) as sock:
        sock.sendall(associate_rq(calling=title))
        end_of(sock)
    assert not any(c in str(line.values()) for line in lines for c in "\n\x1b\0")


@pytest.mark.parametrize(
    "data",
    [
        pdu(1, associate_rq()[6:]),
        pdu(2, associate_rq()[6:]),
        pdu(3, bytes(4)),
        pdu(4, b""),
        pdu(4, fragment(9, REQUEST, command=True, last=True)),
        pdu(4, fragment(3, b"data", command=False, last=True)),
        pdu(4, struct.pack(">IBB", 1, 3, 3)),
        pdu(4, struct.pack(">IBB", 0xFFFFFFFF, 3, 3)),
        pdu(4, fragment(3, b"garbage", command=True, last=True)),
        pdu(4, fragment(3, UNKNOWN, command=True, last=True)),
        COMMAND + COMMAND,
        COMMAND + pdu(4, fragment(1, b"data", command=False, last=True)),
    ],
)  # fmt: skip
def test_what_breaks_the_protocol_aborts_the_association(server, receiver, data):
    with associated(server.port) as sock:
        sock.sendall(data)
        assert end_of(sock)[:1] == bytes([A_ABORT])
    assert receiver.objects == []


@pytest.mark.parametrize(
    ("uid", "status"),
    [
        ("../../../../etc/cron.d/x", 0x0117),
        ("1.2.3/4", 0x0117),
        ("1.2\n3", 0x0117),
        ("1.2\x003", 0x0117),
        ("", 0x0117),
        ("1." + "2" * 64, 0x0117),
        ("abc", 0x0117),
        ("1..2", 0x0117),
        ("1.02.003", 0x0000),
    ],
)
def test_a_uid_that_is_none_is_refused_and_the_association_lives(server, receiver, uid, status):
    request = command.c_store_rq(1, CT, uid, 0)
    with associated(server.port) as sock:
        sock.sendall(pdu(4, fragment(3, request, command=True, last=True)))
        sock.sendall(pdu(4, fragment(3, b"data", command=False, last=True)))
        assert command.decode(receive_pdu(sock)[1][6:]).status == status
        sock.sendall(COMMAND + pdu(4, fragment(3, b"data", command=False, last=True)))
        assert command.decode(receive_pdu(sock)[1][6:]).status == 0x0000
    assert len(receiver.objects) == (2 if status == 0x0000 else 1)


def test_a_store_under_another_classes_context_is_refused(server):
    request = command.c_store_rq(1, "1.2.840.10008.5.1.4.1.1.4", "1.2.3", 0)
    with associated(server.port) as sock:
        sock.sendall(pdu(4, fragment(3, request, command=True, last=True)))
        sock.sendall(pdu(4, fragment(3, b"data", command=False, last=True)))
        assert command.decode(receive_pdu(sock)[1][6:]).status == 0x0122


def test_a_store_without_a_data_set_is_refused(server, receiver):
    request = REQUEST.replace(b"\x00\x08\x02\0\0\0\x01\0", b"\x00\x08\x02\0\0\0\x01\x01")
    assert request != REQUEST
    with associated(server.port) as sock:
        sock.sendall(pdu(4, fragment(3, request, command=True, last=True)))
        assert command.decode(receive_pdu(sock)[1][6:]).status == 0xC000
    assert receiver.objects == []


@pytest.mark.parametrize("cut", range(0, len(COMMAND) + 40, 7))
def test_a_reset_at_any_byte_leaves_nothing_and_harms_nobody(server, receiver, cut):
    stream = COMMAND + pdu(4, fragment(3, b"0123456789" * 4, command=False, last=True))
    with associated(server.port) as sock:
        sock.sendall(stream[:cut])
        # RST instead of FIN, as a crashed peer or a firewall sends it
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: server.associations == 0)
    assert receiver.objects == []


# TLS ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(certificates, receiver):
    limits = replace(BRISK, handshake=1.0)
    with serving(receiver, tls=certificates.server(mutual=True), limits=limits) as running:
        yield running
        peer = requestor(running.port, tls=certificates.client("node"), host="localhost")
        began = time.monotonic()
        assert echo(peer) == Delivered()
        assert time.monotonic() - began < 1.0


def test_silent_tls_clients_delay_nobody_and_are_cut_in_time(secure, certificates):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(secure.port)) for _ in range(30)]
        peer = requestor(secure.port, tls=certificates.client("node"), host="localhost")
        began = time.monotonic()
        assert echo(peer) == Delivered()
        assert time.monotonic() - began < 1.0
        assert end_of(silent[-1], within=3.0) == b""


@pytest.mark.parametrize("text", [b"junk" * 100, associate_rq()])
def test_plain_talk_to_a_tls_port_is_hung_up_on(secure, text):
    with connect(secure.port) as sock:
        sock.sendall(text)
        end_of(sock)


@pytest.mark.parametrize("name", ["", "stranger", "expired"])
def test_a_client_without_a_good_certificate_gets_no_association(secure, certificates, name):
    context = certificates.client(name)
    with (
        connect(secure.port) as plain,
        contextlib.suppress(ssl.SSLError, ConnectionError),
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall(associate_rq())
        assert receive(sock, 1) == b""


def test_the_receiver_is_told_the_names_in_the_certificate(secure, certificates, receiver):
    peer = requestor(secure.port, tls=certificates.client("node"), host="localhost")
    echo(peer)
    assert receiver.names[-1] == ("node.example", "node")
