"""A whole node under attack: what it says and takes, and that nothing honest is lost meanwhile."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest
from archive import Archive
from modality import LostError, RejectedError, Sent, images, store
from network import CT, EXPLICIT_LE, associate_rq, connect, fragment, pdu, receive_pdu, requestor
from processes import family, reset_peaks, usage
from running import RunningNode, wait_for

from node.dicom import command, reader
from node.dicom.scu import echo
from node.errors import UnreadableError
from node.types import Delivered, EntryState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
GROWTH = 64 << 20  # bytes that an attack may add to the receiver
STORE = pdu(4, fragment(3, command.c_store_rq(1, CT, "1.2.3", 0), command=True, last=True))
PIECE = pdu(4, fragment(3, bytes(16000), command=False, last=False))
CANARIES = (b"CITIZEN", b"Kanarienvogel", b"passwd", b"<script>", b"DROP TABLE")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Iterator[Archive]:
    with Archive(tmp_path_factory.mktemp("pacs"), aet="PACS") as archive:
        yield archive


@pytest.fixture(scope="module")
def node(tmp_path_factory, archive) -> Iterator[RunningNode]:
    settings = 'max_object_size = "64MiB"\nassociations_per_address = 40\n'
    with RunningNode(tmp_path_factory.mktemp("node"), pacs=archive.port, settings=settings) as node:
        store(node.port, *images(1, seed=99))  # all is loaded that ever will be
        settled(node)
        yield node


def settled(node: RunningNode) -> None:
    waiting = {EntryState.RECEIVED, EntryState.READY}
    wait_for(lambda: not [e for e in node.entries() if e.state in waiting], every=0.3)


def call(node: RunningNode, source: str) -> socket.socket:
    """Return a connection with an association that the node takes for its modality's."""
    sock = connect(node.port, source=source)
    sock.sendall(associate_rq(calling=b"DEMO"))
    assert receive_pdu(sock)[0] == 0x02
    return sock


def silence(node: RunningNode, stack: contextlib.ExitStack) -> None:
    for number in range(200):
        sock = stack.enter_context(connect(node.port, source=f"127.0.1.{number % 250}"))
        sock.sendall([b"", b"\x01", associate_rq()[:40], b"\x01\x00\x00"][number % 4])


def visits(node: RunningNode, stack: contextlib.ExitStack) -> None:
    del stack
    for _ in range(1000):
        connect(node.port).close()


def lengths(node: RunningNode, stack: contextlib.ExitStack) -> None:
    for kind in (1, 4):
        sock = stack.enter_context(connect(node.port) if kind == 1 else call(node, "127.0.0.1"))
        with contextlib.suppress(OSError):
            sock.sendall(pdu(kind, b"", length=0xFFFFFFF0))
            for _ in range(400):
                sock.sendall(bytes(1 << 20))


def endless(node: RunningNode, stack: contextlib.ExitStack) -> None:
    """More than the largest object that is taken, and no end."""
    sock = stack.enter_context(call(node, "127.0.0.1"))
    with contextlib.suppress(OSError):
        sock.sendall(STORE)
        for _ in range(9000):
            sock.sendall(PIECE)
    assert not list((node.folder / "config/state").rglob("incoming/*"))


def trickles(node: RunningNode, stack: contextlib.ExitStack) -> None:
    for number in range(30):
        sock = stack.enter_context(call(node, f"127.0.2.{number + 1}"))
        sock.sendall(STORE + PIECE[: 100 + number])


def pipeline(node: RunningNode, stack: contextlib.ExitStack) -> None:
    """Send hundreds of stores without waiting for an answer."""
    sock = stack.enter_context(call(node, "127.0.0.1"))
    sock.settimeout(0)
    data = bytes(200_000)
    one = STORE + b"".join(
        pdu(4, fragment(3, data[at : at + 16000], command=False, last=at + 16000 >= len(data)))
        for at in range(0, len(data), 16000)
    )
    rest = memoryview(one * 300)
    end = time.monotonic() + 3
    while rest and time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            rest = rest[sock.send(rest[: 1 << 20]) :]


def reset(node: RunningNode, stack: contextlib.ExitStack) -> None:
    del stack
    for number in range(60):
        sock = call(node, "127.0.0.1")
        sock.sendall(STORE + PIECE * (number % 7))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


def noise(node: RunningNode, stack: contextlib.ExitStack) -> None:
    del stack
    for number in range(200):
        with contextlib.suppress(OSError), connect(node.port) as sock:
            sock.sendall([os.urandom(2000), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"][number % 3])


ATTACKS = [visits, silence, lengths, endless, trickles, pipeline, reset, noise]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_costs_little_delays_nobody_and_loses_nothing(attack, node, archive):
    before = len(node.events())
    (receiver,) = node.children("receive")
    reset_peaks({receiver: ""})
    resident = usage(receiver).rss
    honest = images(5, seed=100 + ATTACKS.index(attack))
    with contextlib.ExitStack() as stack:
        attack(node, stack)
        for number, sent in enumerate(honest):
            began = time.monotonic()
            found = echo(requestor(node.port, aet="SEALNODE", own="DEMO"))
            assert found == Delivered()
            assert time.monotonic() - began < 1.0
            assert store(node.port, sent)[0].status == 0, number
    assert usage(receiver).peak - resident < GROWTH
    assert node.children("receive") == [receiver]
    settled(node)
    for sent in honest:
        assert node.entry(sent.sop_instance_uid).state is EntryState.DONE
        assert archive.path(sent.sop_instance_uid)
    said = node.events()[before:]
    assert not [line for line in said if line["event"] in {"connection_failed", "step_crashed"}]
    assert len(said) < 120


@pytest.mark.shared
def test_every_hostile_object_ends_where_a_person_sees_it_and_harms_no_other(
    node, archive, shared_dicom
):
    """Decompression and dimension bombs, lies about lengths, deep nesting, odd texts: all sent."""
    before = {pid: usage(pid).rss for pid in family(node.pid)}
    reset_peaks(family(node.pid))
    answers: dict[str, int] = {}
    for path in sorted((shared_dicom / "malformed").glob("*.dcm")):
        sent = as_sent(path)
        if sent is None:
            continue
        began = time.monotonic()
        assert echo(requestor(node.port, aet="SEALNODE", own="DEMO")) == Delivered()
        assert time.monotonic() - began < 1.0
        try:
            answers[path.name] = store(node.port, sent)[0].status
        except (LostError, RejectedError):
            answers[path.name] = -1
    assert set(answers.values()) <= {0x0000, 0xA900, 0xC000, 0x0117, 0x0122, -1}
    accepted = [name for name, status in answers.items() if status == 0]
    assert len(accepted) > 30
    (receiver,) = node.children("receive")
    assert usage(receiver).peak - before[receiver] < GROWTH
    honest = images(3, seed=8)
    assert [a.status for a in store(node.port, *honest)] == [0, 0, 0]
    settled(node)
    for sent in honest:
        assert archive.path(sent.sop_instance_uid)
    # what was taken is sent sealed, or waits with its reason for a person
    for entry in node.entries():
        assert entry.state is EntryState.DONE or entry.reason, entry.id
    log = node.log.read_bytes()
    assert b"Traceback" not in log
    assert not [canary for canary in CANARIES if canary in log]
    assert not [line for line in node.events() if line["event"].endswith("crashed")]
    assert sorted(pid for pid in before if pid in family(node.pid)) == sorted(before)


def as_sent(path: Path) -> Sent | None:
    """Return a file as a modality would send it: its bytes after the meta information."""
    data = path.read_bytes()
    if data[128:132] != b"DICM":
        return None
    body = data[132 + 12 + int.from_bytes(data[140:144], "little") :]
    try:
        obj = reader.read(data)
    except UnreadableError:
        return Sent(CT, "1.2.3", EXPLICIT_LE, body)
    uid = obj.text("SOPInstanceUID").split("\\")[0] or "1.2.3"
    return Sent(obj.text("SOPClassUID") or CT, uid, obj.transfer_syntax_uid, body)
