"""A running node, three archives that it need not trust, and everything that can become of one."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from archive import Archive
from modality import images, store
from network import requestor
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from running import RunningNode, wait_for

from node import wiring
from node.crypto.shares import scheme
from node.dicom import reader, share_object
from node.dicom.scu import StorageScu
from node.dicom.sending import Outgoing
from node.types import Delivered, DeliveryState, EntryState

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CT = "1.2.840.10008.5.1.4.1.1.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
KEEPERS = ("pacs-main", "cloud-b", "cloud-c")
ROUTES = """
[destination.cloud-b]
aet = "B"
host = "127.0.0.1"
port = {b}

[destination.cloud-c]
aet = "C"
host = "127.0.0.1"
port = {c}

[workstation.viewer]
aet = "VIEWER"
addresses = ["127.0.0.0/8"]
pacs = "pacs-main"
restore = true

[[route]]
name = "shared"
match = {{ source = ["demo"] }}
action = "seal"
shares = {{ k = 2, n = 3, to = ["pacs-main", "cloud-b", "cloud-c"] }}
"""


class Site:
    """A node with a share of everything in each of three archives."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.lives = {name: stack.enter_context(ExitStack()) for name in KEEPERS}
        self.archives = {
            name: life.enter_context(Archive(folder / name, aet=aet))
            for (name, life), aet in zip(self.lives.items(), ("PACS", "B", "C"), strict=True)
        }
        ports = [archive.port for archive in self.archives.values()]
        routes = ROUTES.format(b=ports[1], c=ports[2])
        self.node = RunningNode(folder / "node", pacs=ports[0], routes=routes)
        self.sent: dict[str, bytes] = {}

    def send(self, count: int = 1, seed: int = 1) -> None:
        some = images(count, seed=seed)
        assert {answer.status for answer in store(self.node.port, *some)} == {0}
        self.sent |= {sent.sop_instance_uid: sent.dataset for sent in some}

    def done(self) -> None:
        wait_for(
            lambda: all(entry.state is EntryState.DONE for entry in self.node.entries()),
            why=f"every share to arrive; see {self.node.log}",
        )

    @property
    def study(self) -> str:
        return self.node.entries()[0].instance.study_instance_uid

    def restore(self, folder: Path, *, at="pacs-main", expect=0):
        folder.mkdir()
        ended = self.node.nodectl(
            "restore", "--from", at, "--study", self.study, "-o", folder, expect=expect
        )
        found = [reader.read(path.read_bytes()) for path in folder.glob("*")]
        return {obj.text("SOPInstanceUID"): obj.dataset for obj in found}, ended.stderr

    def get(self) -> tuple[int, dict[str, bytes]]:
        """C-GET the study as a workstation; return the final status and what came."""
        got: dict[str, bytes] = {}

        def take(event) -> int:
            got[str(event.request.AffectedSOPInstanceUID)] = event.encoded_dataset()
            return 0

        ae = AE("VIEWER")
        ae.add_requested_context(GET)
        ae.add_requested_context(CT)
        assoc = ae.associate(
            "127.0.0.1", self.node.port, ae_title="SEALNODE",
            ext_neg=[build_role(CT, scp_role=True)], evt_handlers=[(evt.EVT_C_STORE, take)],
        )  # fmt: skip
        assert assoc.is_established
        ds = Dataset()
        ds.QueryRetrieveLevel, ds.StudyInstanceUID = "STUDY", self.study
        *_, (status, _) = assoc.send_c_get(ds, GET)
        assoc.release()
        return status.Status, {uid: reader.read(data).dataset for uid, data in got.items()}

    def lie(self, name: str) -> None:
        for path in self.archives[name].paths():
            ds = dcmread(path)
            body = bytearray(ds[0x5345, 0x1010].value)
            body[-9] ^= 1
            ds[0x5345, 0x1010].value = bytes(body)
            ds.save_as(path, enforce_file_format=True)

    def audited(self, event: str) -> list[dict]:
        rows = self.node.rows("audit", "tail", "-n", "999")
        return [row for row in rows if row["event"] == event]


@pytest.fixture
def site(tmp_path):
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


def test_no_archive_can_read_an_image_and_any_two_give_it_back(site, tmp_path):
    with site.node:
        site.send(3)
        site.done()
        entry = site.node.entries()[0]
        shown = site.node.nodectl("queue", "show", entry.id).stdout
        assert [f"{number}/3" in shown for number in (1, 2, 3)] == [True] * 3
        wait_for(lambda: len(site.audited("share_made")) == 9, why="the audit log")
        assert {row["facts"]["destination"] for row in site.audited("delivery_sent")} == {*KEEPERS}

        for name, archive in site.archives.items():
            assert len(archive.paths()) == 3, name
            for path in archive.paths():
                ds = dcmread(path)
                assert str(ds.PatientName) == "SEALNODE^SHARE"
                assert ds.SOPClassUID == share_object.RAW_DATA
                assert "PixelData" not in ds

        found, said = site.restore(tmp_path / "all")
        assert (found, "share" in said) == (site.sent, False)
        assert site.get() == (0x0000, site.sent)

        site.lie("cloud-b")
        found, said = site.restore(tmp_path / "liar")
        assert found == site.sent
        assert said.count("cloud-b: damaged: its data are not those that were made") == 3
        assert site.get() == (0x0000, site.sent)
        wait_for(lambda: len(site.audited("share_refused")) == 3, why="the audit log")
        assert site.audited("share_refused")[0]["facts"]["destination"] == "cloud-b"

        site.lives["pacs-main"].close()
        found, said = site.restore(tmp_path / "one", expect=75)
        assert found == {}
        assert "2 good shares are needed, 1 are there" in said
        assert "cloud-b: damaged" in said
        status, got = site.get()
        assert (status, got) == (0xA702, {})
        told = str(site.node.events("shares_missing")) + str(site.audited("shares_missing"))
        assert "cloud-b: damaged" in told
        assert not any(uid in told for uid in site.sent)


def test_the_archive_that_a_workstation_asks_is_dead_and_the_images_still_come(site, tmp_path):
    with site.node:
        site.send(2)
        site.done()
        site.lives["pacs-main"].close()
        assert site.get() == (0x0000, site.sent)
        found, said = site.restore(tmp_path / "out")
        assert found == site.sent
        assert "pacs-main: " in said


def test_what_the_spool_and_the_ledger_have_forgotten_is_still_found(site, tmp_path):
    file = site.node.config / "node.toml"
    file.write_text(file.read_text().replace("[node]\n", '[node]\nretention = "0s"\n', 1))
    with site.node:
        site.send(1)
        study = site.study
        wait_for(lambda: not site.node.entries(), why="the entry to be forgotten")
        blobs = site.node.config / "state" / "spool" / "objects"
        wait_for(lambda: not [p for p in blobs.rglob("*") if p.is_file()], why="its blobs to go")
        out = tmp_path / "out"
        out.mkdir()
        site.node.nodectl("restore", "--from", "cloud-c", "--study", study, "-o", out)
        [path] = out.iterdir()
        assert reader.read(path.read_bytes()).dataset == next(iter(site.sent.values()))


@pytest.mark.parametrize("place", ["blob.linked", "process.put"])
def test_killed_between_its_commits_it_sends_the_same_shares(place, site, tmp_path):
    site.node.start(failpoint=place)  # where nobody but the process stage comes by
    try:
        site.send(1)
        wait_for(lambda: site.node.entries()[0].attempts >= 2, why="the stage to die")
        site.node.kill_all()
        site.node.start()
        site.done()
        assert [len(archive.paths()) for archive in site.archives.values()] == [1, 1, 1]
        objects = site.node.config / "state" / "spool" / "objects"
        kept = [path for path in objects.rglob("*") if path.is_file()]
        assert len(kept) == 5, "the original, the sealed object, its shares, and no orphan"
        assert site.restore(tmp_path / "out")[0] == site.sent
    finally:
        site.node.stop()


def test_a_share_that_was_changed_is_parked_with_evidence_and_a_lost_one_is_sent_again(site):
    routes = site.node.config / "routes.d" / "10-test.toml"
    for file, name in ((site.node.config / "node.toml", "pacs-main"), (routes, "cloud-b")):
        read_back = f'[destination.{name}]\nreadback = "100%"\nreadback_after = "3s"\n'
        file.write_text(file.read_text().replace(f"[destination.{name}]\n", read_back, 1))
    with site.node:
        site.send(1)
        site.done()
        site.lie("pacs-main")
        [path] = site.archives["cloud-b"].paths()
        path.unlink()
        site.archives["cloud-b"]._index.clear()
        entry = site.node.entries()[0].id

        def state(name):
            return site.node.deliveries(entry)[name].state

        wait_for(lambda: state("pacs-main") is DeliveryState.PARKED, why="the change to be found")
        site.node.nodectl("queue", "retry", entry)
        wait_for(lambda: len(site.archives["cloud-b"].paths()) == 1, why="the lost one to be sent")
        site.done()
        evidence = list((site.node.config / "state" / "evidence").glob("*.dcm"))
        assert len(evidence) == 1
        assert share_object.carries(reader.read(evidence[0].read_bytes()))
        assert state("cloud-c") is DeliveryState.SENT


def test_what_comes_together_and_is_not_sealed_is_kept_from_workstations(site):
    """As k keepers together might make it up, had they the key that signs."""
    with site.node:
        site.send(1)
        site.done()
        instance = replace(site.node.entries()[0].instance, sop_instance_uid="1.2.3.4")
        forged = site.node.received(site.node.entries()[0])
        made = wiring.sharer(site.node.settings).share(forged, instance, 2, 3)
        for archive, share in zip(site.archives.values(), made, strict=True):
            scu = StorageScu(requestor(archive.port, aet=archive.aet))
            outgoing = Outgoing(
                share.sop_class_uid, share.sop_instance_uid, share.transfer_syntax_uid,
                partial(BytesIO, share.data),
            )  # fmt: skip
            assert isinstance(scu.send(outgoing), Delivered)
            scu.close()
        status, got = site.get()
        assert (status, got) == (0xB000, site.sent)
        wait_for(lambda: site.audited("retrieve_blocked"), why="the audit log")


def test_shares_from_archives_combine_by_hand(site, tmp_path):
    with site.node:
        site.send(1)
        site.done()
    paths = [next(iter(archive.paths())) for archive in site.archives.values()]
    site.node.nodectl("shares", "combine", *paths[1:], "-o", tmp_path / "sealed.dcm")
    site.node.nodectl("restore", tmp_path / "sealed.dcm", "-o", tmp_path / "original.dcm")
    [original] = site.sent.values()
    assert reader.read((tmp_path / "original.dcm").read_bytes()).dataset == original
    one = share_object.unwrap(paths[0].read_bytes())
    assert not scheme.check([one]).enough
