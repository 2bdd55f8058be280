"""Who may be connected."""

from __future__ import annotations

import socket

import pytest

from node.dicom.connections import Connections
from node.dicom.limits import Limits


@pytest.fixture
def pair():
    """Give (ours, theirs) pairs that are closed in the end."""
    made = []

    def make() -> tuple[socket.socket, socket.socket]:
        made.extend(socket.socketpair())
        return made[-2], made[-1]

    yield make
    for sock in made:
        sock.close()


def is_shut(theirs: socket.socket) -> bool:
    theirs.settimeout(0)
    try:
        return theirs.recv(1) == b""
    except BlockingIOError:
        return False


def test_a_flood_from_one_address_displaces_its_own_oldest(pair):
    connections = Connections(Limits(pending_per_address=2))
    pairs = [pair() for _ in range(4)]
    honest = pair()
    connections.opened(honest[0], "10.0.0.1")
    displaced = [connections.opened(ours, "10.0.0.9") for ours, _ in pairs]
    assert displaced == [False, False, True, True]
    assert [is_shut(theirs) for _, theirs in pairs] == [True, True, False, False]
    assert not is_shut(honest[1])


def test_when_all_places_are_taken_the_busiest_address_loses_one(pair):
    connections = Connections(Limits(pending=3))
    quiet, busy = pair(), [pair(), pair()]
    connections.opened(quiet[0], "10.0.0.1")
    for ours, _ in busy:
        connections.opened(ours, "10.0.0.9")
    assert connections.opened(pair()[0], "10.0.0.2")
    assert not is_shut(quiet[1])
    assert is_shut(busy[0][1])


def test_seats_are_limited_in_total_and_for_each_address(pair):
    connections = Connections(Limits(associations=3, per_address=2))
    first = [pair()[0] for _ in range(3)]
    assert [connections.seat(sock, "10.0.0.1") for sock in first] == [True, True, False]
    assert connections.seat(pair()[0], "10.0.0.2")
    assert not connections.seat(pair()[0], "10.0.0.3")
    connections.closed(first[0])
    assert connections.seat(pair()[0], "10.0.0.3")
    assert connections.associations == 3


def test_pending_connections_take_no_seat(pair):
    connections = Connections(Limits(associations=1, pending=100, pending_per_address=100))
    for _ in range(50):
        connections.opened(pair()[0], "10.0.0.9")
    assert connections.seat(pair()[0], "10.0.0.1")


def test_waiting_ends_when_the_last_one_leaves(pair):
    connections = Connections(Limits())
    ours, theirs = pair()
    connections.opened(ours, "10.0.0.1")
    assert not connections.wait_empty(0.0)
    connections.shut_all()
    assert is_shut(theirs)
    connections.closed(ours)
    assert connections.wait_empty(0.0)
