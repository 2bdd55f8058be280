"""Stage 4: what is found in objects that a real archive gives back, and what becomes of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from archive import Archive as Pacs
from network import requestor
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import ImplicitVRLittleEndian, JPEGBaseline8Bit
from running import free_ports
from sealing import ORDER, examiner, marker, sample

from node.aftercare.judge import Evidence, Judge
from node.aftercare.readback import LOST, Readback
from node.crypto.keyring import MemoryKeys
from node.dicom import reader
from node.dicom.acceptance import Settings
from node.dicom.archive import DimseArchive
from node.dicom.scu import StorageScu
from node.forward import Forwarder
from node.spool.aftercare import Finding
from node.spool.buffers import MemoryBlobs
from node.spool.memory import MemoryLedger
from node.types import (
    Action,
    Decision,
    DeliveryState,
    Destination,
    EntryState,
    Event,
    Peer,
    Route,
)

KEYS = MemoryKeys([b"k" * 32])
START = 1_700_000_000.0
HOUR = 3600.0


class World:
    """A node in memory, and an archive that it delivered to."""

    def __init__(self, tmp_path, pacs):
        self.pacs = pacs
        self.now = START
        self.ledger = MemoryLedger(clock=lambda: self.now)
        self.blobs = MemoryBlobs()
        self.destination = Destination(
            "pacs", "ARCHIVE", "127.0.0.1", pacs.port, readback=1.0, readback_after=HOUR
        )
        self.peer = requestor(pacs.port, aet="ARCHIVE")
        self.evidence = tmp_path / "evidence"
        receiving = Settings("FETCH", port=free_ports(1)[0])
        self.stage = Readback(
            ledger=self.ledger,
            blobs=self.blobs,
            destination=self.destination,
            archive=DimseArchive(self.peer, receiving),
            judge=Judge(examiner(KEYS)),
            evidence=Evidence(self.evidence),
            folder=tmp_path / "back",
            pseudonym=lambda uid: f"P{uid[-4:]}",
            place=lambda instance: (f"{instance.study_instance_uid}.1", "1.2"),
            chance=lambda: 0.5,
            worker="v",
            clock=lambda: self.now,
        )

    def put(self, data: bytes) -> str:
        with self.blobs.put() as incoming:
            incoming.write(data)
            return incoming.commit()

    def deliver(self, data: bytes, action=Action.SEAL) -> int:
        """Receive, seal and send one object; return its entry."""
        blob = self.put(data)
        instance = reader.describe(
            reader.read(data), blob, len(data), Peer("CT1", "SEALNODE", "10.0.0.1"), START
        )
        route = Route("r", {}, action, ("pacs",))
        number = self.ledger.accept(instance, Decision(route, action, ()), Event("a")).entry
        [claim] = self.ledger.claim_entries("p", limit=1, lease=60)
        sealed, syntax = blob, instance.transfer_syntax_uid
        if action is Action.SEAL:
            made = marker(KEYS).mark(data, ORDER)
            sealed, syntax = self.put(made.data), made.transfer_syntax_uid
        self.ledger.ready(
            claim, sealed, sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid, transfer_syntax_uid=syntax,
            event=Event("sealed"),
        )  # fmt: skip
        self.forward()
        return number

    def forward(self) -> None:
        forwarder = Forwarder(
            ledger=self.ledger, blobs=self.blobs, destinations={"pacs": self.destination},
            senders=lambda _: StorageScu(self.peer), proved=lambda _: None,
            pseudonym=lambda uid: uid, worker="f", chance=lambda: 0.5, clock=lambda: self.now,
        )  # fmt: skip
        forwarder.step("pacs")
        forwarder.close()

    def read_back(self) -> int:
        self.now += HOUR
        return self.stage.step()

    def edit(self, change) -> None:
        """Change the one object of the archive as a PACS might."""
        [path] = self.pacs.paths()
        ds = dcmread(path)
        ds = change(ds) or ds
        ds.save_as(path, enforce_file_format=True)
        self.pacs._add(path)

    def state(self, number):
        entry, [delivery] = self.ledger.get(number)
        return entry.state, delivery.state

    def last(self) -> Event:
        return self.ledger.outbox(limit=1000)[-1][2]

    def findings(self) -> dict[str, int]:
        found = Counter()
        for one in self.ledger.found(since=0):
            found[one.finding.verdict] += one.number
        return dict(found)


@pytest.fixture
def world(tmp_path):
    with Pacs(tmp_path / "pacs") as pacs:
        yield World(tmp_path, pacs)


@pytest.fixture(scope="module")
def original() -> bytes:
    return sample("CT_small.dcm")


def test_what_is_untouched_is_verified(world, original):
    number = world.deliver(original)
    assert world.stage.step() == 0, "not before its time"
    assert world.read_back() == 1
    assert world.state(number) == (EntryState.DONE, DeliveryState.VERIFIED)
    event = world.last()
    assert (event.event, event.outcome) == ("readback_verified", "success")
    assert event.facts["verdict"] == "INTACT"
    assert world.ledger.found(since=0)[0].finding == Finding("pacs", "CT", "INTACT")
    assert not world.evidence.exists()
    assert list(world.stage.folder.iterdir()) == []


def test_another_way_of_writing_the_same_is_no_change(world, original):
    number = world.deliver(original)

    def implicit(ds):
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    world.edit(implicit)
    world.read_back()
    assert world.state(number)[1] is DeliveryState.VERIFIED
    assert world.last().event == "readback_verified"


def test_a_header_that_was_changed_is_verified_and_told_attribute_by_attribute(world, original):
    number = world.deliver(original)

    def coerce(ds):
        ds.PatientName = "Somebody^Else"
        ds.StudyDescription = "changed"

    world.edit(coerce)
    world.read_back()
    assert world.state(number) == (EntryState.DONE, DeliveryState.VERIFIED)
    event = world.last()
    assert event.event == "readback_coerced"
    assert event.facts["coerced"] == "StudyDescription,PatientName"
    assert "Somebody" not in str(event)
    assert world.findings() == {"HEADER_COERCED": 1}


def test_changed_pixels_are_parked_with_their_evidence(world, original):
    number = world.deliver(original)

    def edit(ds):
        pixels = ds.pixel_array.copy()
        pixels[40:60, 40:60] += 100
        ds.PixelData = pixels.tobytes()

    world.edit(edit)
    world.read_back()
    assert world.state(number) == (EntryState.PARKED, DeliveryState.PARKED)
    assert world.ledger.get(number)[0].reason == "tampered"
    event = world.last()
    assert (event.event, event.outcome) == ("readback_tampered", "failure")
    assert event.facts["altered"] > 0
    kept = world.evidence / f"{event.facts['evidence']}.dcm"
    assert dcmread(kept).pixel_array.max() == dcmread(world.pacs.paths()[0]).pixel_array.max()
    with Image.open(kept.with_suffix(".png")) as picture:
        assert picture.width > 500
    assert kept.stat().st_mode & 0o077 == 0
    assert world.findings() == {"TAMPERED": 1}


def test_what_was_compressed_with_loss_is_called_lossy(world, original):
    world.deliver(original)

    def compress(ds):
        grey = (ds.pixel_array.astype(float) / 16).clip(0, 255).astype(np.uint8)
        buffer = BytesIO()
        Image.fromarray(grey).save(buffer, "JPEG", quality=80)
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelRepresentation = 7, 0
        ds.LossyImageCompression = "01"
        frame = buffer.getvalue()
        ds.PixelData = encapsulate([frame])
        ds["PixelData"].is_undefined_length = True
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit

    world.edit(compress)
    world.read_back()
    assert world.findings() == {"LOSSY": 1}
    assert world.last().event == "readback_tampered"


def test_what_is_gone_is_sent_again_and_given_up_in_the_end(world, original):
    number = world.deliver(original)
    for turn in range(LOST):
        [path] = world.pacs.paths()
        path.unlink()
        world.pacs._index.clear()
        world.read_back()
        assert world.last().event == "readback_missing"
        assert world.state(number) == (EntryState.READY, DeliveryState.PENDING), turn
        world.forward()
        assert world.state(number) == (EntryState.DONE, DeliveryState.SENT), turn
    [path] = world.pacs.paths()
    world.pacs._index.clear()
    world.read_back()
    assert world.state(number) == (EntryState.PARKED, DeliveryState.PARKED)
    assert world.ledger.get(number)[0].reason == "missing"
    assert world.findings() == {"MISSING": LOST + 1}


def test_an_older_version_of_the_object_is_no_proof(world, original):
    before = dcmread(BytesIO(original))
    before.StudyDescription = "older"
    buffer = BytesIO()
    before.save_as(buffer)
    older = marker(KEYS).mark(buffer.getvalue(), ORDER).data
    number = world.deliver(original)
    world.edit(lambda _ds: dcmread(BytesIO(older)))
    world.read_back()
    assert world.state(number)[1] is DeliveryState.PARKED
    assert "another version" in world.last().facts["reason"]
    assert world.findings() == {"TAMPERED": 1}


def test_the_picture_of_another_patient_is_found(world, original):
    other = dcmread(BytesIO(original))
    other.PatientName, other.SOPInstanceUID = "Other^Patient", "1.2.3.4"
    other.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    buffer = BytesIO()
    other.save_as(buffer)
    picture = dcmread(BytesIO(marker(KEYS).mark(buffer.getvalue(), ORDER).data)).PixelData
    number = world.deliver(original)
    world.edit(lambda ds: setattr(ds, "PixelData", picture))
    world.read_back()
    assert world.state(number)[1] is DeliveryState.PARKED
    assert world.findings() == {"TAMPERED": 1}


def test_an_object_of_another_study_is_kept_as_evidence(world, original):
    number = world.deliver(original)
    [path] = world.pacs.paths()
    uid = dcmread(path).StudyInstanceUID
    world.edit(lambda ds: setattr(ds, "StudyInstanceUID", "1.2.3.4.5"))
    index = world.pacs._index
    [(key, (file, header))] = index.items()
    header.StudyInstanceUID = uid  # the archive's index still says the old one
    index[key] = (file, header)
    world.read_back()
    assert world.state(number)[1] is DeliveryState.PARKED
    event = world.last()
    assert "something else" in event.facts["reason"]
    assert (
        dcmread(world.evidence / f"{event.facts['evidence']}.dcm").StudyInstanceUID == "1.2.3.4.5"
    )


def test_a_destination_that_is_away_is_asked_again_later(world, original):
    number = world.deliver(original)
    world.stage.archive._requestor.destination = replace(world.destination, port=free_ports(1)[0])
    assert world.read_back() == 1
    assert world.state(number) == (EntryState.DONE, DeliveryState.SENT)
    assert world.last().event == "readback_deferred"
    assert world.stage.step() == 0, "the destination is given a rest"
    world.stage.archive._requestor.destination = world.destination
    world.stage._breaker.succeeded()
    world.read_back()
    assert world.state(number)[1] is DeliveryState.VERIFIED


def test_what_was_relayed_is_compared_with_what_was_sent(world, original):
    number = world.deliver(original, Action.RELAY)
    world.read_back()
    assert world.state(number)[1] is DeliveryState.VERIFIED
    assert world.findings() == {"INTACT": 1}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda ds: setattr(ds, "PatientID", "other"), "HEADER_COERCED"),
        (lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))), "TAMPERED"),
    ],
)
def test_what_was_relayed_and_changed_is_found(world, original, change, verdict):
    world.deliver(original, Action.RELAY)
    world.edit(change)
    world.read_back()
    assert world.findings() == {verdict: 1}


def test_another_object_beside_the_right_one_is_found(world, monkeypatch):
    number = world.deliver(sample("CT_small.dcm"))
    fetch = world.stage.archive.fetch

    def both(wanted, folder) -> list:
        paths = fetch(wanted, folder)
        (folder / "other.dcm").write_bytes(sample("CT_small.dcm"))
        return [*paths, folder / "other.dcm"]

    monkeypatch.setattr(world.stage.archive, "fetch", both)
    world.read_back()
    assert world.state(number)[1] is DeliveryState.PARKED
    assert world.findings() == {"UNMARKED": 1}
