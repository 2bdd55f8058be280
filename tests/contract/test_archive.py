"""What every archive promises, whether it is reached by associations or by DICOMweb."""

from __future__ import annotations

from io import BytesIO

import pytest
from archive import Archive as Pacs
from network import BRISK, requestor
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode
from running import free_ports
from sealing import sample

from node.dicom import reader
from node.dicom.acceptance import Settings
from node.dicom.archive import DimseArchive
from node.dicom.retrieve import FetchError, Wanted
from node.dicom.scu import StorageScu
from node.dicom.sending import Outgoing
from node.types import Delivered

STUDY = "1.2.826.0.1.3680043.10.1234.67"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
EXPLICIT_LE = "1.2.840.10008.1.2.1"


def objects(count: int = 4) -> list[bytes]:
    made = []
    for number in range(count):
        ds = dcmread(BytesIO(sample("CT_small.dcm")))
        ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, f"{STUDY}.{number % 2}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.9.{number}"
        ds.PatientName, ds.InstanceNumber = "Roe^Richard", number
        out = BytesIO()
        ds.save_as(out, enforce_file_format=True)
        made.append(out.getvalue())
    return made


def outgoing(data: bytes) -> Outgoing:
    obj = reader.read(data)
    return Outgoing(
        obj.text("SOPClassUID"), obj.text("SOPInstanceUID"), obj.transfer_syntax_uid,
        lambda: BytesIO(data),
    )  # fmt: skip


@pytest.fixture(params=["associations", "web"])
def world(request, tmp_path):
    """Give a sender and an archive for one peer, to which four objects were sent."""
    if request.param == "web":
        web = pytest.importorskip(
            "web", reason="the extra 'web' is not installed", exc_type=ImportError
        )
        with web.WebPacs() as pacs:
            filled(pacs.sender())
            yield pacs.archive()
        return
    with Pacs(tmp_path / "pacs") as pacs:
        receiving = Settings("FETCH", port=free_ports(1)[0], limits=BRISK)
        filled(StorageScu(requestor(pacs.port, aet="ARCHIVE")))
        yield DimseArchive(requestor(pacs.port, aet="ARCHIVE"), receiving)


def filled(sender) -> None:
    items = [outgoing(data) for data in objects()]
    sender.expect([item.pair for item in items])
    assert [sender.send(item) for item in items] == [Delivered()] * 4
    sender.idle()
    sender.close()


def test_what_was_sent_comes_back_byte_for_byte(world, tmp_path):
    for number, data in enumerate(objects()):
        wanted = Wanted(STUDY, f"{STUDY}.{number % 2}", f"{STUDY}.9.{number}")
        (path,) = world.fetch(wanted, tmp_path)
        assert reader.read(path.read_bytes()).dataset == reader.read(data).dataset


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Wanted(STUDY), 4),
        (Wanted(STUDY, f"{STUDY}.0\\{STUDY}.1"), 4),
        (Wanted(STUDY, f"{STUDY}.1"), 2),
        (Wanted(STUDY, f"{STUDY}.1", f"{STUDY}.9.1\\{STUDY}.9.3"), 2),
        (Wanted(STUDY, f"{STUDY}.1", f"{STUDY}.9.0.7"), 0),
        (Wanted("1.2.3"), 0),
    ],
)
def test_all_of_what_is_wanted_comes_and_nothing_else(world, tmp_path, wanted, count):
    assert len(world.fetch(wanted, tmp_path)) == count


def test_each_object_is_handed_over_as_it_arrives(world, tmp_path):
    given = {}
    assert not world.fetch(
        Wanted(STUDY), tmp_path, lambda path, said: given.update({said.sop_instance_uid: path})
    )
    assert set(given) == {f"{STUDY}.9.{number}" for number in range(4)}
    assert all(path.is_file() for path in given.values())


def test_an_object_larger_than_allowed_is_not_taken(world, tmp_path):
    wanted = Wanted(STUDY, f"{STUDY}.0", f"{STUDY}.9.0", max_size=2000)
    with pytest.raises(FetchError):
        world.fetch(wanted, tmp_path)
    assert not list(tmp_path.glob("*.dcm"))


def test_an_archive_tells_whether_it_holds_an_object(world):
    assert world.holds(Wanted(STUDY, f"{STUDY}.0", f"{STUDY}.9.0"))
    assert not world.holds(Wanted(STUDY, f"{STUDY}.0", "1.2.3"))
    assert not world.holds(Wanted("1.2.3", "1.2.4", "1.2.5"))


@pytest.mark.parametrize(
    ("level", "keys", "count"),
    [
        ("PATIENT", {"PatientID": ("1CT1",)}, 4),
        ("STUDY", {"StudyInstanceUID": (STUDY, "1.2.3")}, 4),
        ("SERIES", {"StudyInstanceUID": (STUDY,), "SeriesInstanceUID": (f"{STUDY}.1",)}, 2),
        ("IMAGE", {"StudyInstanceUID": (STUDY,), "SeriesInstanceUID": (f"{STUDY}.1",),
                   "SOPInstanceUID": (f"{STUDY}.9.3", f"{STUDY}.9.2")}, 1),
    ],
)  # fmt: skip
def test_the_instances_below_any_level_are_listed(world, level, keys, count):
    found = world.contents(level, keys)
    assert len(found) == count
    assert all(one.study_instance_uid == STUDY for one in found)
    assert all(one.sop_class_uid == "1.2.840.10008.5.1.4.1.1.2" for one in found)
    assert all(one.series_instance_uid.startswith(f"{STUDY}.") for one in found)


def identifier(**keys: str) -> bytes:
    ds = Dataset()
    for keyword, value in keys.items():
        setattr(ds, keyword, value)
    return encode(ds, is_implicit_vr=False, is_little_endian=True)


@pytest.mark.parametrize(
    ("model", "keys", "count"),
    [
        (PATIENT_FIND, {"QueryRetrieveLevel": "PATIENT", "PatientID": "1CT1",
                        "PatientName": ""}, 1),
        (STUDY_FIND, {"QueryRetrieveLevel": "STUDY", "PatientID": "1CT1", "PatientName": "",
                      "StudyInstanceUID": ""}, 1),
        (STUDY_FIND, {"QueryRetrieveLevel": "STUDY", "PatientID": "NOBODY",
                      "PatientName": ""}, 0),
        (STUDY_FIND, {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": STUDY,
                      "PatientName": "", "SeriesInstanceUID": ""}, 2),
        (STUDY_FIND, {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": STUDY,
                      "SeriesInstanceUID": f"{STUDY}.1", "PatientName": "",
                      "SOPInstanceUID": "", "Rows": None}, 2),
    ],
)  # fmt: skip
def test_a_query_of_each_level_is_answered_with_the_keys_it_asks_for(world, model, keys, count):
    said = list(
        world.query(model, identifier(**keys), EXPLICIT_LE, lambda: False, retrieve_aet="SEALNODE")
    )
    assert said[-1] == (0x0000, None)
    found = [reader.read_dataset(data, EXPLICIT_LE) for status, data in said[:-1]]
    assert len(found) == count
    for obj in found:
        assert obj.text("PatientName") == "Roe^Richard"
        assert obj.text("QueryRetrieveLevel") == keys["QueryRetrieveLevel"]
        assert obj.text("RetrieveAETitle") == "SEALNODE"
        assert obj.ints("Rows") == ((128,) if "Rows" in keys else ())
        assert obj.ordered
