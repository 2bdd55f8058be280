"""Reading back from an archive that is not trusted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from archive import Archive
from network import BRISK, CT, EXPLICIT_LE, dataset_bytes, requestor, sample
from pydicom import dcmread
from pynetdicom import AE, build_context, evt
from running import free_ports

from node.dicom import retrieve
from node.dicom.acceptance import Settings
from node.dicom.requestor import NoContextError
from node.dicom.retrieve import FetchError, Wanted, fetch_by_get, fetch_by_move
from node.dicom.scu import StorageScu
from node.dicom.sending import Outgoing
from node.errors import UnreachableError

NAMES = ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm")


def item(name: str) -> Outgoing:
    header = dcmread(sample(name), stop_before_pixels=True)
    return Outgoing(
        str(header.SOPClassUID),
        str(header.SOPInstanceUID),
        str(header.file_meta.TransferSyntaxUID),
        lambda: sample(name).open("rb"),
    )


def wanted(name: str, level: str = "IMAGE", *, known: bool = True) -> Wanted:
    header = dcmread(sample(name), stop_before_pixels=True)
    return Wanted(
        str(header.StudyInstanceUID),
        str(header.SeriesInstanceUID) if level != "STUDY" else "",
        str(header.SOPInstanceUID) if level == "IMAGE" else "",
        (item(name).pair,) if known else (),
    )


@pytest.fixture
def archive(tmp_path):
    """Give an archive that holds three objects and may move to one port."""
    port = free_ports(1)[0]
    with Archive(tmp_path / "archive", destinations={"FETCH": ("127.0.0.1", port)}) as running:
        running.move_port = port
        scu = StorageScu(requestor(running.port, aet="ARCHIVE"))
        for name in NAMES:
            scu.send(item(name))
        scu.close()
        yield running


def fetch(archive, what: Wanted, folder, how: str):
    folder.mkdir(exist_ok=True)
    peer = requestor(archive.port, aet="ARCHIVE")
    if how == "get":
        return list(fetch_by_get(peer, what, folder))
    receiving = Settings("FETCH", port=archive.move_port, limits=BRISK)
    return list(fetch_by_move(peer, what, folder, receiving))


@pytest.mark.parametrize("how", ["get", "move"])
@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
@pytest.mark.parametrize("known", [True, False])
def test_what_was_stored_comes_back(archive, tmp_path, how, level, known):
    found = fetch(archive, wanted("CT_small.dcm", level, known=known), tmp_path / "back", how)
    assert len(found) == 1
    assert dcmread(found[0]).PixelData == dcmread(sample()).PixelData
    assert dataset_bytes(found[0])[:200] == dataset_bytes(sample())[:200]


@pytest.mark.parametrize("how", ["get", "move"])
def test_an_object_in_a_compressed_syntax_comes_back_in_it(archive, tmp_path, how):
    found = fetch(archive, wanted("JPEG2000.dcm"), tmp_path / "back", how)
    original = dcmread(sample("JPEG2000.dcm"))
    assert dcmread(found[0]).file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID


@pytest.mark.parametrize("how", ["get", "move"])
def test_what_the_archive_does_not_have_is_an_empty_answer(archive, tmp_path, how):
    assert fetch(archive, Wanted("1.2.3.4"), tmp_path / "back", how) == []


def test_an_unknown_move_destination_is_told(archive, tmp_path):
    receiving = Settings("NOBODY", port=archive.move_port, limits=BRISK)
    peer = requestor(archive.port, aet="ARCHIVE")
    with pytest.raises(FetchError) as error:
        list(fetch_by_move(peer, wanted("CT_small.dcm"), tmp_path, receiving))
    assert error.value.code == "status_a801"


def test_an_archive_that_is_not_there_is_unreachable(tmp_path):
    with pytest.raises(UnreachableError):
        list(fetch_by_get(requestor(free_ports(1)[0]), wanted("CT_small.dcm"), tmp_path))


def test_the_default_classes_leave_room_for_the_query():
    assert len(retrieve.CLASSES) == 127
    for common in ("1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.5.1.4.1.1.481.3", CT):
        assert common in retrieve.CLASSES


class Hostile:
    """An archive that answers C-GET by C-STOREs of its own choice."""

    def __init__(self, *datasets, get: bool = True) -> None:
        self.datasets = datasets
        self.statuses: list[int] = []
        ae = AE("ARCHIVE")
        ae.add_supported_context(CT, EXPLICIT_LE, scu_role=True, scp_role=True)
        if get:
            ae.add_supported_context(retrieve.GET)
        handlers = [(evt.EVT_C_GET, self._get), (evt.EVT_DIMSE_RECV, self._note)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self._server.server_address[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()

    def _get(self, _):
        yield len(self.datasets)
        for dataset in self.datasets:
            yield 0xFF00, dataset

    def _note(self, event):
        if event.message.command_set.CommandField == 0x8001:
            self.statuses.append(event.message.command_set.Status)


def changed(**values):
    dataset = dcmread(sample())
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"SOPInstanceUID": "1.2.3.4"}, 0x0124),
        ({"StudyInstanceUID": "1.2.3.4"}, 0xA900),
        ({"SeriesInstanceUID": "1.2.3.4"}, 0xA900),
    ],
)
def test_what_was_not_asked_for_is_not_taken(tmp_path, values, status):
    with Hostile(changed(**values)) as archive, pytest.raises(FetchError) as caught:
        list(fetch_by_get(requestor(archive.port, aet="ARCHIVE"), wanted("CT_small.dcm"), tmp_path))
    assert archive.statuses == [status]
    assert list(tmp_path.glob("*.dcm")) == []
    [evidence] = caught.value.wrong
    assert list(tmp_path.iterdir()) == [evidence]
    assert len(caught.value.refused) == 1


def test_what_is_too_large_is_not_taken(tmp_path):
    what = replace(wanted("CT_small.dcm"), max_size=10000)
    with Hostile(changed()) as archive, pytest.raises(FetchError) as caught:
        list(fetch_by_get(requestor(archive.port, aet="ARCHIVE"), what, tmp_path))
    assert caught.value.refused == ("too_large",)
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_named_by_what_an_object_says(archive, tmp_path):
    for path in fetch(archive, wanted("CT_small.dcm"), tmp_path / "back", "get"):
        said = [str(element.value) for element in dcmread(path) if element.VR != "OW"]
        assert not any(text in path.name for text in said if len(text) > 3)


def test_an_archive_without_the_service_is_told_apart(tmp_path):
    with Hostile(get=False) as archive, pytest.raises(NoContextError):
        list(fetch_by_get(requestor(archive.port, aet="ARCHIVE"), wanted("CT_small.dcm"), tmp_path))


def test_only_the_archive_may_call_while_a_move_is_awaited(archive, tmp_path):
    peer = requestor(archive.port, aet="ARCHIVE")
    receiving = Settings("FETCH", port=archive.move_port, limits=BRISK)
    tried = []

    class Spy(retrieve.Collector):
        def admit(self, peer, names, login):
            tried.append(peer.calling_aet)
            return super().admit(peer, names, login)

    original = retrieve.Collector
    retrieve.Collector = Spy
    try:
        list(fetch_by_move(peer, wanted("CT_small.dcm"), tmp_path, receiving))
    finally:
        retrieve.Collector = original
    assert tried == ["ARCHIVE"]


def test_a_context_is_only_built_from_what_is_known():
    known = retrieve._storage_contexts(wanted("JPEG2000.dcm"))
    assert known[0] == build_context(*item("JPEG2000.dcm").pair)
