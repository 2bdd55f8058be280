"""A real rsyslog takes the audit log over TLS, though it is killed, and by datagrams."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
from certificates import Certificates
from peers import TUNED, needed, program
from running import free_ports, listening, wait_for

from node.accounts.messenger import Messenger
from node.audit.following import Follower
from node.audit.log import JsonLog
from node.audit.messages import Writer
from node.audit.syslog import Transport
from node.types import Event

pytestmark = [pytest.mark.peers, pytest.mark.slow]
EVENTS = 1500
CONFIG = """
global(workDirectory="{folder}" maxMessageSize="64k"
  DefaultNetstreamDriver="{driver}" DefaultNetstreamDriverCAFile="{ca}"
  DefaultNetstreamDriverCertFile="{certificate}" DefaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" StreamDriver.Name="{driver}" StreamDriver.Mode="1"
  StreamDriver.AuthMode="x509/certvalid")
module(load="imudp")
input(type="imtcp" port="{tcp}" address="127.0.0.1")
input(type="imudp" port="{udp}" address="127.0.0.1")
template(name="all" type="string" string="%pri% %msgid% %app-name% %msg%\\n")
*.* action(type="omfile" file="{folder}/received" template="all")
"""


class Rsyslog:
    def __init__(self, folder, driver, certificates):
        self.folder = folder
        self.tcp, self.udp = free_ports(2)
        self._config = folder / "rsyslog.conf"
        self._config.write_text(
            CONFIG.format(
                folder=folder, driver=driver, tcp=self.tcp, udp=self.udp,
                ca=certificates.certificate("ca"), certificate=certificates.certificate("server"),
                key=certificates.key("server"),
            )
        )  # fmt: skip

    @contextmanager
    def running(self):
        command = [program("rsyslogd"), "-n", "-f", self._config, "-i", self.folder / "pid"]
        with (self.folder / "said").open("ab") as said:
            process = subprocess.Popen(command, stdout=said, stderr=said, env=TUNED)
        try:
            wait_for(lambda: listening(self.tcp), why=f"rsyslog; see {self.folder / 'said'}")
            yield process
        finally:
            process.kill()
            process.wait()

    def received(self):
        path = self.folder / "received"
        return path.read_text().splitlines() if path.exists() else []

    def numbers(self):
        return [
            int(found[1])
            for line in self.received()
            if line.startswith("85 DICOM+RFC3881 sealnode ") and line.endswith("</AuditMessage>")
            if (found := re.search(r'ParticipantObjectID="N(\d+)"', line))
        ]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def log(tmp_path):
    sink = JsonLog(tmp_path / "audit")
    for seq in range(1, EVENTS + 1):
        facts = {"entry": seq, "patient": f"2026-01:{'A' * 400}"}
        event = Event("instance_accepted", f"N{seq}", "CT1", facts=facts)
        sink.append(seq, 1_767_312_000.0 + seq, event)
    sink.close()
    return tmp_path / "audit"


def messenger(log, transport):
    follower = Follower(log, log.parent / "syslog.json")
    writer = Writer("SEALNODE", "host", "north")
    clock = time.monotonic
    return Messenger(follower, writer, transport, clock=clock, chance=lambda: 0.0)


@pytest.mark.parametrize("driver", ["gtls", "ossl"])
def test_rsyslog_gets_every_event_over_tls_though_it_is_killed(log, tmp_path, certificates, driver):
    needed("rsyslogd")
    server = Rsyslog(tmp_path, driver, certificates)
    sending = messenger(log, Transport("localhost", server.tcp, certificates.client("node")))
    ended = threading.Event()

    def send():
        while not ended.is_set():
            if not sending.step():
                time.sleep(0.2)

    thread = threading.Thread(target=send)
    with server.running() as process:
        thread.start()
        wait_for(server.numbers, why="the first events")
        process.kill()
    with server.running():
        wait_for(
            lambda: set(server.numbers()) == set(range(1, EVENTS + 1)), why="all events", seconds=90
        )
        ended.set()
        thread.join()
    first = list(dict.fromkeys(server.numbers()))
    assert first == sorted(first)


def test_a_stranger_is_not_sent_anything(log, tmp_path, certificates):
    needed("rsyslogd")
    server = Rsyslog(tmp_path, "gtls", Certificates(tmp_path))
    with server.running():
        sending = messenger(log, Transport("localhost", server.tcp, certificates.client("node")))
        assert sending.step() == 0
    assert server.numbers() == []


def test_rsyslog_gets_datagrams_as_far_as_they_go(log, tmp_path, certificates):
    needed("rsyslogd")
    server = Rsyslog(tmp_path, "gtls", certificates)
    with server.running():
        sent = messenger(log, Transport("127.0.0.1", server.udp, None)).step()
        wait_for(server.numbers, why="datagrams", seconds=20)
    assert set(server.numbers()) <= set(range(1, sent + 1))
