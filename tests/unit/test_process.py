"""Marking one object, and the stage that marks what was received."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from certificates import certified_key
from pydicom import dcmread
from sealing import ORDER, RECEIVED_AT, examiner, marker, sample

from node.crypto.keyring import MemoryKeys
from node.crypto.mapping import Mapping
from node.crypto.receipt import Signer, check
from node.crypto.signature import load
from node.dicom import reader
from node.dicom.codecs import Decoder
from node.errors import (
    DoesNotFitError,
    ProofError,
    QualityError,
    UnreadableError,
    UnsealableError,
)
from node.mark.embedder import TiledEmbedder
from node.mark.quality import read
from node.operating.breakglass import Opening
from node.process import Processor
from node.seal import Marker
from node.sealing.pseudonyms import Pseudonyms
from node.sealing.receipts import Clerk, Digests, compare, digests
from node.sealing.report import cost
from node.sealing.signatures import Signatory
from node.sealing.signatures import check as signatures
from node.spool.memory import MemoryBlobs, MemoryLedger
from node.types import (
    Action,
    Decision,
    EntryState,
    Event,
    Instance,
    Limits,
    Profile,
    Route,
    Unsealable,
    Verdict,
    VerdictKind,
)
from node.verify import Examination

KEYS = MemoryKeys([b"k" * 32])
CT = "CT_small.dcm"
TOO_SMALL = "MR_small.dcm"
NO_IMAGE = "rtplan.dcm"


def test_marking_twice_gives_the_same_bytes():
    data = sample(CT)

    assert marker(KEYS).mark(data, ORDER) == marker(KEYS).mark(data, ORDER)


def test_the_marked_object_says_what_was_done_and_keeps_its_identity():
    before = dcmread(BytesIO(sample(CT)))
    after = dcmread(BytesIO(marker(KEYS).mark(sample(CT), ORDER).data))

    assert after.ImageType[0] == "DERIVED"
    assert after.SOPInstanceUID == before.SOPInstanceUID
    purpose = after.ContributingEquipmentSequence[-1].PurposeOfReferenceCodeSequence[0]
    assert purpose.CodeValue == "109103"
    assert after.PatientName == before.PatientName


def test_what_cannot_carry_the_payload_does_not_fit():
    with pytest.raises(DoesNotFitError):
        marker(KEYS).mark(sample(TOO_SMALL), ORDER)


def test_what_has_no_pixels_cannot_be_marked_but_sealed_in_the_header():
    data = sample(NO_IMAGE)
    with pytest.raises(UnsealableError) as caught:
        marker(KEYS).mark(data, ORDER)
    assert caught.value.code == "no_pixels"

    made = marker(KEYS).mark(data, replace(ORDER, carrier="header", keep_file=True))

    found = examiner(KEYS).examine(made.data)
    assert (found.verdict.kind, found.verdict.carrier) == (VerdictKind.INTACT, "header")
    assert found.restored == data


def test_auto_takes_the_header_where_the_pixels_cannot():
    made = marker(KEYS).mark(sample(TOO_SMALL), replace(ORDER, carrier="auto"))

    assert made.carrier == "header"


def test_what_is_sealed_is_not_sealed_again():
    made = marker(KEYS).mark(sample(CT), ORDER)

    with pytest.raises(UnsealableError) as caught:
        marker(KEYS).mark(made.data, ORDER)
    assert caught.value.code == "already_sealed"


def test_garbage_is_unreadable():
    with pytest.raises(UnreadableError):
        marker(KEYS).mark(b"not a DICOM file", ORDER)


class Doubting:
    """An examiner that finds every object changed."""

    def examine(self, _data: bytes, **_: object) -> Examination:
        return Examination(Verdict(VerdictKind.TAMPERED, "for a test"))


def test_without_proof_nothing_comes_out():
    doubter = Marker(KEYS.sealer(), TiledEmbedder(), None, Doubting())

    with pytest.raises(ProofError):
        doubter.mark(sample(CT), ORDER)


def strict(*limits: float) -> Marker:
    """A marker that allows a CT so much, and anything else all."""
    mark, prover = TiledEmbedder(), examiner(KEYS)
    allowed = {"CT": Limits(*limits)}
    return Marker(
        KEYS.sealer(), mark, None, prover, lambda modality: allowed.get(modality, Limits())
    )


@pytest.mark.parametrize(
    ("limits", "code"), [((8, 150.0), "quality_min_psnr"), ((8, 0.0, 1.0), "quality_min_ssim")]
)
def test_what_the_mark_would_harm_too_much_is_not_marked(limits, code):
    with pytest.raises(QualityError) as caught:
        strict(*limits).mark(sample(CT), ORDER)
    assert caught.value.code == code

    assert strict(*limits).mark(sample(CT), replace(ORDER, carrier="auto")).carrier == "header"


def test_the_marked_object_states_what_marking_cost():
    made = marker(KEYS).mark(sample(CT), ORDER)

    stated = read(dcmread(BytesIO(made.data))[0x5EA11004].value.encode())
    before = dcmread(BytesIO(sample(CT))).pixel_array.astype(int)
    after = dcmread(BytesIO(made.data)).pixel_array.astype(int)
    assert stated == made.quality == cost(examiner(KEYS).examine(made.data))
    assert stated.max_change == np.abs(after - before).max()
    assert stated.changed == np.count_nonzero(after - before)
    error = np.mean((after - before) ** 2.0)
    assert stated.psnr_data == round(20 * np.log10(np.ptp(before)) - 10 * np.log10(error), 2)


class Stage:
    """A processor over a spool in memory, with one route."""

    def __init__(
        self,
        *,
        unsealable: Unsealable = Unsealable.HOLD,
        made: Marker | None = None,
        identity: str = "keep",
        **more: object,
    ) -> None:
        self.blobs = MemoryBlobs()
        self.now = RECEIVED_AT
        self.ledger = MemoryLedger(clock=lambda: self.now)
        self.route = Route("r", {}, Action.SEAL, ("pacs",), unsealable, identity)
        hidden = Pseudonyms(Mapping(b"m" * 32), Profile("p")) if identity != "keep" else None
        self.processor = Processor(
            ledger=self.ledger,
            blobs=self.blobs,
            marker=made or marker(KEYS),
            route_of={"r": self.route}.get,
            logo_of=lambda _route: b"",
            robust_of=lambda _route: b"",
            pseudonyms_of=lambda _route: hidden,
            pseudonym=lambda uid: f"P{len(uid)}",
            delay=lambda _attempts: 15.0,
            ring=lambda: None,
            worker="w",
            lease=60.0,
            **more,
        )

    def receive(self, data: bytes, action: Action = Action.SEAL) -> int:
        ds = dcmread(BytesIO(data), stop_before_pixels=True)
        with self.blobs.put() as incoming:
            incoming.write(data)
            instance = Instance(
                ds.SOPClassUID, ds.SOPInstanceUID, "1.2", "1.3", ds.file_meta.TransferSyntaxUID,
                incoming.commit(), len(data), received_at=self.now,
            )  # fmt: skip
            decision = Decision(replace(self.route, action=action), action, ())
            return self.ledger.accept(instance, decision, Event("instance_accepted")).entry

    def sent(self) -> list[bytes]:
        claims = self.ledger.claim_deliveries("f", "pacs", limit=9, lease=60.0)
        return [self.blobs.read(claim.delivery.blob) for claim in claims]


def test_break_glass_lets_an_object_pass_as_it_came_and_says_why():
    until = RECEIVED_AT + 60
    opening = Opening("r", "sealing is down", "root", RECEIVED_AT, until)
    stage = Stage(opening=lambda route, at: opening if (route, at) == ("r", RECEIVED_AT) else None)
    stage.receive(sample(CT))
    stage.processor.step()

    assert stage.sent() == [sample(CT)]
    event = stage.ledger.outbox(limit=9)[-1][2]
    assert (event.event, event.facts["reason"]) == ("passed_unsealed", "sealing is down")


def test_break_glass_sends_no_patient_in_clear_where_the_route_hides_them():
    opening = Opening("r", "sealing is down", "root", RECEIVED_AT, RECEIVED_AT + 60)
    stage = Stage(identity="pseudonym", opening=lambda *_: opening)
    stage.receive(sample("693_UNCR.dcm"))
    stage.processor.step()

    (data,) = stage.sent()
    assert dcmread(BytesIO(data)).PatientIdentityRemoved == "YES"


@pytest.mark.parametrize("unsealable", [Unsealable.HOLD, Unsealable.RELAY])
def test_what_shows_who_it_is_about_is_held_where_the_route_hides_that(unsealable):
    ds = dcmread(BytesIO(sample(CT)))
    ds.BurnedInAnnotation = "YES"
    file = BytesIO()
    ds.save_as(file)
    stage = Stage(identity="pseudonym", unsealable=unsealable)
    entry = stage.receive(file.getvalue())
    stage.processor.step()

    held = stage.ledger.get(entry)[0]
    assert (held.state, held.reason) == (EntryState.HELD, "burned_in")
    assert stage.sent() == []


def test_an_object_whose_route_is_gone_is_held_since_it_may_have_hidden_the_patient():
    stage = Stage()
    entry = stage.receive(sample(CT))
    stage.processor._route_of = {}.get
    stage.processor.step()

    held = stage.ledger.get(entry)[0]
    assert (held.state, held.reason) == (EntryState.HELD, "route_gone")


def test_a_received_object_becomes_ready_with_a_proved_one_to_send():
    stage = Stage()
    entry = stage.receive(sample(CT))

    assert stage.processor.step() == 1
    assert stage.processor.step() == 0

    assert stage.ledger.get(entry)[0].state is EntryState.READY
    (data,) = stage.sent()
    found = examiner(KEYS).examine(data)
    assert found.verdict.kind is VerdictKind.INTACT


def test_what_cannot_be_sealed_is_held_with_its_reason_and_not_sent():
    stage = Stage()
    entry = stage.receive(sample(NO_IMAGE))

    stage.processor.step()

    held = stage.ledger.get(entry)[0]
    assert (held.state, held.reason) == (EntryState.HELD, "no_pixels")
    assert stage.sent() == []


def test_what_would_be_harmed_too_much_follows_the_rule_of_the_route():
    stage = Stage(made=strict(8, 150.0))
    entry = stage.receive(sample(CT))

    stage.processor.step()

    held = stage.ledger.get(entry)[0]
    assert (held.state, held.reason) == (EntryState.HELD, "quality_min_psnr")
    assert stage.sent() == []


def test_the_audit_event_tells_what_marking_cost():
    stage = Stage()
    stage.receive(sample(CT))

    stage.processor.step()

    (event,) = [e for _, _, e in stage.ledger.outbox(limit=9) if e.event == "entry_sealed"]
    assert {"max_change", "psnr", "psnr_data", "ssim"} <= event.facts.keys()


@pytest.mark.parametrize("name", [CT, NO_IMAGE])
def test_the_audit_event_holds_a_receipt_that_the_files_fit(name):
    signer = Signer("ed25519", bytes(32), 0)
    clerk = Clerk(signer, lambda uid: f"P{len(uid)}", lambda: RECEIVED_AT + 5)
    stage = Stage(unsealable=Unsealable.HEADER, clerk=clerk)
    stage.receive(sample(name))

    stage.processor.step()

    (event,) = [e for _, _, e in stage.ledger.outbox(limit=9) if e.event == "entry_sealed"]
    said, _ = check(str(event.facts["receipt"]).encode(), [signer.public])
    (sent,) = stage.sent()
    assert (said.object, said.route, said.sealed - said.received) == (event.object, "r", 5)
    original = digests(sample(name), said.carrier, None)
    marked = digests(sent, said.carrier, None)
    assert compare(Digests(said.original_header, said.original_pixels), original) == "same"
    assert compare(Digests(said.marked_header, said.marked_pixels), marked) == "same"
    assert compare(original, marked) == ("other" if said.carrier == "pixels" else "same pixels")


def test_the_audit_event_tells_of_the_signature_that_the_object_came_with(tmp_path):
    certified_key(tmp_path, "ec")
    signatory = Signatory(load(tmp_path / "ec.pem", tmp_path / "ec.key"))
    obj = reader.read(sample(CT))
    signed = obj.file + signatory.sign(obj.dataset, obj.transfer_syntax_uid, RECEIVED_AT)
    stage = Stage(signatory_of=lambda route: signatory if route.name == "r" else None)
    stage.receive(signed)

    stage.processor.step()

    (event,) = [e for _, _, e in stage.ledger.outbox(limit=9) if e.event == "entry_sealed"]
    assert str(event.facts["signatures"]).startswith("valid EC SHA256 ")
    assert [one.result for one in signatures(reader.read(stage.sent()[0]))] == ["valid"]


def test_what_cannot_be_sealed_goes_in_the_header_where_the_route_says_so():
    stage = Stage(unsealable=Unsealable.HEADER)
    stage.receive(sample(NO_IMAGE))

    stage.processor.step()

    (data,) = stage.sent()
    found = examiner(KEYS).examine(data)
    assert (found.verdict.kind, found.verdict.carrier) == (VerdictKind.INTACT, "header")


def test_what_cannot_be_sealed_passes_as_it_came_only_where_the_route_says_so():
    stage = Stage(unsealable=Unsealable.RELAY)
    stage.receive(sample(NO_IMAGE))

    stage.processor.step()

    assert stage.sent() == [sample(NO_IMAGE)]


def test_refused_after_it_was_accepted_it_is_parked_not_lost():
    stage = Stage(unsealable=Unsealable.REFUSE)
    entry = stage.receive(sample(NO_IMAGE))

    stage.processor.step()

    assert stage.ledger.get(entry)[0].state is EntryState.PARKED


def test_a_proof_that_fails_parks_the_entry_and_sends_nothing():
    stage = Stage(made=Marker(KEYS.sealer(), TiledEmbedder(), None, Doubting()))
    entry = stage.receive(sample(CT))

    stage.processor.step()

    parked = stage.ledger.get(entry)[0]
    assert (parked.state, parked.reason) == (EntryState.PARKED, "proof")
    assert stage.sent() == []


def test_a_route_that_relays_sends_what_was_received():
    stage = Stage()
    stage.receive(sample(CT), Action.RELAY)

    stage.processor.step()

    assert stage.sent() == [sample(CT)]


def test_an_entry_whose_blob_is_gone_is_parked():
    stage = Stage()
    entry = stage.receive(sample(CT))
    stage.blobs.delete(stage.ledger.get(entry)[0].instance.blob)

    stage.processor.step()

    assert stage.ledger.get(entry)[0].reason == "blob_missing"


def test_events_name_no_uid_and_no_patient():
    stage = Stage()
    stage.receive(sample(CT))
    stage.processor.step()

    ds = dcmread(BytesIO(sample(CT)))
    told = str(stage.ledger.outbox(limit=100))
    for secret in (ds.SOPInstanceUID, str(ds.PatientName), ds.PatientID):
        assert secret not in told


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "examples_ybr_color.dcm"])
def test_what_was_compressed_with_loss_is_marked_and_stored_without_further_loss(name):
    with Decoder() as codec:
        order = replace(ORDER, lossy="decode")
        made = marker(KEYS, codec).mark(sample(name), order)
        found = examiner(KEYS, codec).examine(made.data)

    assert found.verdict.kind is VerdictKind.INTACT
    assert made.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    before = dcmread(BytesIO(sample(name)))
    after = dcmread(BytesIO(found.restored))
    assert after.Rows == before.Rows
    assert after.get("LossyImageCompression") == before.get("LossyImageCompression")
