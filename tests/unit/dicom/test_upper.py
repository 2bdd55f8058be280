"""pynetdicom driven by the calling thread."""

from __future__ import annotations

import time
from io import BytesIO

import pynetdicom
from archive import Archive
from network import CT, EXPLICIT_LE, MemoryReceiver, requestor, sample, serving
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import encode
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
        assoc = requestor(archive.port, aet="ARCHIVE").associate(contexts.verification())
        assert assoc.is_established
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


class Worklist:
    """A service that answers any query five times."""

    def contexts(self, proposed):
        return [build_context(uid) for uid in self.classes() if uid in proposed]

    def classes(self):
        return [ModalityWorklistInformationFind]

    def serve(self, assoc, context, request):
        for number in range(6):
            answer = C_FIND()
            answer.MessageIDBeingRespondedTo = request.MessageID
            answer.AffectedSOPClassUID = request.AffectedSOPClassUID
            answer.Status = 0xFF00 if number < 5 else 0x0000
            if number < 5:
                found = Dataset()
                found.PatientID = str(number)
                answer.Identifier = BytesIO(
                    encode(found, is_implicit_vr=True, is_little_endian=True)
                )
            assoc.dimse.send_msg(answer, context.context_id)


def test_further_services_can_stand_beside_storage():
    """As Query/Retrieve does: what it accepts and what it answers are all that it takes."""
    settings = {"services": lambda peer: [Worklist()] if peer.calling_aet == "MODALITY" else []}
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
