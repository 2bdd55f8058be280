"""What a workstation gets of what a PACS holds: verified on its way, restored for some."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from functools import partial
from io import BytesIO

import pytest
from archive import Archive as Pacs
from network import BRISK, requestor
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role, evt
from running import free_ports, wait_for
from sealing import ORDER, examiner, marker, sample

from node import routing
from node.accounts.about import Patients
from node.aftercare.judge import Evidence, Judge
from node.config.config import Workstation
from node.crypto.keyring import MemoryKeys
from node.dicom import reader
from node.dicom.acceptance import Settings
from node.dicom.archive import DimseArchive
from node.dicom.query import MODELS, QueryScp
from node.dicom.scu import StorageScu
from node.dicom.sending import Outgoing
from node.dicom.server import Server
from node.dicom.transcode import transcode
from node.receive import StorageReceiver
from node.retrieval.desk import Desk, ask
from node.retrieval.retrieve import Retriever
from node.retrieval.witness import Witness
from node.spool.buffers import MemoryBlobs
from node.spool.memory import MemoryLedger
from node.types import Destination, Source

pytestmark = pytest.mark.slow  # sockets on both sides, and a second to close them

KEYS = MemoryKeys([b"k" * 32])
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
UID = {(root, kind): uid for uid, (root, kind) in MODELS.items()}
STUDY = "1.2.826.0.1.3680043.10.1234.77"


def dataset_of(file: bytes) -> bytes:
    return reader.read(file).dataset


class World:
    """A node with its proxy, a PACS that holds a sealed study, and workstations."""

    def __init__(self, tmp_path, pacs, viewer):
        self.pacs = pacs
        self.viewer = viewer  # where C-MOVE sends to
        self.originals: dict[str, bytes] = {}
        self.ledger = MemoryLedger()
        self.blobs = MemoryBlobs()
        self.destinations = {
            "pacs": Destination("pacs", "ARCHIVE", "127.0.0.1", pacs.port),
        }
        here = ("127.0.0.1/32",)
        self.workstations = {
            "viewer": Workstation("viewer", "VIEWER", here, "pacs", restore=True,
                                  host="127.0.0.1", port=viewer.port),
            "guest": Workstation("guest", "GUEST", here, "pacs"),
        }  # fmt: skip
        self.peer = requestor(pacs.port, aet="ARCHIVE")
        folder = tmp_path / "retrieved"
        self.desk = Desk(tmp_path / "desk")
        self.witness = Witness(
            judge=Judge(examiner(KEYS)), ledger=self.ledger, blobs=self.blobs,
            evidence=Evidence(tmp_path / "evidence"), folder=folder,
            restores=lambda name: name in self.workstations and self.workstations[name].restore,
        )  # fmt: skip
        retriever = Retriever(
            aet="SEALNODE",
            workstations=lambda: self.workstations,
            destinations=lambda: self.destinations,
            archives=lambda _: DimseArchive(self.peer, Settings("FETCH", port=free_ports(1)[0])),
            senders=lambda workstation, originator: StorageScu(
                requestor(workstation.port, aet=workstation.aet), originator=originator
            ),
            ask=partial(ask, tmp_path / "desk"),
            ledger=self.ledger,
            folder=folder,
            pseudonym=lambda uid: f"P{uid[-6:]}",
        )
        source = Source("ct", "MODALITY", here)
        receiver = StorageReceiver(
            patients=Patients(None),
            blobs=self.blobs,
            ledger=self.ledger,
            decide=lambda _: None,
            source_of=lambda peer, names: routing.source_of([source], peer, names),
            workstation_of=lambda peer, names: routing.source_of(
                self.workstations.values(), peer, names
            ),
            called_aets=frozenset({"SEALNODE"}),
            pseudonym=lambda uid: uid,
        )

        def services(peer):
            return [QueryScp(retriever, peer, transcode=transcode)] if peer.workstation else []

        self.server = Server(receiver, Settings("SEALNODE", limits=BRISK, services=services))
        self.server.start()
        self._stop = threading.Event()
        self._verifying = threading.Thread(target=self._verify)
        self._verifying.start()

    def _verify(self):
        while not self._stop.is_set():
            self.desk.serve(self.witness.answer)

    def close(self):
        self._stop.set()
        self._verifying.join()
        self.desk.close()
        assert self.server.close(grace=5)

    def hold(self, name: str, *, seal: bool = True, **attributes) -> str:
        """Put an object into the PACS, sealed or as it is; return its UID."""
        ds = dcmread(BytesIO(sample(name)))
        ds.StudyInstanceUID = STUDY
        uid = f"{STUDY}.{len(self.originals) + 1}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
        buffer = BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        self.originals[uid] = buffer.getvalue()
        data = marker(KEYS).mark(buffer.getvalue(), ORDER).data if seal else buffer.getvalue()
        obj = reader.read(data)
        scu = StorageScu(self.peer)
        scu.send(
            Outgoing(obj.text("SOPClassUID"), uid, obj.transfer_syntax_uid, lambda: BytesIO(data))
        )
        scu.close()
        return uid

    def edit(self, uid: str, change) -> None:
        path = self.pacs.path(uid)
        ds = dcmread(path)
        change(ds)
        ds.save_as(path, enforce_file_format=True)
        self.pacs._add(path)

    def associate(self, *models, aet="VIEWER", storage=(CT, MR), handler=None, syntaxes=None):
        ae = AE(aet)
        for model in models:
            ae.add_requested_context(model)
        for uid in storage:
            ae.add_requested_context(uid, *([syntaxes] if syntaxes else []))
        roles = [build_role(uid, scp_role=True) for uid in storage]
        handlers = [(evt.EVT_C_STORE, handler)] if handler else []
        return ae.associate(
            "127.0.0.1", self.server.port, ae_title="SEALNODE", ext_neg=roles, evt_handlers=handlers
        )

    def get(
        self, *, level="STUDY", root="study", aet="VIEWER", answer=0x0000, syntaxes=None, **keys
    ):
        """C-GET; return the final status and what arrived, by UID."""
        got: dict[str, bytes] = {}

        def store(event):
            got[str(event.request.AffectedSOPInstanceUID)] = event.encoded_dataset()
            return answer

        model = UID[root, "get"]
        assoc = self.associate(model, aet=aet, handler=store, syntaxes=syntaxes)
        assert assoc.is_established
        responses = list(assoc.send_c_get(identifier(level, **keys), model))
        assoc.release()
        return responses[-1][0], got, responses

    def events(self, name: str) -> list:
        return [e for _, _, e in self.ledger.outbox(limit=1000) if e.event == name]

    def findings(self) -> Counter:
        found = Counter()
        for one in self.ledger.found(since=0):
            found[one.finding.verdict] += one.number
        return found


def identifier(level, **keys) -> Dataset:
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword, value in (keys or {"StudyInstanceUID": STUDY}).items():
        setattr(ds, keyword, value)
    return ds


@pytest.fixture
def world(tmp_path):
    with Pacs(tmp_path / "pacs") as pacs, Pacs(tmp_path / "viewer", aet="VIEWER") as viewer:
        made = World(tmp_path, pacs, viewer)
        yield made
        made.close()


@pytest.fixture
def study(world):
    """Three sealed objects of one study, two series."""
    series = f"{STUDY}.900"
    return [
        world.hold("CT_small.dcm", SeriesInstanceUID=series),
        world.hold("CT_small.dcm", SeriesInstanceUID=series, PatientComments="second"),
        world.hold("CT_small.dcm", SeriesInstanceUID=f"{STUDY}.901"),
    ]


def test_a_workstation_that_may_gets_originals_byte_for_byte(world, study):
    status, got, responses = world.get()
    assert status.Status == 0x0000
    assert {uid: dataset_of(data) for uid, data in got.items()} == {
        uid: dataset_of(world.originals[uid]) for uid in study
    }
    remaining = [r[0].NumberOfRemainingSuboperations for r in responses[:-1]]
    assert remaining[0] == 2  # told at once, and then now and then
    assert remaining == sorted(set(remaining), reverse=True)
    assert (status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (3, 0)
    assert world.findings() == {"INTACT": 3}
    [event] = world.events("retrieve_finished")
    assert event.facts["completed"] == 3
    assert event.facts["verdicts"] == "INTACT=3"
    [event] = world.events("objects_retrieved")
    assert set(event.facts["objects"].split(",")) == {
        f"P{uid[-6:]}:INTACT:restored" for uid in study
    }


def test_another_gets_the_sealed_objects(world, study):
    status, got, _ = world.get(aet="GUEST")
    assert status.Status == 0x0000
    for uid in study:
        assert dataset_of(got[uid]) == dataset_of(world.pacs.path(uid).read_bytes())
        assert dataset_of(got[uid]) != dataset_of(world.originals[uid])


@pytest.mark.parametrize("root", ["study", "patient"])
def test_each_level_gives_what_it_names(world, study, root):
    patient = {"PatientID": "1CT1"} if root == "patient" else {}
    if root == "patient":
        assert len(world.get(level="PATIENT", root=root, **patient)[1]) == 3
    keys = {**patient, "StudyInstanceUID": STUDY}
    assert len(world.get(level="STUDY", root=root, **keys)[1]) == 3
    keys["SeriesInstanceUID"] = f"{STUDY}.900"
    assert set(world.get(level="SERIES", root=root, **keys)[1]) == set(study[:2])
    both = [f"{STUDY}.900", f"{STUDY}.901"]
    assert len(world.get(level="SERIES", root=root, **keys | {"SeriesInstanceUID": both})[1]) == 3
    keys["SOPInstanceUID"] = study[1]
    assert set(world.get(level="IMAGE", root=root, **keys)[1]) == {study[1]}


@pytest.mark.usefixtures("study")
def test_what_is_not_there_is_a_success_without_objects(world):
    status, got, _ = world.get(StudyInstanceUID="1.2.3")
    assert (status.Status, got) == (0x0000, {})


def test_what_was_changed_is_blocked_and_the_rest_goes_on(world, study):
    world.edit(study[1], lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))))
    status, got, responses = world.get()
    assert status.Status == 0xB000
    assert responses[-1][1].FailedSOPInstanceUIDList == study[1]
    assert set(got) == {study[0], study[2]}
    assert (status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (2, 1)
    [event] = world.events("retrieve_blocked")
    assert (event.outcome, event.facts["verdict"]) == ("failure", "TAMPERED")
    assert event.facts["workstation"] == "viewer"
    assert world.findings() == {"INTACT": 2, "TAMPERED": 1}


def test_with_warn_it_goes_on_with_a_remark(world, study):
    world.destinations["pacs"] = replace(world.destinations["pacs"], on_tamper="warn")
    world.edit(study[1], lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))))
    status, got, _ = world.get()
    assert status.Status == 0xB000
    assert status.NumberOfWarningSuboperations == 1
    found = dcmread(BytesIO(got[study[1]]))
    assert found.ImageComments.startswith("SEALNODE: TAMPERED: ")
    assert found.PixelData == bytes(len(found.PixelData))
    assert len(world.events("retrieve_warned")) == 1


def test_a_header_that_was_changed_is_told_and_the_original_given(world, study):
    world.edit(study[0], lambda ds: setattr(ds, "PatientName", "Somebody^Else"))
    status, got, _ = world.get()
    assert status.Status == 0xB000
    assert dataset_of(got[study[0]]) == dataset_of(world.originals[study[0]])
    [event] = world.events("retrieve_finished")
    assert event.facts["coerced"] == "PatientName"


def test_what_the_archive_lost_is_counted_as_failed(world, study):
    world.pacs.path(study[2]).unlink()
    status, got, responses = world.get()
    assert status.Status == 0xB000
    assert set(got) == set(study[:2])
    assert responses[-1][1].FailedSOPInstanceUIDList == study[2]
    assert world.findings()["MISSING"] == 1


@pytest.mark.parametrize("rule", ["pass", "block"])
def test_what_was_never_sealed_follows_its_own_rule(world, rule):
    world.destinations["pacs"] = replace(world.destinations["pacs"], on_unmarked=rule)
    uid = world.hold("CT_small.dcm", seal=False)
    status, got, _ = world.get()
    assert (uid in got) == (rule == "pass")
    assert status.Status == (0x0000 if rule == "pass" else 0xA702)


@pytest.mark.usefixtures("study")
def test_nothing_passes_unverified(world):
    world._stop.set()
    world._verifying.join()
    world.desk.close()
    status, got, _ = world.get()
    assert (status.Status, got) == (0xA702, {})


@pytest.mark.usefixtures("study")
def test_what_the_workstation_refuses_is_counted_as_failed(world):
    status, got, _ = world.get(answer=0xA700)
    assert status.Status == 0xA702
    assert status.NumberOfFailedSuboperations == 3
    assert len(got) == 3


def test_a_workstation_that_takes_another_native_syntax_gets_that(world, study):
    _, got, _ = world.get(syntaxes=[ImplicitVRLittleEndian])
    found = dcmread(BytesIO(got[study[0]]))
    assert found.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert found.PixelData == dcmread(BytesIO(world.originals[study[0]])).PixelData


def test_a_move_sends_originals_to_the_workstation_that_it_names(world, study):
    seen = []
    world.viewer._answer = lambda event: (
        seen.append((event.request.MoveOriginatorApplicationEntityTitle,
                     event.request.MoveOriginatorMessageID)) or 0x0000
    )  # fmt: skip
    model = UID["study", "move"]
    assoc = world.associate(model, aet="GUEST", storage=())
    *_, (status, _) = assoc.send_c_move(identifier("STUDY"), "VIEWER", model, msg_id=7)
    assoc.release()
    assert status.Status == 0x0000
    assert status.NumberOfCompletedSuboperations == 3
    for uid in study:
        arrived = world.viewer.path(uid).read_bytes()
        assert dataset_of(arrived) == dataset_of(world.originals[uid])
    assert set(seen) == {("GUEST", 7)}


@pytest.mark.parametrize("name", ["NOBODY", "GUEST"])
@pytest.mark.usefixtures("study")
def test_a_move_to_an_unknown_place_is_refused(world, name):
    model = UID["study", "move"]
    assoc = world.associate(model, storage=())
    *_, (status, _) = assoc.send_c_move(identifier("STUDY"), name, model)
    assoc.release()
    assert status.Status == 0xA801


def test_a_move_to_a_place_that_is_down_fails_as_a_whole(world, study):
    down = replace(world.workstations["viewer"], port=free_ports(1)[0])
    world.workstations["viewer"] = down
    model = UID["study", "move"]
    assoc = world.associate(model, storage=())
    *_, (status, failed) = assoc.send_c_move(identifier("STUDY"), "VIEWER", model)
    assoc.release()
    assert status.Status == 0xA702
    assert sorted(failed.FailedSOPInstanceUIDList) == sorted(study)


@pytest.mark.parametrize("root", ["study", "patient"])
@pytest.mark.usefixtures("study")
def test_a_query_is_passed_on_and_its_answers_back(world, root):
    model = UID[root, "find"]
    assoc = world.associate(model, storage=())
    patient = {"PatientID": "1CT1"} if root == "patient" else {}
    wanted = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": "", "Modality": ""}
    query = identifier("SERIES", **wanted, **patient, RetrieveAETitle="")
    *found, (status, _) = assoc.send_c_find(query, model)
    assoc.release()
    assert status.Status == 0x0000
    assert {str(match.SeriesInstanceUID) for _, match in found} == {f"{STUDY}.900", f"{STUDY}.901"}
    assert {match.RetrieveAETitle for _, match in found} == {"SEALNODE"}
    [event] = world.events("query_forwarded")
    assert event.facts["count"] == 2
    assert "1CT1" not in str(event)


@pytest.mark.usefixtures("study")
def test_an_identifier_that_does_not_fit_is_refused(world):
    model = UID["study", "find"]
    assoc = world.associate(model, storage=())
    *_, (status, _) = assoc.send_c_find(identifier("PATIENT", PatientID="1CT1"), model)
    assert status.Status == 0xA900
    model = UID["study", "find"]
    assoc.release()


@pytest.mark.usefixtures("study")
def test_a_pacs_that_is_away_is_said_to_be(world):
    world.peer.destination = replace(world.peer.destination, port=free_ports(1)[0])
    status, _, _ = world.get()
    assert status.Status == 0xA701
    model = UID["study", "find"]
    assoc = world.associate(model, storage=())
    *_, (status, _) = assoc.send_c_find(identifier("STUDY"), model)
    assoc.release()
    assert status.Status == 0xC000


@pytest.mark.usefixtures("study")
def test_a_workstation_may_cancel(world):
    for _ in range(9):
        world.hold("CT_small.dcm", SeriesInstanceUID=f"{STUDY}.900")
    model = UID["study", "get"]
    got = []

    def store(event):
        got.append(event.request.AffectedSOPInstanceUID)
        if len(got) == 2:
            event.assoc.send_c_cancel(1, query_model=model)
        return 0x0000

    assoc = world.associate(model, handler=store)
    *_, (status, _) = assoc.send_c_get(identifier("STUDY"), model)
    assoc.release()
    assert status.Status == 0xFE00
    assert len(got) < 12
    assert status.NumberOfRemainingSuboperations == 12 - len(got)


@pytest.mark.usefixtures("study")
def test_a_workstation_may_not_send_and_a_modality_may_not_ask(world):
    ae = AE("GUEST")
    ae.add_requested_context(CT)
    assoc = ae.associate("127.0.0.1", world.server.port, ae_title="SEALNODE")
    assert assoc.send_c_store(dcmread(BytesIO(sample("CT_small.dcm")))).Status == 0x0124
    assoc.release()
    assert world.ledger.query() == []
    ae = AE("MODALITY")
    ae.requested_contexts = [build_context(CT), build_context(UID["study", "find"])]
    assoc = ae.associate("127.0.0.1", world.server.port, ae_title="SEALNODE")
    assert [cx.abstract_syntax for cx in assoc.accepted_contexts] == [CT]
    assoc.release()


@pytest.mark.usefixtures("study")
def test_a_workstation_that_leaves_ends_its_retrieval(world, tmp_path):
    model = UID["study", "get"]

    def store(event):
        event.assoc.abort()
        return 0x0000

    assoc = world.associate(model, handler=store)
    assoc.dimse_timeout = 2
    list(assoc.send_c_get(identifier("STUDY"), model))
    wait_for(lambda: world.server.associations == 0, seconds=10)
    wait_for(lambda: not list((tmp_path / "retrieved").iterdir()), seconds=10)
