"""The Storage SCU, against pynetdicom's SCP and against peers that misbehave."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from archive import Archive
from certificates import Certificates
from hypothesis import given
from hypothesis import strategies as st
from network import (
    CT,
    EXPLICIT_LE,
    IMPLICIT_LE,
    MemoryReceiver,
    dataset_bytes,
    fragment,
    pdu,
    receive_pdu,
    requestor,
    sample,
    serving,
)
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from node.dicom import command
from node.dicom.reader import part10_header
from node.dicom.requestor import PeerRejectedError
from node.dicom.scp import RejectedError
from node.dicom.scu import StorageScu, UnansweredError, echo
from node.dicom.sending import Outgoing, dataset_offset
from node.dicom.status import CALLED_UNKNOWN, CONGESTED, Answer
from node.errors import UnreachableError
from node.types import Deferred, Delivered, Refused

if TYPE_CHECKING:
    from pathlib import Path

MR = "1.2.840.10008.5.1.4.1.1.4"


def outgoing(path: Path, **changes: str) -> Outgoing:
    meta = dcmread(path, stop_before_pixels=True)
    item = Outgoing(
        sop_class_uid=str(meta.SOPClassUID),
        sop_instance_uid=str(meta.SOPInstanceUID),
        transfer_syntax_uid=str(meta.file_meta.TransferSyntaxUID),
        open=lambda: path.open("rb"),
    )
    return replace(item, **changes)


@pytest.fixture
def scu():
    """Give a maker of senders that are closed in the end."""
    made = []

    def make(port: int, **more) -> StorageScu:
        options = {k: more.pop(k) for k in ("transcode", "keep") if k in more}
        made.append(StorageScu(requestor(port, **more), **options))
        return made[-1]

    yield make
    for sender in made:
        sender.close()


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "JPEG2000.dcm"])
def test_an_object_arrives_byte_for_byte(tmp_path, scu, name):
    path = sample(name)
    with Archive(tmp_path) as archive:
        sender = scu(archive.port, aet="ARCHIVE")
        assert sender.send(outgoing(path)) == Delivered()
        sender.close()
    assert dataset_bytes(archive.paths()[0]) == dataset_bytes(path)


def test_an_object_without_a_file_beneath_is_sent_too(tmp_path, scu):
    data = sample().read_bytes()
    with Archive(tmp_path) as archive:
        sender = scu(archive.port, aet="ARCHIVE")
        assert sender.send(outgoing(sample(), open=lambda: io.BytesIO(data))) == Delivered()
        sender.close()
    assert dataset_bytes(archive.paths()[0]) == dataset_bytes(sample())


@pytest.mark.parametrize("max_pdu", [128, 131, 4096, 16382, 131072])
@pytest.mark.parametrize("size", [1, 4089, 4090, 4091, 500_000])
def test_fragments_keep_to_the_peers_limit_and_lose_no_byte(tmp_path, scu, max_pdu, size):
    data = bytes(range(256)) * (size // 256 + 1)
    path = tmp_path / "object.dcm"
    path.write_bytes(part10_header(CT, "1.2.3", EXPLICIT_LE) + data[:size])
    receiver = MemoryReceiver()
    limits = replace(requestor(0).limits, max_pdu=max_pdu)
    with serving(receiver, limits=limits) as server:
        item = Outgoing(CT, "1.2.3", EXPLICIT_LE, lambda: path.open("rb"))
        assert scu(server.port).send(item) == Delivered()
    assert receiver.objects[0][1] == data[:size]


def test_one_association_carries_all_that_was_expected(scu):
    receiver = MemoryReceiver()
    ct, mr = outgoing(sample()), outgoing(sample("MR_small.dcm"))
    with serving(receiver) as server:
        sender = scu(server.port)
        sender.expect([ct.pair, mr.pair])
        for item in (ct, mr, ct, mr):
            assert sender.send(item) == Delivered()
    assert len(receiver.peers) == 1
    assert len(receiver.objects) == 4


def test_what_was_not_expected_gets_an_association_that_keeps_what_was(scu):
    receiver = MemoryReceiver()
    ct, mr = outgoing(sample()), outgoing(sample("MR_small.dcm"))
    with serving(receiver) as server:
        sender = scu(server.port)
        for item in (ct, mr, ct, mr):
            assert sender.send(item) == Delivered()
    assert len(receiver.peers) == 2


def test_an_association_is_kept_while_in_use_and_released_when_idle(scu):
    receiver = MemoryReceiver()
    with serving(receiver) as server:
        sender = scu(server.port, keep=0.0)
        sender.send(outgoing(sample()))
        sender.idle()
        sender.send(outgoing(sample()))
        kept = scu(server.port, keep=100.0)
        kept.send(outgoing(sample()))
        kept.idle()
        kept.send(outgoing(sample()))
    assert len(receiver.peers) == 3


def test_an_association_that_the_peer_ended_meanwhile_is_made_anew(scu):
    receiver = MemoryReceiver()
    with serving(receiver) as server:
        port = server.port
        sender = scu(port)
        assert sender.send(outgoing(sample())) == Delivered()
    with serving(receiver, port=port):
        assert sender.send(outgoing(sample())) == Delivered()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(0xA700, Deferred), (0xC000, Refused), (0x0122, Refused), (0xB007, Delivered)],
)
def test_a_status_becomes_an_outcome_and_the_association_lives(scu, status, kind):
    receiver = MemoryReceiver()
    answers = [Answer(status), Answer(0x0000)]
    receiver.on_finish = lambda _: answers.pop(0)
    with serving(receiver) as server:
        sender = scu(server.port)
        assert isinstance(sender.send(outgoing(sample())), kind)
        assert sender.send(outgoing(sample())) == Delivered()
    assert len(receiver.peers) == 1


def test_a_class_that_the_peer_does_not_take_is_refused_and_the_rest_is_sent(scu):
    ct, other = outgoing(sample()), outgoing(sample(), sop_class_uid="1.2.840.10008.5.1.4.34.7")
    with serving(MemoryReceiver()) as server:
        sender = scu(server.port)
        assert isinstance(sender.send(replace(ct, sop_class_uid="1.2.3.4")), Refused)
        sender.expect([ct.pair, ("1.2.3.4", EXPLICIT_LE)])
        assert sender.send(ct) == Delivered()
        assert isinstance(sender.send(replace(ct, sop_class_uid="1.2.3.4")), Refused)
        assert sender.send(other) == Delivered()


def test_a_native_object_is_converted_only_if_the_peer_takes_nothing_else(tmp_path, scu):
    asked = []

    def transcode(_: bytes, target: str) -> bytes:
        asked.append(target)
        return part10_header(CT, "1.2.3", target) + b"converted!"

    with Archive(tmp_path / "both", syntaxes=[EXPLICIT_LE, IMPLICIT_LE]) as archive:
        sender = scu(archive.port, aet="ARCHIVE", transcode=transcode)
        assert sender.send(outgoing(sample())) == Delivered()
        sender.close()
    assert asked == []
    with Peer(accept={IMPLICIT_LE}) as peer:
        sender = scu(peer.port, transcode=transcode)
        assert sender.send(outgoing(sample())) == Delivered()
        sender.close()
    assert b"converted!" in peer.received
    assert asked == [IMPLICIT_LE]


def test_an_object_in_a_syntax_that_the_peer_does_not_take_is_refused(scu):
    with Peer(accept={EXPLICIT_LE}) as peer:
        compressed = outgoing(sample(), transfer_syntax_uid=str(JPEG2000Lossless))
        sender = scu(peer.port)
        found = sender.send(compressed)
        sender.close()
    assert found == Refused("transfer syntax not accepted")


@pytest.mark.parametrize(("rejection", "kind"), [(CALLED_UNKNOWN, Refused), (CONGESTED, Deferred)])
def test_a_rejection_says_whether_trying_again_can_help(scu, rejection, kind):
    receiver = MemoryReceiver()

    def refuse(_):
        raise RejectedError(rejection)

    receiver.on_admit = refuse
    with serving(receiver) as server, pytest.raises(PeerRejectedError) as error:
        scu(server.port).send(outgoing(sample()))
    assert isinstance(error.value.outcome, kind)


def test_nobody_there_is_unreachable_and_nothing_was_sent(scu):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(UnreachableError) as error:
            scu(free.getsockname()[1]).send(outgoing(sample()))
    assert error.value.code == "connect"
    assert not isinstance(error.value, UnansweredError)


def test_a_name_that_does_not_exist_is_unreachable(scu):
    with pytest.raises(UnreachableError) as error:
        scu(1, host="nowhere.invalid").send(outgoing(sample()))
    assert error.value.code == "name"


class Peer:
    """An SCP out of raw bytes, for one association.

    :param accept: the transfer syntaxes that it takes; None for any.
    :param answer: called with the connection and the context after a data set came.
    :param negotiate: called instead of the negotiation.
    """

    def __init__(self, *, accept=None, answer=None, negotiate=None) -> None:
        self.accept = accept
        self.answer = answer or respond
        self.negotiate = negotiate
        self.received = b""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        sock, _ = self._listener.accept()
        with sock, contextlib.suppress(OSError):
            sock.settimeout(5)
            _, request = receive_pdu(sock)
            if self.negotiate is not None:
                self.negotiate(sock)
                return
            sock.sendall(self._accept(request))
            while True:
                kind, body = receive_pdu(sock)
                if kind == 5:
                    sock.sendall(pdu(6, bytes(4)))
                if kind != 4:
                    return
                self.received += body
                if not body[5] & 1 and body[5] & 2:
                    self.answer(sock, body[4])

    def _accept(self, request: bytes) -> bytes:
        body, at, contexts = request[:68], 68, b""
        while at < len(request):
            kind, length = request[at], int.from_bytes(request[at + 2 : at + 4], "big")
            inner = request[at + 4 : at + 4 + length]
            if kind == 0x20:
                contexts += self._context(inner)
            elif kind == 0x10:
                body += request[at : at + 4 + length]
            at += 4 + length
        user = (
            struct.pack(">BBHI", 0x51, 0, 4, 16384) + struct.pack(">BBH", 0x52, 0, 7) + b"1.2.3.4"
        )
        return pdu(2, body + contexts + struct.pack(">BBH", 0x50, 0, len(user)) + user)

    def _context(self, inner: bytes) -> bytes:
        number, syntax = inner[0], inner[inner.rindex(b"\x40\0") + 4 :].decode()
        good = self.accept is None or syntax in self.accept
        chosen = struct.pack(">BBH", 0x40, 0, len(syntax)) + syntax.encode()
        body = bytes([number, 0, 0 if good else 4, 0]) + chosen
        return struct.pack(">BBH", 0x21, 0, len(body)) + body


def respond(sock, context: int, message_id: int = 1, status: int = 0x0000) -> None:
    request = command.Command(1, message_id, has_data=True, sop_class_uid=CT)
    data = command.c_store_rsp(request, status)
    sock.sendall(pdu(4, fragment(context, data, command=True, last=True)))


def send_and_leave(sock, data: bytes) -> None:
    sock.sendall(data)
    sock.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda sock, _: sock.shutdown(socket.SHUT_RDWR), "closed"),
        (lambda sock, _: send_and_leave(sock, b"\x04\0\0"), "closed"),
        (lambda sock, _: sock.sendall(pdu(7, bytes(4))), "aborted"),
        (lambda sock, _: sock.sendall(pdu(5, bytes(4))), "aborted"),
        (lambda sock, context: respond(sock, context, message_id=77), "response"),
        (lambda sock, _: respond(sock, 99), "context"),
        (lambda sock, _: sock.sendall(pdu(4, b"nonsense")), "fragment"),
        (lambda sock, _: sock.sendall(pdu(4, b"", length=0xFFFFFFF0)), "pdu_length"),
        (lambda sock, _: sock.sendall(b"\x04\0\0"), "slow"),
        (lambda *_: None, "no_response"),
    ],
)
def test_no_proper_answer_means_unknown_and_ends_the_association(scu, answer, code):
    with Peer(answer=answer) as peer:
        sender = scu(peer.port, response=0.5)
        with pytest.raises(UnansweredError) as error:
            sender.send(outgoing(sample()))
        assert sender._sending is None
    assert error.value.code == code


@pytest.mark.parametrize(
    "negotiate",
    [
        lambda sock: sock.close(),
        lambda sock: sock.sendall(pdu(7, bytes(4))),
        lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        lambda sock: sock.sendall(pdu(2, b"short")),
        lambda sock: sock.sendall(pdu(2, b"", length=0xFFFFFFF0)),
        lambda sock: sock.recv(1),
    ],
)
def test_a_peer_that_cannot_negotiate_is_unreachable_in_time(scu, negotiate):
    with Peer(negotiate=negotiate) as peer, pytest.raises(UnreachableError):
        scu(peer.port).send(outgoing(sample()))


def test_what_alive_raises_ends_the_association_and_nothing_is_lost(scu):
    class StoppedError(Exception):
        pass

    def alive():
        raise StoppedError

    receiver = MemoryReceiver()
    with serving(receiver) as server:
        sender = scu(server.port)
        with pytest.raises(StoppedError):
            sender.send(outgoing(sample()), alive=alive)
        assert sender.send(outgoing(sample())) == Delivered()
    assert len(receiver.peers) == 2


def test_echo_says_whether_a_destination_answers(tmp_path):
    with Archive(tmp_path) as archive:
        assert echo(requestor(archive.port, aet="ARCHIVE")) == Delivered()
        port = archive.port
    with pytest.raises(UnreachableError):
        echo(requestor(port, aet="ARCHIVE"))


def test_objects_travel_over_tls(tmp_path, scu):
    certificates = Certificates(tmp_path)
    receiver = MemoryReceiver()
    path = tmp_path / "object.dcm"
    path.write_bytes(part10_header(CT, "1.2.3", EXPLICIT_LE) + bytes(range(256)) * 4000)
    with serving(receiver, tls=certificates.server(mutual=True)) as server:
        sender = scu(server.port, tls=certificates.client("node"), host="localhost")
        item = Outgoing(CT, "1.2.3", EXPLICIT_LE, lambda: path.open("rb"))
        for _ in range(3):
            assert sender.send(item) == Delivered()
    assert receiver.objects[2][1] == bytes(range(256)) * 4000


def test_a_tls_server_of_another_name_is_not_talked_to(tmp_path, scu):
    certificates = Certificates(tmp_path)
    with (
        serving(MemoryReceiver(), tls=certificates.server(mutual=False)) as server,
        pytest.raises(UnreachableError) as error,
    ):
        scu(server.port, tls=certificates.client(), host="127.0.0.1").send(outgoing(sample()))
    assert error.value.code == "tls"


@given(st.binary(max_size=300), st.booleans())
def test_the_data_set_begins_where_the_meta_information_ends(data, with_title):
    header = part10_header(CT, "1.2.3", EXPLICIT_LE, "CT1" if with_title else "")
    assert dataset_offset(header + b"\x08\0\x16\0UI\4\0001.2\0" + data) == len(header)
