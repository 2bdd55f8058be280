"""Orthanc, dcmqrscp and an archive on pynetdicom keep shares for a running node."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import peers
import pytest
from archive import Archive
from modality import images, store
from running import RunningNode, free_ports, wait_for

from node.dicom import reader
from node.types import DeliveryState, EntryState

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.slow]

ROUTES = """
[destination.orthanc]
aet = "PACS"
host = "127.0.0.1"
port = {orthanc}
readback = "100%"
readback_after = "1s"

[destination.dcmtk]
aet = "PACS"
host = "127.0.0.1"
port = {dcmtk}
readback = "100%"
readback_after = "1s"

[workstation.viewer]
aet = "VIEWER"
addresses = ["127.0.0.0/8"]
pacs = "pacs-main"
restore = true

[[route]]
name = "shared"
match = {{ source = ["demo"] }}
action = "seal"
shares = {{ k = 2, n = 3, to = ["orthanc", "dcmtk", "pacs-main"] }}
"""
KEEPERS = ("orthanc", "dcmtk", "pacs-main")


class Site:
    """A node between three real archives and a real workstation."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        for name in ("Orthanc", "dcmqrscp", "getscu"):
            peers.needed(name)
        self.lives = {name: stack.enter_context(ExitStack()) for name in KEEPERS}
        orthanc, dcmtk = free_ports(2)
        self.ours = self.lives["pacs-main"].enter_context(Archive(folder / "ours", aet="PACS"))
        routes = ROUTES.format(orthanc=orthanc, dcmtk=dcmtk)
        self.node = RunningNode(folder / "node", pacs=self.ours.port, routes=routes)
        fetch = self.node.fetch_port
        self.orthanc = self.lives["orthanc"].enter_context(
            peers.orthanc(folder / "orthanc", port=orthanc, fetch_port=fetch)
        )
        self.lives["dcmtk"].enter_context(
            peers.dcmqrscp(folder / "dcmtk", port=dcmtk, fetch_port=fetch)
        )
        stack.enter_context(self.node)
        some = images(3, seed=77)
        assert {answer.status for answer in store(self.node.port, *some)} == {0}
        self.sent = {sent.sop_instance_uid: sent.dataset for sent in some}
        self.entries = [entry.id for entry in self.node.entries()]
        self.study = self.node.entries()[0].instance.study_instance_uid
        wait_for(self._verified, why=f"every share to be read back; see {self.node.log}")

    def _verified(self) -> bool:
        good = {"orthanc": DeliveryState.VERIFIED, "dcmtk": DeliveryState.VERIFIED,
                "pacs-main": DeliveryState.SENT}  # fmt: skip
        return all(
            {name: one.state for name, one in self.node.deliveries(entry).items()} == good
            for entry in self.entries
        )

    def get(self, folder: Path, *keys: str) -> dict[str, bytes]:
        """Retrieve as a workstation; return data sets by UID."""
        keys = keys or ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={self.study}")
        peers.getscu(self.node.port, folder, *keys, aet="VIEWER")
        found = [reader.read(path.read_bytes()) for path in folder.iterdir()]
        return {obj.text("SOPInstanceUID"): obj.dataset for obj in found}


@pytest.fixture
def site(tmp_path):
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


def test_shares_come_back_from_orthanc_and_dcmtk_and_whoever_is_dead_is_done_without(
    site, tmp_path
):
    assert {entry.state for entry in site.node.entries()} == {EntryState.DONE}
    assert site.get(tmp_path / "all") == site.sent
    instance = site.node.entries()[0].instance
    one = site.get(
        tmp_path / "one", "QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={site.study}",
        f"SeriesInstanceUID={instance.series_instance_uid}",
        f"SOPInstanceUID={instance.sop_instance_uid}",
    )  # fmt: skip
    assert set(one) == {instance.sop_instance_uid}

    held = site.ours.paths()
    for path in held:  # the archive that the workstation asks lies
        data = bytearray(path.read_bytes())
        data[-20] ^= 1
        path.write_bytes(data)
    assert site.get(tmp_path / "lied") == site.sent
    named = site.node.events("share_refused")
    assert [event["destination"] for event in named] == ["pacs-main"] * 3
    out = tmp_path / "out"
    out.mkdir()
    words = ("restore", "--from", "dcmtk", "--study", site.study, "-o", out)
    site.node.nodectl(*words)
    assert len(list(out.iterdir())) == 3

    site.lives["pacs-main"].close()
    assert site.get(tmp_path / "dead") == site.sent

    site.lives["orthanc"].close()
    ended = site.node.nodectl(*words, expect=75)
    assert "2 good shares are needed, 1 are there" in ended.stderr
    assert site.get(tmp_path / "none") == {}
