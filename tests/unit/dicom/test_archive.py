"""Asking an archive what it holds, and fetching from it in turns."""

from __future__ import annotations

import threading
from io import BytesIO

import pytest
from archive import Archive as Pacs
from network import BRISK, requestor
from pydicom import dcmread
from running import free_ports
from sealing import sample

from node.dicom import archive as archives
from node.dicom.acceptance import Settings
from node.dicom.archive import DimseArchive
from node.dicom.requestor import NoContextError
from node.dicom.retrieve import Wanted
from node.dicom.scu import StorageScu
from node.dicom.sending import Outgoing
from node.errors import UnreachableError

STUDY = "1.2.826.0.1.3680043.10.1234.66"


@pytest.fixture
def world(tmp_path):
    """Give an archive with four objects in two series, and the port that it moves to."""
    (port,) = free_ports(1)
    moves = {"FETCH": ("127.0.0.1", port)}
    with Pacs(tmp_path / "pacs", destinations=moves) as pacs:
        pacs.fetch_port = port
        scu = StorageScu(requestor(pacs.port, aet="ARCHIVE"))
        for number in range(4):
            ds = dcmread(BytesIO(sample("CT_small.dcm")))
            ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, f"{STUDY}.{number % 2}"
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.9.{number}"
            out = BytesIO()
            ds.save_as(out, enforce_file_format=True)
            data = out.getvalue()
            scu.send(
                Outgoing(
                    ds.SOPClassUID, ds.SOPInstanceUID, ds.file_meta.TransferSyntaxUID,
                    lambda data=data: BytesIO(data),
                )
            )  # fmt: skip
        scu.close()
        yield pacs


def asking(pacs, turn=None) -> DimseArchive:
    receiving = Settings("FETCH", port=pacs.fetch_port, limits=BRISK)
    return DimseArchive(requestor(pacs.port, aet="ARCHIVE"), receiving, turn=turn)


def test_an_archive_tells_whether_it_holds_an_object(world):
    there = Wanted(STUDY, f"{STUDY}.0", f"{STUDY}.9.0")
    assert asking(world).holds(there)
    assert not asking(world).holds(Wanted(STUDY, f"{STUDY}.0", "1.2.3"))


@pytest.mark.parametrize(
    ("level", "keys", "count"),
    [
        ("PATIENT", {"PatientID": ("1CT1",)}, 4),
        ("STUDY", {"StudyInstanceUID": (STUDY,)}, 4),
        ("SERIES", {"StudyInstanceUID": (STUDY,), "SeriesInstanceUID": (f"{STUDY}.1",)}, 2),
    ],
)
def test_the_instances_below_any_level_are_listed(world, level, keys, count):
    found = asking(world).contents(level, keys)
    assert len(found) == count
    assert {one.study_instance_uid for one in found} == {STUDY}
    assert {one.sop_class_uid for one in found} == {"1.2.840.10008.5.1.4.1.1.2"}


def test_several_series_and_instances_come_in_one_request(world, tmp_path):
    both = f"{STUDY}.0\\{STUDY}.1"
    assert len(asking(world).fetch(Wanted(STUDY, both), tmp_path)) == 4
    some = f"{STUDY}.9.0\\{STUDY}.9.2"
    assert len(asking(world).fetch(Wanted(STUDY, f"{STUDY}.0", some), tmp_path)) == 2


def test_moves_from_several_threads_take_turns_with_the_port(world, tmp_path, monkeypatch):
    def refused(*_):
        raise NoContextError("no C-GET")

    monkeypatch.setattr(archives, "fetch_by_get", refused)
    counts = []

    def fetch(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = asking(world, tmp_path / "turn").fetch(Wanted(STUDY), folder)
        counts.append(len(found))

    threads = [threading.Thread(target=fetch, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert counts == [4, 4, 4]


def test_an_archive_that_cannot_be_asked_is_said_to_be(world):
    peer = requestor(free_ports(1)[0], aet="ARCHIVE")
    archive = DimseArchive(peer, Settings("FETCH", port=world.fetch_port))
    with pytest.raises(UnreachableError):
        archive.holds(Wanted(STUDY))
