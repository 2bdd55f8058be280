"""DCMTK's tools as modality and as archive: what most devices in the field are built on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from certificates import Certificates
from network import (
    MemoryReceiver,
    dataset_bytes,
    dcmtk,
    requestor,
    run_dcmtk,
    sample,
    serving,
)
from pydicom import dcmread
from running import free_ports, listening, wait_for

from node.dicom.requestor import PeerRejectedError
from node.dicom.scp import RejectedError
from node.dicom.scu import StorageScu, UnansweredError
from node.dicom.sending import Outgoing
from node.dicom.status import CALLING_UNKNOWN, Answer
from node.errors import UnreachableError
from node.types import Deferred, Delivered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peers

NAMES = ("CT_small.dcm", "MR_small_implicit.dcm", "ExplVR_BigEnd.dcm", "image_dfl.dcm")


def item(path: Path) -> Outgoing:
    header = dcmread(path, stop_before_pixels=True)
    return Outgoing(
        str(header.SOPClassUID),
        str(header.SOPInstanceUID),
        str(header.file_meta.TransferSyntaxUID),
        lambda: path.open("rb"),
    )


# As a modality ---------------------------------------------------------------


def test_echoscu_is_answered():
    with serving(MemoryReceiver()) as server:
        done = run_dcmtk("echoscu", "-aec", "SEALNODE", "127.0.0.1", server.port)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("options", [(), ("-xi",), ("--max-pdu", "4096"), ("--max-pdu", "131072")])
def test_storescu_sends_many_objects_over_one_association(options):
    receiver = MemoryReceiver()
    path = sample()
    with serving(receiver) as server:
        done = run_dcmtk(
            "storescu", *options, "--repeat", 5, "+II", "-aec", "SEALNODE", "127.0.0.1",
            server.port, path,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(receiver.objects) == 5
    assert len({peer.calling_aet for peer in receiver.peers}) == 1
    assert len({request.sop_instance_uid for request, _ in receiver.objects}) == 5


def test_an_object_that_storescu_sends_arrives_byte_for_byte():
    receiver = MemoryReceiver()
    with serving(receiver) as server:
        done = run_dcmtk("storescu", "-aec", "SEALNODE", "127.0.0.1", server.port, sample())
    assert done.returncode == 0, done.stderr
    # DCMTK parses and writes the data set anew: for this file to the same bytes
    header = dcmread(sample())
    assert receiver.objects[0][0].sop_instance_uid == header.SOPInstanceUID
    assert receiver.objects[0][1].endswith(header.PixelData)


def test_storescu_reads_our_status_and_our_rejection():
    receiver = MemoryReceiver()
    receiver.on_finish = lambda _: Answer(0xA700, "spool_full")
    with serving(receiver) as server:
        done = run_dcmtk("storescu", "-v", "-aec", "SEALNODE", "127.0.0.1", server.port, sample())
    assert "Refused: OutOfResources" in done.stderr + done.stdout

    def refuse(_):
        raise RejectedError(CALLING_UNKNOWN)

    receiver.on_admit = refuse
    with serving(receiver) as server:
        done = run_dcmtk("storescu", "-v", "-aec", "SEALNODE", "127.0.0.1", server.port, sample())
    assert done.returncode != 0
    assert "Calling AE Title Not Recognized" in done.stderr + done.stdout


def test_storescu_speaks_tls_with_us(tmp_path):
    certificates = Certificates(tmp_path)
    receiver = MemoryReceiver()
    with serving(receiver, tls=certificates.server(mutual=True)) as server:
        done = run_dcmtk(
            "storescu", "+tls", certificates.key("node"), certificates.certificate("node"),
            "+cf", certificates.certificate("ca"), "-aec", "SEALNODE", "localhost", server.port,
            sample(),
        )  # fmt: skip
        stranger = run_dcmtk(
            "storescu", "+tla", "+cf", certificates.certificate("ca"), "-aec", "SEALNODE",
            "localhost", server.port, sample(),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert stranger.returncode != 0
    assert len(receiver.objects) == 1


# As an archive ---------------------------------------------------------------


@contextlib.contextmanager
def storescp(folder: Path, *options: object) -> Iterator[int]:
    """Run storescp; give its port."""
    (port,) = free_ports(1)
    folder.mkdir(exist_ok=True)
    command = [dcmtk("storescp"), "-od", str(folder), *map(str, options), str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
    ) as process:
        try:
            wait_for(lambda: listening(port), seconds=10)
            yield port
        finally:
            process.terminate()


@contextlib.contextmanager
def sending(port: int, **options: object) -> Iterator[StorageScu]:
    scu = StorageScu(requestor(port, aet="ANY", **options))
    try:
        yield scu
    finally:
        scu.close()


@pytest.mark.parametrize("max_pdu", [4096, 16384, 131072])
def test_storescp_keeps_what_we_send_byte_for_byte(tmp_path, max_pdu):
    items = {name: item(sample(name)) for name in NAMES}
    with (
        storescp(tmp_path / "kept", "+B", "+xa", "--max-pdu", max_pdu) as port,
        sending(port) as scu,
    ):
        scu.expect([sent.pair for sent in items.values()])
        for sent in items.values():
            assert scu.send(sent) == Delivered()
    kept = {dataset_bytes(path) for path in (tmp_path / "kept").iterdir()}
    # the deflated one has an odd length, which the network does not carry
    assert kept == {data + bytes(len(data) % 2) for data in map(dataset_bytes, map(sample, NAMES))}


def test_a_peer_that_leaves_nagle_on_does_not_slow_us_down(tmp_path):
    with storescp(tmp_path / "kept") as port, sending(port) as scu:
        began = time.monotonic()
        for _ in range(50):
            assert scu.send(item(sample())) == Delivered()
        # 40 ms each where neither side prevents the wait for a delayed ACK
        assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("option", ["--abort-after", "--abort-during"])
def test_an_abort_means_unknown_and_the_next_object_gets_a_new_association(tmp_path, option):
    with storescp(tmp_path / "kept", option) as port, sending(port) as scu:
        for _ in range(2):
            with pytest.raises(UnansweredError):
                scu.send(item(sample()))


def test_an_answer_that_comes_too_late_is_unknown(tmp_path):
    with (
        storescp(tmp_path / "kept", "--sleep-during", 3, "--max-pdu", 4096) as port,
        sending(port, response=0.5) as scu,
        pytest.raises(UnansweredError),
    ):
        scu.send(item(sample()))


def test_a_refused_association_is_told(tmp_path):
    with (
        storescp(tmp_path / "kept", "--refuse") as port,
        sending(port) as scu,
        pytest.raises((PeerRejectedError, UnreachableError)) as error,
    ):
        scu.send(item(sample()))
    outcome = getattr(error.value, "outcome", Deferred(""))
    assert not isinstance(outcome, Delivered)
