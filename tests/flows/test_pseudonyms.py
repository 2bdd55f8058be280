"""Pseudonyms on their whole way: to a PACS, read back, found and given back by either name."""

from __future__ import annotations

import subprocess

import pydicom
import pytest
from archive import Archive
from modality import Answered, Sent, images, store
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)
from running import RunningNode, wait_for

from node import wiring
from node.dicom import reader
from node.types import DeliveryState, EntryState, Route

ROUTES = """
[profile.research]
dates = "shift"

[workstation.reader]
aet = "READER"
addresses = ["127.0.0.0/8"]
pacs = "pacs-main"
restore = true

[workstation.guest]
aet = "GUEST"
addresses = ["127.0.0.0/8"]
pacs = "pacs-main"

[[route]]
name = "research"
match = { source = ["demo"] }
action = "seal"
identity = "pseudonym"
profile = "research"
unsealable = "header"
to = ["pacs-main"]
"""
CANARY = "Kanarienvogel"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with Archive(tmp_path_factory.mktemp("pacs"), aet="PACS") as archive:
        yield archive


@pytest.fixture(scope="module")
def node(tmp_path_factory, archive):
    folder = tmp_path_factory.mktemp("site")
    node = RunningNode(folder, pacs=archive.port, routes=ROUTES)
    file = node.config / "node.toml"
    text = file.read_text().replace(
        "[destination.pacs-main]\n",
        '[destination.pacs-main]\nreadback = "100%"\nreadback_after = "1s"\n',
    )
    file.write_text(text)
    with node:
        yield node


@pytest.fixture(scope="module")
def sent(node):
    """An image that arrived, and its names in the PACS."""
    (one,) = images(1, seed=4242, PatientName=f"{CANARY}^Hansi", PatientID=CANARY, StudyID=CANARY)
    assert store(node.port, one) == [Answered(0)]
    wait_for(
        lambda: node.entry(one.sop_instance_uid).state is EntryState.DONE,
        why=f"an object; see {node.log}",
    )
    return one


def derived(node: RunningNode, uid: str) -> str:
    route = Route("r", {}, None, identity="pseudonym", uid="derive")
    return wiring.pseudonyms(node.settings, route).uid(uid)


def study_of(sent: Sent) -> str:
    return reader.read_dataset(sent.dataset, sent.transfer_syntax_uid).text("StudyInstanceUID")


def find(node: RunningNode, aet: str, **keys: str) -> list[Dataset]:
    ae = AE(aet)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    assoc = ae.associate("127.0.0.1", node.port, ae_title="SEALNODE")
    assert assoc.is_established
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID"):
        setattr(query, keyword, keys.get(keyword, ""))
    found = list(assoc.send_c_find(query, StudyRootQueryRetrieveInformationModelFind))
    assoc.release()
    assert found[-1][0].Status == 0
    return [match for status, match in found if status.Status == 0xFF00]


def get(node: RunningNode, aet: str, study: str) -> list[Dataset]:
    got: list[Dataset] = []

    def keep(event: evt.Event) -> int:
        got.append(event.dataset)
        return 0

    ae = AE(aet)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_requested_context(CTImageStorage)
    role = build_role(CTImageStorage, scp_role=True)
    assoc = ae.associate(
        "127.0.0.1", node.port, ae_title="SEALNODE", ext_neg=[role],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )  # fmt: skip
    assert assoc.is_established
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study
    list(assoc.send_c_get(query, StudyRootQueryRetrieveInformationModelGet))
    assoc.release()
    return got


def test_the_pacs_gets_an_object_that_names_nobody_and_it_is_read_back_intact(node, archive, sent):
    there = derived(node, sent.sop_instance_uid)
    file = archive.path(there)

    assert archive.uids() == {there}
    assert CANARY.encode() not in file.read_bytes()
    assert pydicom.dcmread(file).StudyInstanceUID == derived(node, study_of(sent))
    entry = node.entry(sent.sop_instance_uid).id
    wait_for(
        lambda: node.deliveries(entry)["pacs-main"].state is DeliveryState.VERIFIED,
        why=f"reading back; see {node.log}",
    )
    assert node.rows("verify", file)[0]["verdict"] == "INTACT"


def test_an_object_is_told_of_under_either_uid(node, sent):
    there = derived(node, sent.sop_instance_uid)

    assert node.entry(there) == node.entry(sent.sop_instance_uid)


def test_a_workstation_that_gets_originals_finds_them_by_either_name(node, sent):
    there = derived(node, study_of(sent))

    by_here = find(node, "READER", StudyInstanceUID=study_of(sent))
    by_there = find(node, "READER", StudyInstanceUID=there)

    assert [m.StudyInstanceUID for m in by_here] == [study_of(sent)]
    assert [m.StudyInstanceUID for m in by_there] == [there]
    assert by_here[0].PatientID == by_there[0].PatientID != CANARY
    for study in (study_of(sent), there):
        (got,) = get(node, "READER", study)
        assert (got.PatientID, got.SOPInstanceUID) == (CANARY, sent.sop_instance_uid)


def test_another_workstation_learns_nothing_of_who_a_pseudonym_is(node, sent):
    there = derived(node, study_of(sent))

    assert find(node, "GUEST", StudyInstanceUID=study_of(sent)) == []
    assert get(node, "GUEST", study_of(sent)) == []
    (got,) = get(node, "GUEST", there)
    assert (got.StudyInstanceUID, got.PatientIdentityRemoved) == (there, "YES")
    assert CANARY not in str(got)


@pytest.mark.usefixtures("sent")
def test_no_log_and_no_row_names_the_patient(node):
    text = subprocess.run(
        ["grep", "-rlaF", CANARY, str(node.folder), "--exclude-dir=objects"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip

    assert text == ""
