"""The audit log goes to a repository in order, at least once, whatever happens on the way."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest
from certificates import Certificates
from structlog.testing import capture_logs

from node.accounts.messenger import BATCH, Messenger
from node.audit.following import Follower
from node.audit.log import JsonLog
from node.audit.messages import Writer
from node.audit.syslog import Transport
from node.errors import UnreachableError
from node.types import Event

START = 1_767_312_000.0


class Carrier:
    """Keeps what it is given, or refuses."""

    def __init__(self):
        self.got = []
        self.broken = False

    def send(self, messages):
        if self.broken:
            raise UnreachableError("connection refused")
        self.got += [text.split(b"EventDateTime=")[1][:29] for text in messages]


class Site:
    def __init__(self, folder):
        self.folder = folder
        self.sink = JsonLog(folder / "audit")
        self.carrier = Carrier()
        self.now = 0.0
        self.seq = 0
        self.restart()

    def restart(self):
        self.messenger = Messenger(
            Follower(self.folder / "audit", self.folder / "syslog.json"),
            Writer("SEALNODE", "host"),
            self.carrier,
            clock=lambda: self.now,
            chance=lambda: 0.5,
        )

    def write(self, count, day=0):
        for _ in range(count):
            self.seq += 1
            self.sink.append(self.seq, START + day * 86400 + self.seq, Event("node_started"))
        self.sink.flush()


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.sink.close()


def test_every_event_goes_once_across_days_and_restarts(site):
    site.write(3)
    assert site.messenger.step() == 3
    site.write(2)
    site.write(4, day=1)
    site.restart()
    assert site.messenger.step() == 6
    assert site.messenger.step() == 0
    site.write(BATCH + 5, day=2)
    assert (site.messenger.step(), site.messenger.step()) == (BATCH, 5)
    assert len(site.carrier.got) == len(set(site.carrier.got)) == site.seq


def test_what_cannot_be_sent_waits_and_is_tried_less_and_less_often(site):
    site.write(2)
    site.carrier.broken = True
    with capture_logs() as said:
        for second in range(120):
            site.now = second
            site.messenger.step()
    delays = [line["delay"] for line in said]
    assert delays == sorted(delays)
    assert 2 <= len(delays) < 8
    site.carrier.broken = False
    site.restart()
    assert site.messenger.step() == 2
    assert len(site.carrier.got) == 2


def test_a_line_that_is_being_written_waits(site):
    site.write(1)
    path = next((site.folder / "audit").glob("*.jsonl"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert site.messenger.step() == 0
    path.write_bytes(whole)
    assert site.messenger.step() == 1


@contextmanager
def receiver(context, heard, *, reset=False):
    """A TLS server that keeps what it reads; or one that goes away amid a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            plain, _ = server.accept()
            with context.wrap_socket(plain, server_side=True) as sock:
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    return
                while data := sock.recv(65536):
                    heard.append(data)
                sock.unwrap()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_over_tls_each_message_is_framed_by_its_length(certificates):
    server, client = certificates.server(mutual=True), certificates.client("node")
    heard = []
    with receiver(server, heard) as port:
        Transport("localhost", port, client).send([b"<85>1 one", b"<85>1 three"])
    assert b"".join(heard) == b"9 <85>1 one11 <85>1 three"


def test_a_receiver_that_goes_away_got_nothing_for_certain(certificates):
    server, client = certificates.server(mutual=False), certificates.client()
    with receiver(server, [], reset=True) as port, pytest.raises(UnreachableError):
        Transport("localhost", port, client).send([b"x" * 100_000] * 20)
    with pytest.raises(UnreachableError, match="refused"):
        Transport("localhost", port, client).send([b"x"])


def test_what_is_no_tls_server_is_told(certificates):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk():
            with server.accept()[0] as sock:
                sock.sendall(b"220 hello\r\n" * 3)
                sock.recv(9999)

        thread = threading.Thread(target=talk)
        thread.start()
        transport = Transport("localhost", server.getsockname()[1], certificates.client())
        with pytest.raises(UnreachableError, match="TLS: wrong version number"):
            transport.send([b"x"])
        thread.join(10)


def test_datagrams_go_one_by_one():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", 0))
        Transport("127.0.0.1", heard.getsockname()[1], None).send([b"one", b"two"])
        assert [heard.recv(100), heard.recv(100)] == [b"one", b"two"]
