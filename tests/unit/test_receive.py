"""Stage 1: what is answered, and what stands behind the answer."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from network import (
    CT,
    EXPLICIT_LE,
    dataset_bytes,
    requestor,
    sample,
    serving,
)
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from structlog.testing import capture_logs

from node.accounts.about import Patients
from node.dicom import reader
from node.dicom.scp import RejectedError, StoreRequest
from node.dicom.scu import StorageScu, echo
from node.dicom.sending import Outgoing
from node.errors import MismatchError, RefusedError, SpoolFullError, UnreadableError
from node.receive import StorageReceiver
from node.spool.buffers import MemoryBlobs
from node.spool.memory import MemoryLedger
from node.types import (
    Action,
    Decision,
    Deferred,
    Delivered,
    Destination,
    EntryState,
    Login,
    Peer,
    Refused,
    Route,
    Source,
)

ROUTE = Route("all", {}, Action.SEAL, ("pacs",))
PEER = Peer("CT1", "SEALNODE", "127.0.0.1")


class Node:
    """A receiver with its spool in memory."""

    def __init__(self, *, action: Action = Action.SEAL, room: int = 1 << 40) -> None:
        self.blobs = MemoryBlobs(room=room)
        self.ledger = MemoryLedger()
        self.rung = 0
        self.now = 1000.0
        self.seen = []
        self.receiver = StorageReceiver(
            patients=Patients(None),
            blobs=self.blobs,
            ledger=self.ledger,
            decide=self.decide,
            source_of=self.source_of,
            destination_of=self.destination_of,
            called_aets=frozenset({"SEALNODE"}),
            pseudonym=lambda uid: "p" + hashlib.sha256(uid.encode()).hexdigest()[:8],
            ring=self.ring,
            clock=lambda: self.now,
        )
        self.action = action
        self.source = Source("ct1", "CT1", ("127.0.0.0/8",))

    def decide(self, instance):
        self.seen.append(instance)
        return Decision(replace(ROUTE, action=self.action), self.action, ())

    def source_of(self, peer, _):
        return self.source if peer.calling_aet == "CT1" else None

    def destination_of(self, peer):
        return Destination("pacs", "PACS", "pacs", 104) if peer.calling_aet == "PACS" else None

    def ring(self):
        self.rung += 1

    def store(self, request: StoreRequest, data: bytes):
        """Give an object to the receiver as the SCP would."""
        receipt = self.receiver.begin(request)
        try:
            for at in range(0, len(data), 1000):
                receipt.write(memoryview(data)[at : at + 1000])
            return receipt.finish()
        finally:
            receipt.abandon()

    @property
    def events(self):
        return [event for _, _, event in self.ledger.outbox(limit=100)]


def request_for(path, **changes) -> StoreRequest:
    header = dcmread(path, stop_before_pixels=True, force=True)
    request = StoreRequest(
        sop_class_uid=str(header.SOPClassUID),
        sop_instance_uid=str(header.SOPInstanceUID),
        transfer_syntax_uid=str(header.file_meta.TransferSyntaxUID),
        peer=replace(PEER, source="ct1"),
    )
    return replace(request, **changes)


def test_success_stands_on_a_blob_and_a_row():
    node = Node()
    answer = node.store(request_for(sample()), dataset_bytes(sample()))
    assert answer.status == 0x0000
    entry = node.ledger.query()[0]
    assert entry.state is EntryState.RECEIVED
    assert entry.instance.peer.source == "ct1"
    assert entry.instance.attributes["Modality"] == "CT"
    data = node.blobs.read(entry.instance.blob)
    assert len(data) == entry.instance.size
    obj = reader.read(data)
    assert obj.dataset == dataset_bytes(sample())
    assert obj.file[:128] == bytes(128)
    assert node.rung == 1


@pytest.mark.parametrize("name", ["image_dfl.dcm", "JPEG2000.dcm", "MR_small_bigendian.dcm"])
def test_every_transfer_syntax_is_kept_as_it_came(name):
    node = Node()
    assert node.store(request_for(sample(name)), dataset_bytes(sample(name))).status == 0x0000
    kept = node.blobs.read(node.ledger.query()[0].instance.blob)
    assert kept.endswith(dataset_bytes(sample(name)))


def test_a_resend_adds_nothing_and_other_bytes_under_the_same_uid_are_kept_and_parked():
    node = Node()
    request, data = request_for(sample()), dataset_bytes(sample())
    for _ in range(3):
        assert node.store(request, data).status == 0x0000
    assert len(node.ledger.query()) == 1
    with capture_logs() as lines:
        assert node.store(request, data[:-2] + b"\1\2").status == 0x0000
    assert [entry.state for entry in node.ledger.query()] == [
        EntryState.RECEIVED,
        EntryState.PARKED,
    ]
    assert [line["log_level"] for line in lines] == ["warning"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"sop_instance_uid": "1.2.3"}, MismatchError),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.4"}, MismatchError),
        ({"transfer_syntax_uid": "1.2.840.10008.1.2.2"}, UnreadableError),
    ],
)
def test_a_data_set_that_is_not_what_the_command_announced_is_not_kept(changes, error):
    node = Node()
    with pytest.raises(error):
        node.store(request_for(sample(), **changes), dataset_bytes(sample()))
    assert node.ledger.query() == []
    assert list(node.blobs.walk()) == []


@pytest.mark.parametrize(
    "data", [b"", b"random bytes that are no elements", b"\x08\0\x16\0UI\xff\xff"]
)
def test_what_cannot_be_parsed_is_not_kept(data):
    node = Node()
    with pytest.raises(UnreadableError):
        node.store(request_for(sample()), data)
    assert node.ledger.query() == []
    assert list(node.blobs.walk()) == []


def test_what_a_route_refuses_is_not_kept_but_told():
    node = Node(action=Action.REFUSE)
    with pytest.raises(RefusedError):
        node.store(request_for(sample()), dataset_bytes(sample()))
    assert node.ledger.query() == []
    assert list(node.blobs.walk()) == []
    assert [event.event for event in node.events] == ["instance_refused"]


def test_a_ledger_that_refuses_leaves_no_success():
    node = Node()

    def refuse(*_):
        raise SpoolFullError("the database refuses")

    node.ledger.accept = refuse
    with pytest.raises(SpoolFullError):
        node.store(request_for(sample()), dataset_bytes(sample()))
    assert node.rung == 0


def test_no_event_and_no_log_line_names_the_object_or_the_patient():
    node = Node()
    header = dcmread(sample(), stop_before_pixels=True)
    with capture_logs() as lines:
        node.store(request_for(sample()), dataset_bytes(sample()))
    told = str(lines) + str(node.events)
    for secret in (header.SOPInstanceUID, str(header.PatientName), header.PatientID):
        assert secret not in told


# Admission ------------------------------------------------------------------


def test_a_listed_peer_is_admitted_under_its_source():
    assert Node().receiver.admit(PEER, ()).source == "ct1"


@pytest.mark.parametrize(
    ("peer", "code"),
    [
        (replace(PEER, called_aet="EVIL"), "called_aet_unknown"),
        (replace(PEER, calling_aet="EVIL"), "calling_aet_unknown"),
    ],
)
def test_a_stranger_is_rejected_and_audited_but_not_as_often_as_it_calls(peer, code):
    node = Node()
    for _ in range(5):
        with pytest.raises(RejectedError) as error:
            node.receiver.admit(peer, ())
        assert error.value.code == code
    assert [(event.event, event.facts["code"]) for event in node.events] == [
        ("peer_rejected", code)
    ]
    node.now += 61
    with pytest.raises(RejectedError):
        node.receiver.admit(peer, ())
    assert len(node.events) == 2


def test_a_full_disk_is_said_before_an_object_is_sent():
    node = Node(room=0)
    with pytest.raises(RejectedError) as error:
        node.receiver.admit(PEER, ())
    assert error.value.rejection.result == 2


@pytest.mark.parametrize(
    ("login", "admitted"),
    [
        (None, False),
        (Login("ct2", b"word"), False),
        (Login("ct1"), False),
        (Login("ct1", b"wore"), False),
        (Login("ct1", b"word"), True),
    ],
)
def test_who_must_log_in_is_admitted_only_as_the_user_with_the_passcode(login, admitted):
    node = Node()
    node.source = Source("ct1", "CT1", ("127.0.0.0/8",), user="ct1", passcode="file")
    node.receiver._passcode_of = {"file": b"word"}.__getitem__
    if admitted:
        assert node.receiver.admit(PEER, (), login).source == "ct1"
        return
    with pytest.raises(RejectedError) as error:
        node.receiver.admit(PEER, (), login)
    assert error.value.code == "user_identity_unknown"
    assert [event.facts["code"] for event in node.events] == ["user_identity_unknown"]


def test_a_passcode_file_that_cannot_be_read_lets_nobody_in():
    node = Node()
    node.source = Source("ct1", "CT1", ("127.0.0.0/8",), user="ct1", passcode="/absent")
    node.receiver._passcode_of = lambda path: Path(path).read_bytes()
    with capture_logs() as lines, pytest.raises(RejectedError):
        node.receiver.admit(PEER, (), Login("ct1", b""))
    assert [line["event"] for line in lines] == ["passcode_unreadable"]


# Over the network -----------------------------------------------------------


@pytest.mark.parametrize(("passcode", "established"), [(b"word", True), (b"wrong", False)])
def test_user_and_passcode_come_over_the_network(passcode, established):
    node = Node()
    node.source = Source("ct1", "CT1", ("127.0.0.0/8",), user="ct1", passcode="file")
    node.receiver._passcode_of = {"file": b"word"}.__getitem__
    item = UserIdentityNegotiation()
    item.user_identity_type, item.primary_field, item.secondary_field = 2, b"ct1", passcode
    item.positive_response_requested = False
    ae = AE("CT1")
    ae.add_requested_context("1.2.840.10008.1.1")
    with serving(node.receiver) as server:
        assoc = ae.associate("127.0.0.1", server.port, ae_title="SEALNODE", ext_neg=[item])
        assert assoc.is_established is established
        if established:
            assert assoc.send_c_echo().Status == 0x0000
            assoc.release()


def sender(port: int) -> StorageScu:
    made = requestor(port)
    made._ae.ae_title = "CT1"
    return StorageScu(made)


def test_an_object_travels_from_a_modality_into_the_spool():
    node = Node()
    path = sample()
    item = Outgoing(*_uids(path), lambda: path.open("rb"))
    with serving(node.receiver) as server:
        scu = sender(server.port)
        assert scu.send(item) == Delivered()
        assert scu.send(item) == Delivered()
        scu.close()
    assert len(node.ledger.query()) == 1


def test_a_refusing_route_and_a_full_spool_are_answered_apart():
    path = sample()
    item = Outgoing(*_uids(path), lambda: path.open("rb"))
    refusing = Node(action=Action.REFUSE)
    with serving(refusing.receiver) as server:
        scu = sender(server.port)
        assert scu.send(item) == Refused("status 0124H: not authorised", 0x0124)
        scu.close()
    full = Node()

    def refuse():
        raise SpoolFullError("no room")

    full.blobs.put = refuse
    with serving(full.receiver) as server:
        scu = sender(server.port)
        assert scu.send(item) == Deferred("status A700H")
        scu.close()


def test_a_stranger_gets_a_rejection_with_its_reason():
    node = Node()
    with serving(node.receiver) as server:
        found = echo(requestor(server.port))
    assert found == Refused("association rejected (1/1/3)")


def _uids(path) -> tuple[str, str, str]:
    request = request_for(path)
    return request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid


# Hostile files --------------------------------------------------------------


@pytest.mark.shared
def test_every_hostile_file_is_kept_as_it_is_or_refused(shared_dicom):
    node = Node()
    kept = 0
    for path in sorted((shared_dicom / "malformed").glob("*.dcm")):
        data = path.read_bytes()
        if data[128:132] != b"DICM":
            continue
        body = data[132 + 12 + int.from_bytes(data[140:144], "little") :]
        request = StoreRequest(CT, "1.2.3", EXPLICIT_LE, PEER)
        for uid in _announced(data):
            request = replace(request, **uid)
        try:
            answer = node.store(request, body)
        except UnreadableError:
            continue
        assert answer.status == 0x0000
        kept += 1
    assert kept > 30
    for entry in node.ledger.query(limit=200):
        assert node.blobs.read(entry.instance.blob)


def _announced(data: bytes) -> list[dict[str, str]]:
    try:
        obj = reader.read(data)
    except UnreadableError:
        return []
    return [
        {
            "sop_class_uid": obj.text("SOPClassUID"),
            "sop_instance_uid": obj.text("SOPInstanceUID"),
            "transfer_syntax_uid": obj.transfer_syntax_uid,
        }
    ]


def test_a_destination_may_report_but_not_send_and_reports_when_the_spool_is_full():
    node = Node(room=0)
    peer = node.receiver.admit(replace(PEER, calling_aet="PACS"), ())
    assert (peer.source, peer.destination) == ("", "pacs")
    with pytest.raises(RefusedError) as caught:
        node.receiver.begin(request_for(sample(), peer=peer))
    assert caught.value.code == "no_source"
