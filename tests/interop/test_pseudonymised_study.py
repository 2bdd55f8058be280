"""A pseudonymised study and its key object note in Orthanc: it holds together and comes back."""

from __future__ import annotations

import json
from collections import Counter

import peers
import pydicom
import pytest
from running import RunningNode, free_ports, wait_for

from node.types import EntryState

pytestmark = [pytest.mark.peers, pytest.mark.shared, pytest.mark.slow]

ROUTES = """
[workstation.reader]
aet = "READER"
addresses = ["127.0.0.0/8"]
pacs = "pacs-main"
restore = true

[[route]]
name = "hidden"
match = { source = ["demo"] }
action = "seal"
identity = "pseudonym"
unsealable = "header"
to = ["pacs-main"]
"""


def references(ds: pydicom.Dataset) -> set[str]:
    """Every instance that an object refers to, at any depth."""
    found = {e.value for e in ds.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
    return {str(uid) for uid in found}


def test_a_study_in_orthanc_names_nobody_holds_together_and_comes_back(tmp_path, shared_dicom):
    files = sorted((shared_dicom / "study_ptct").glob("*.dcm"))
    originals = {pydicom.dcmread(path).SOPInstanceUID: path for path in files}
    (port,) = free_ports(1)
    node = RunningNode(tmp_path / "site", pacs=port, routes=ROUTES)
    with peers.orthanc(tmp_path / "pacs", port=port, fetch_port=node.fetch_port) as pacs, node:
        assert all(peers.storescu(node.port, files).values())
        wait_for(
            lambda: all(node.entry(uid).state is EntryState.DONE for uid in originals),
            why=f"a study; see {node.log}",
        )
        patients = [json.loads(pacs.rest("GET", f"/patients/{i}"))
                    for i in json.loads(pacs.rest("GET", "/patients"))]  # fmt: skip
        kept = [
            pydicom.dcmread(pydicom.filebase.DicomBytesIO(pacs.rest("GET", f"/instances/{i}/file")))
            for i in json.loads(pacs.rest("GET", "/instances"))
        ]
        study = pydicom.dcmread(files[0]).StudyInstanceUID
        back = tmp_path / "back"
        back.mkdir()
        peers.getscu(node.port, back, "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}",
                     aet="READER")  # fmt: skip

    before = [pydicom.dcmread(path) for path in files]
    assert len(kept) == len(files)
    assert len(patients) == len({ds.PatientID for ds in before})
    assert Counter(Counter(d.SeriesInstanceUID for d in kept).values()) == Counter(
        Counter(d.SeriesInstanceUID for d in before).values()
    )
    there = {ds.SOPInstanceUID for ds in kept}
    inside = [len(references(ds) & set(originals)) for ds in before]
    assert sum(inside) > 0
    assert sorted(len(references(ds) & there) for ds in kept) == sorted(inside)
    names = {str(ds.PatientName) for ds in before} | {ds.PatientID for ds in before}
    assert not [name for name in names for ds in kept if name in str(ds)]
    came = {pydicom.dcmread(path).SOPInstanceUID for path in back.iterdir()}
    assert came == {ds.SOPInstanceUID for ds in before if ds.StudyInstanceUID == study}
