"""pynetdicom driven by the calling thread."""

from __future__ import annotations

import threading
import time

import pynetdicom
from archive import Archive
from network import CT, EXPLICIT_LE, MemoryReceiver, requestor, sample, serving
from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import ModalityWorklistInformationFind

from node.dicom import contexts, upper
from node.dicom.requestor import release
from node.dicom.scu import StorageScu
from node.dicom.sending import Outgoing
from node.types import Delivered


def test_pynetdicom_is_the_version_whose_insides_we_know():
    # underscore names are overridden: see node/dicom/upper.py before this is changed
    assert pynetdicom.__version__ == "3.0.4"


def test_an_association_of_ours_has_no_thread(tmp_path):
    with Archive(tmp_path) as archive:
        before = threading.active_count()
        assoc = requestor(archive.port, aet="ARCHIVE").associate(contexts.verification())
        assert assoc.is_established
        # pynetdicom's own side of it runs two
        assert threading.active_count() <= before + 2
        assert not assoc.is_alive()
        assert not assoc.dul.is_alive()
        release(assoc)
        assert assoc.is_released


def test_no_response_is_ever_lost():
    receiver = MemoryReceiver()
    item = Outgoing(CT, "1.2.3", EXPLICIT_LE, lambda: sample().open("rb"))
    with serving(receiver) as server:
        scu = StorageScu(requestor(server.port))
        for _ in range(300):
            assert scu.send(item) == Delivered()
        scu.close()
    assert len(receiver.objects) == 300


def test_a_wall_clock_that_jumps_ends_no_association(monkeypatch):
    receiver = MemoryReceiver()
    item = Outgoing(CT, "1.2.3", EXPLICIT_LE, lambda: sample().open("rb"))
    now = time.time()
    with serving(receiver) as server:
        scu = StorageScu(requestor(server.port))
        for jump in (0.0, 3600.0, -3600.0, 86400.0 * 365):
            monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
            assert scu.send(item) == Delivered()
        scu.close()
    assert len(receiver.peers) == 1


def test_silence_keeps_values_out_of_the_log(caplog):
    upper.silence()
    caplog.set_level("DEBUG")
    receiver = MemoryReceiver()
    with serving(receiver) as server:
        ae = AE("MODALITY")
        ae.add_requested_context(CT, EXPLICIT_LE)
        assoc = ae.associate("127.0.0.1", server.port, ae_title="SEALNODE")
        assoc.send_c_store(dcmread(sample()))
        assoc.release()
    assert [record for record in caplog.records if record.name.startswith("pynetdicom")] == []


def test_services_of_pynetdicom_can_stand_beside_storage():
    """As Storage Commitment will: a context and a handler are all that it takes."""

    def find(event):
        assert event.assoc.is_established
        for number in range(5):
            answer = event.identifier
            answer.PatientID = str(number)
            yield 0xFF00, answer

    settings = {
        "contexts": (build_context(ModalityWorklistInformationFind),),
        "handlers": ((evt.EVT_C_FIND, find),),
    }
    with serving(MemoryReceiver(), **settings) as server:
        ae = AE("MODALITY")
        ae.add_requested_context(ModalityWorklistInformationFind)
        assoc = ae.associate("127.0.0.1", server.port, ae_title="SEALNODE")
        query = dcmread(sample(), specific_tags=["PatientID"])
        query = query.group_dataset(0x10)
        found = [
            answer.PatientID
            for status, answer in assoc.send_c_find(query, ModalityWorklistInformationFind)
            if status.Status == 0xFF00
        ]
        assoc.release()
    assert found == ["0", "1", "2", "3", "4"]
