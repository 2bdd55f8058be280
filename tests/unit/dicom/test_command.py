"""Command sets."""

from __future__ import annotations

import contextlib
import struct
from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st
from network import CT
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode as decode_by_pynetdicom
from pynetdicom.dsutils import encode as encode_by_pynetdicom

from node.dicom import command

UID = st.from_regex(r"[1-9][0-9]{0,9}(\.[1-9][0-9]{0,9}){0,4}", fullmatch=True)
IMPLICIT = {"is_implicit_vr": True, "is_little_endian": True}


@given(st.integers(0, 0xFFFF), UID, UID, st.sampled_from([0, 1, 2]))
def test_pynetdicom_reads_the_request_that_we_write(message_id, cls, instance, priority):
    data = command.c_store_rq(message_id, cls, instance, priority)
    found = decode_by_pynetdicom(BytesIO(data), **IMPLICIT)
    assert found.CommandField == 0x0001
    assert found.MessageID == message_id
    assert found.AffectedSOPClassUID == cls
    assert found.AffectedSOPInstanceUID == instance
    assert found.Priority == priority
    assert found.CommandGroupLength == len(data) - 12


def test_pynetdicom_reads_the_response_that_we_write():
    request = command.Command(0x0001, 7, has_data=True, sop_class_uid=CT, sop_instance_uid="1.2.3")
    found = decode_by_pynetdicom(
        BytesIO(command.c_store_rsp(request, 0xA700, "spool_full")), **IMPLICIT
    )
    assert found.CommandField == 0x8001
    assert found.MessageIDBeingRespondedTo == 7
    assert found.Status == 0xA700
    assert found.ErrorComment == "spool_full"
    assert found.AffectedSOPInstanceUID == "1.2.3"
    assert found.CommandDataSetType == 0x0101


def test_we_read_the_command_that_pynetdicom_writes():
    sent = Dataset()
    sent.CommandGroupLength = 0
    sent.AffectedSOPClassUID = CT
    sent.CommandField = 0x0001
    sent.MessageID = 258
    sent.Priority = 2
    sent.CommandDataSetType = 1
    sent.AffectedSOPInstanceUID = "1.2.840.1"
    found = command.decode(encode_by_pynetdicom(sent, **IMPLICIT))
    assert found == command.Command(
        0x0001, 258, has_data=True, sop_class_uid=CT, sop_instance_uid="1.2.840.1"
    )
    assert not found.is_response


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_violation(data):
    with contextlib.suppress(command.ViolationError):
        command.decode(data)


@given(st.data())
def test_a_command_that_is_cut_off_never_reads_as_whole(data):
    whole = command.c_store_rq(1, CT, "1.2.3", 0)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with contextlib.suppress(command.ViolationError):
        assert command.decode(whole[:cut]).sop_instance_uid == ""


def test_a_uid_that_is_not_ascii_can_be_echoed_but_is_no_uid():
    good = command.c_store_rq(1, CT, "1.2.3456", 0)
    bad = good.replace(b"1.2.3456", b"1.2.\xff\xfe\x00\x1b")
    found = command.decode(bad)
    assert not found.sop_instance_uid.isascii()
    command.c_store_rsp(found, 0x0117)


@given(st.binary(max_size=400), st.sampled_from([0, 7, 50, 131072]), st.booleans())
def test_fragments_are_within_the_peers_limit_and_only_the_last_says_last(data, limit, is_command):
    left = command.pdus(5, data, limit, command=is_command)
    joined = b""
    while left:
        kind, length, inner, context, control = struct.unpack_from(">BxIIBB", left)
        assert (kind, context, inner) == (4, 5, length - 4)
        assert limit == 0 or length <= limit
        joined += left[12 : 6 + length]
        left = left[6 + length :]
        assert control == (is_command | (not left) << 1)
    assert joined == data
