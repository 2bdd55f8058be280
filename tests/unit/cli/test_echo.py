"""``nodectl echo``."""

from __future__ import annotations

import json
import socket
from contextlib import closing

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification


@pytest.fixture
def pacs():
    """Give the port of a peer that answers C-ECHO with the status asked for."""
    started = []

    def start(status: int = 0x0000) -> int:
        ae = AE("PACS")
        ae.add_supported_context(Verification)
        handlers = [(evt.EVT_C_ECHO, lambda _event: status)]
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        started.append(server)
        return server.server_address[1]

    yield start
    for server in started:
        server.shutdown()


def point_to(site, port):
    node = site / "node.toml"
    node.write_text(node.read_text().replace("port = 4242", f"port = {port}"))


def test_a_destination_that_answers_exits_0(nodectl, site, pacs):
    port = pacs()
    point_to(site, port)

    ended = nodectl("--config", site, "echo", "pacs-main")
    facts = nodectl("--config", site, "echo", "pacs-main", "--json")

    assert ended.status == 0
    assert ended.stdout == f"pacs-main (PACS at 127.0.0.1 port {port}) answers\n"
    assert json.loads(facts.stdout)["result"] == "answered"


def test_a_destination_that_answers_badly_exits_75(nodectl, site, pacs):
    point_to(site, pacs(0x0122))

    assert nodectl("--config", site, "echo", "pacs-main").status == 75


def test_a_destination_that_does_not_answer_exits_75_and_says_where_it_should_be(nodectl, site):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        port = taken.getsockname()[1]
        point_to(site, port)

        ended = nodectl("--config", site, "echo", "pacs-main")

    assert ended.status == 75
    assert ended.stderr.splitlines()[0].startswith("nodectl: error: pacs-main: ")
    assert ended.stderr.splitlines()[1] == (
        f"nodectl: hint: is PACS listening on 127.0.0.1 port {port}?"
    )


def test_a_destination_that_is_not_listed_exits_2(nodectl, site):
    ended = nodectl("--config", site, "echo", "pacs-mian")

    assert ended.status == 2
    assert 'there is no destination "pacs-mian" (did you mean "pacs-main"?)' in ended.stderr
