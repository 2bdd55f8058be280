"""The Storage SCP, spoken to by pynetdicom's own SCU."""

from __future__ import annotations

import pytest
from network import (
    CT,
    EXPLICIT_LE,
    IMPLICIT_LE,
    MemoryReceiver,
    associate_rq,
    connect,
    dataset_bytes,
    receive_pdu,
    sample,
    serving,
)
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from node.dicom.scp import RejectedError
from node.dicom.status import CALLED_UNKNOWN, CALLING_UNKNOWN, CONGESTED, Answer
from node.errors import MismatchError, SpoolFullError, UnreadableError


def associate(port: int, *syntaxes: str, cls: str = CT):
    ae = AE("MODALITY")
    ae.dimse_timeout = ae.acse_timeout = ae.network_timeout = 5
    ae.add_requested_context(cls, list(syntaxes) or [EXPLICIT_LE])
    return ae.associate("127.0.0.1", port, ae_title="SEALNODE")


def store(port: int, dataset, *syntaxes: str):
    assoc = associate(port, *syntaxes, cls=dataset.SOPClassUID)
    assert assoc.is_established
    status = assoc.send_c_store(dataset)
    assoc.release()
    return status


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "JPEG2000.dcm"])
def test_the_data_set_arrives_byte_for_byte_in_its_own_transfer_syntax(name):
    path = sample(name)
    dataset = dcmread(path)
    receiver = MemoryReceiver()
    with serving(receiver) as server:
        status = store(server.port, dataset, dataset.file_meta.TransferSyntaxUID)
    assert status.Status == 0x0000
    request, data = receiver.objects[0]
    assert request.sop_instance_uid == dataset.SOPInstanceUID
    assert request.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID
    assert data == dataset_bytes(path)


def test_the_receiver_learns_who_calls():
    receiver = MemoryReceiver()
    with serving(receiver) as server:
        associate(server.port).release()
    peer = receiver.peers[0]
    assert (peer.calling_aet, peer.called_aet, peer.address) == (
        "MODALITY",
        "SEALNODE",
        "127.0.0.1",
    )


@pytest.mark.parametrize("rejection", [CALLED_UNKNOWN, CALLING_UNKNOWN, CONGESTED])
def test_a_peer_that_is_not_admitted_is_rejected_with_the_reason(rejection):
    receiver = MemoryReceiver()

    def refuse(_):
        raise RejectedError(rejection)

    receiver.on_admit = refuse
    with serving(receiver) as server, connect(server.port) as sock:
        sock.sendall(associate_rq())  # pynetdicom may take a quick rejection for an abort
        kind, body = receive_pdu(sock)
    assert kind == 0x03
    assert tuple(body[1:4]) == (rejection.result, rejection.source, rejection.reason)


@pytest.mark.parametrize("where", ["on_begin", "on_write", "on_finish"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SpoolFullError("no room"), 0xA700),
        (MismatchError("not what was announced"), 0xA900),
        (UnreadableError("not DICOM"), 0xC000),
    ],
)
def test_an_error_anywhere_is_answered_with_its_status_and_code(where, error, status):
    receiver = MemoryReceiver()

    def fail(_):
        raise error

    setattr(receiver, where, fail)
    with serving(receiver) as server:
        dataset = dcmread(sample())
        assoc = associate(server.port)
        first = assoc.send_c_store(dataset)
        setattr(receiver, where, lambda _: Answer(0x0000))
        second = assoc.send_c_store(dataset)
        assoc.release()
    assert (first.Status, first.ErrorComment) == (status, error.code)
    assert second.Status == 0x0000
    assert receiver.abandoned == (where != "on_begin")
    assert len(receiver.objects) == 1


def test_many_objects_go_over_one_association():
    receiver = MemoryReceiver()
    with serving(receiver) as server:
        dataset = dcmread(sample())
        assoc = associate(server.port)
        for number in range(20):
            dataset.SOPInstanceUID = f"1.2.3.{number}"
            assert assoc.send_c_store(dataset).Status == 0x0000
        assoc.release()
        assert assoc.is_released
    assert [request.sop_instance_uid for request, _ in receiver.objects] == [
        f"1.2.3.{number}" for number in range(20)
    ]


def test_echo_is_answered():
    with serving(MemoryReceiver()) as server:
        assoc = associate(server.port, IMPLICIT_LE, cls="1.2.840.10008.1.1")
        assert assoc.send_c_echo().Status == 0x0000
        assoc.release()


def test_a_context_for_each_syntax_is_accepted_with_the_syntax_proposed():
    with serving(MemoryReceiver()) as server:
        assoc = associate(server.port, JPEG2000Lossless)
        assert assoc.accepted_contexts[0].transfer_syntax == [JPEG2000Lossless]
        assoc.release()


def test_a_query_is_not_accepted():
    with serving(MemoryReceiver()) as server:
        assoc = associate(server.port, IMPLICIT_LE, cls="1.2.840.10008.5.1.4.1.2.2.1")
        assert not assoc.is_established
        assert assoc.rejected_contexts[0].result == 0x03


def test_extended_negotiation_is_answered_with_what_is_true():
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = CT
    item.service_class_application_information = b"\x03\0\0\0\x02\0"
    ae = AE("MODALITY")
    ae.add_requested_context(CT, EXPLICIT_LE)
    with serving(MemoryReceiver()) as server:
        assoc = ae.associate("127.0.0.1", server.port, ae_title="SEALNODE", ext_neg=[item])
        assert assoc.acceptor.sop_class_extended == {CT: b"\x02\0\x01\0\x01\0"}
        assoc.release()
