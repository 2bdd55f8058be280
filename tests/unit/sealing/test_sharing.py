"""A sealed object leaves in shares: which bytes, under which names, and never whole."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from sealing import RECEIVED_AT, examiner, marker, sample

from node.crypto.keyring import MemoryKeys
from node.crypto.pseudonym import Pseudonymizer
from node.crypto.shares import scheme
from node.crypto.shares.share import parse
from node.crypto.shares.signer import Signer
from node.dicom import share_object
from node.errors import ProofError
from node.operating.breakglass import BreakGlass
from node.process import Processor
from node.sealing.sharing import NAME_BYTES, Namer, Sharer
from node.spool.memory import MemoryBlobs, MemoryLedger
from node.types import (
    Action,
    Decision,
    DeliveryState,
    EntryState,
    Event,
    Instance,
    Route,
    Unsealable,
    VerdictKind,
)
from node.wiring.stages import proved

SHUT = BreakGlass(Path("/nonexistent"), {}, 0.0)
KEYS = MemoryKeys([b"k" * 32])
SITE = Signer(b"s" * 32)
NAMER = Namer(Pseudonymizer(b"p" * 32).digest)
TO = ("pacs-a", "cloud-b", "cloud-c")
WHOLE = sample("CT_small.dcm")
INSTANCE = Instance(
    "1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2", "1.2.9", "1.2.840.10008.1.2.1", "0" * 64,
    len(WHOLE), received_at=RECEIVED_AT,
)  # fmt: skip


def sharer(signer: Signer = SITE) -> Sharer:
    return Sharer(signer, NAMER)


def test_the_same_object_always_becomes_the_same_shares():
    first, again = (sharer().share(WHOLE, INSTANCE, 2, 3) for _ in range(2))
    assert [one.data for one in first] == [one.data for one in again]


@pytest.mark.parametrize(
    "other",
    [
        lambda: sharer().share(WHOLE + b"\0", INSTANCE, 2, 3),
        lambda: sharer().share(WHOLE, INSTANCE, 3, 3),
        lambda: sharer().share(WHOLE, INSTANCE, 2, 4),
        lambda: sharer(Signer(b"t" * 32)).share(WHOLE, INSTANCE, 2, 3),
    ],
    ids=["other bytes", "other k", "other n", "other key"],
)
def test_whatever_differs_makes_another_set_with_other_names_and_other_coefficients(other):
    before, after = sharer().share(WHOLE, INSTANCE, 2, 3), other()
    assert not {one.sop_instance_uid for one in before} & {one.sop_instance_uid for one in after}
    keys = [{parse(share_object.unwrap(one.data)).key_share for one in made}
            for made in (before, after)]  # fmt: skip
    assert not keys[0] & keys[1]
    # yet they are found again as shares of the same object
    assert before[0].set_id[:NAME_BYTES] == after[0].set_id[:NAME_BYTES]


def test_names_and_random_bytes_are_those_of_the_published_format():
    """docs/formats/share-v1.md, section 10."""
    text = (Path(__file__).parents[3] / "docs/formats/share-v1.md").read_text()
    namer = Namer(Pseudonymizer(bytes(range(32))).digest)
    study, series, uid = "1.2.840.1", "1.2.840.1.2", "1.2.840.1.3"
    about = replace(
        INSTANCE, sop_instance_uid=uid, study_instance_uid=study, series_instance_uid=series
    )
    made = Sharer(Signer(bytes(32)), namer).share(b"sealed object", about, 2, 3)
    first = hashlib.sha256(share_object.unwrap(made[0].data)).hexdigest()
    for told in (namer.study(study), namer.series(series), made[0].set_id.hex(),
                 made[0].sop_instance_uid, made[2].sop_instance_uid, first):  # fmt: skip
        assert told in text


def test_any_k_of_the_shares_give_the_object_and_their_names_tell_the_set_and_nothing_else():
    made = sharer().share(WHOLE, INSTANCE, 2, 3)
    shares = [share_object.unwrap(one.data) for one in made]
    for some in itertools.combinations(shares, 2):
        assert scheme.combine(some, trusted=[SITE.public]).data == WHOLE
    for number, one in enumerate(made, 1):
        ds = dcmread(BytesIO(one.data))
        assert share_object.set_of(ds.SOPInstanceUID) == (one.set_id, number)
        assert parse(shares[number - 1]).about.set_id == one.set_id, "the signed set bears the name"
        assert (ds.StudyInstanceUID, ds.SeriesInstanceUID) == NAMER.place(INSTANCE)
        told = one.data[: -len(shares[0])]
        original = dcmread(BytesIO(WHOLE))
        for secret in (INSTANCE.sop_instance_uid, str(original.PatientName), original.PatientID):
            assert f"{secret}\0".encode() not in told
            assert secret not in str(ds.values())


@pytest.mark.parametrize("uid", ["", "1.2.3", "2.25.", "2.25.x", f"2.25.{1 << 128}"])
def test_what_is_no_name_of_a_share_is_not_taken_for_one(uid):
    assert share_object.set_of(uid) is None


def test_shares_that_do_not_give_the_object_back_are_never_sent(monkeypatch):
    honest = share_object.wrap

    def lying(share, names, made_at):
        bad = bytearray(share)
        bad[-9] ^= names.number == 3
        return honest(bytes(bad), names, made_at)

    monkeypatch.setattr(share_object, "wrap", lying)
    with pytest.raises(ProofError):
        sharer().share(WHOLE, INSTANCE, 2, 3)


class Stage:
    """A processor with one route that divides into three, two of which suffice."""

    def __init__(self, unsealable: Unsealable = Unsealable.HOLD) -> None:
        self.blobs = MemoryBlobs()
        self.ledger = MemoryLedger(clock=lambda: RECEIVED_AT)
        self.route = Route("r", {}, Action.SEAL, TO, unsealable, threshold=2)
        self.processor = Processor(
            ledger=self.ledger,
            blobs=self.blobs,
            marker=marker(KEYS),
            route_of={"r": self.route}.get,
            logo_of=lambda _route: b"",
            robust_of=lambda _route: b"",
            pseudonyms_of=lambda _route: None,
            pseudonym=lambda uid: f"P{uid[-3:]}",
            delay=lambda _attempts: 15.0,
            ring=lambda: None,
            worker="w",
            lease=60.0,
            sharer=sharer,
        )

    def receive(self, data: bytes, action: Action = Action.SEAL) -> int:
        ds = dcmread(BytesIO(data), stop_before_pixels=True)
        with self.blobs.put() as incoming:
            incoming.write(data)
            instance = replace(
                INSTANCE, blob=incoming.commit(), sop_class_uid=ds.SOPClassUID,
                transfer_syntax_uid=ds.file_meta.TransferSyntaxUID,
            )  # fmt: skip
        decision = Decision(replace(self.route, action=action), action, ())
        return self.ledger.accept(instance, decision, Event("instance_accepted")).entry

    def shares(self, entry: int) -> list[bytes]:
        return [self.blobs.read(delivery.blob) for delivery in self.ledger.get(entry)[1]]

    def allow(self, entry: int, *, routes=None, **changes) -> None:
        """Ask the last gate before the network about each delivery, changed."""
        known = {"r": self.route} if routes is None else routes
        for delivery in self.ledger.get(entry)[1]:
            proved(self.ledger, known, SHUT, replace(delivery, **changes))


def test_a_shared_route_prepares_a_share_for_each_destination_and_tells_of_each():
    stage = Stage()
    entry = stage.receive(WHOLE)
    assert stage.processor.step() == 1

    found, deliveries = stage.ledger.get(entry)
    assert {delivery.state for delivery in deliveries} == {DeliveryState.PENDING}
    parts = [share_object.unwrap(data) for data in stage.shares(entry)]
    sealed = bytes(scheme.combine(parts[1:], trusted=[SITE.public]).data)
    assert examiner(KEYS).examine(sealed).verdict.kind is VerdictKind.INTACT
    assert sealed == stage.blobs.read(found.sealed)
    told = [e for _, _, e in stage.ledger.outbox(limit=9) if e.event == "share_made"]
    assert [e.facts["destination"] for e in told] == list(TO)
    assert [e.facts["share"] for e in told] == ["1/3", "2/3", "3/3"]
    stage.allow(entry)


def test_what_is_lost_in_the_spool_is_made_again_identically():
    stage = Stage()
    entry = stage.receive(WHOLE)
    stage.processor.step()
    before = stage.shares(entry)
    for delivery in stage.ledger.get(entry)[1]:
        stage.blobs.delete(delivery.blob)
    stage.ledger.remake(entry, Event("remade"))
    stage.processor.step()
    assert stage.shares(entry) == before


@pytest.mark.parametrize("route_now", ["the same", "whole", "gone"])
def test_nothing_whole_leaves_by_a_route_with_shares_whatever_becomes_of_the_route(route_now):
    stage = Stage()
    entry = stage.receive(WHOLE)
    stage.processor.step()
    found, _ = stage.ledger.get(entry)
    routes = {"the same": {"r": stage.route}, "whole": {"r": replace(stage.route, threshold=0)},
              "gone": {}}[route_now]  # fmt: skip
    stage.allow(entry, routes=routes)
    for whole in ({"blob": found.sealed}, {"blob": found.instance.blob}, {"share": 0},
                  {"sop_class_uid": INSTANCE.sop_class_uid}):  # fmt: skip
        with pytest.raises(ProofError) as caught:
            stage.allow(entry, routes=routes, **whole)
        assert caught.value.code == "shares_only"


def test_what_was_to_be_sent_whole_stays_when_its_route_divides_now():
    stage = Stage()
    stage.route = replace(stage.route, threshold=0)
    entry = stage.receive(WHOLE)
    stage.processor.step()
    stage.allow(entry)
    with pytest.raises(ProofError):
        stage.allow(entry, routes={"r": replace(stage.route, threshold=2)})


@pytest.mark.parametrize("how", ["unsealable", "relayed"])
def test_no_rule_lets_an_object_of_such_a_route_pass_as_it_came(how):
    stage = Stage(Unsealable.RELAY)
    if how == "unsealable":
        entry = stage.receive(sample("rtplan.dcm"))
    else:
        entry = stage.receive(WHOLE, Action.RELAY)
    stage.processor.step()
    found, deliveries = stage.ledger.get(entry)
    assert (found.state, found.reason) == (EntryState.PARKED, "shares_only")
    assert {delivery.blob for delivery in deliveries} == {""}


def test_what_has_no_pixels_is_sealed_in_the_header_and_shared():
    stage = Stage(Unsealable.HEADER)
    data = sample("rtplan.dcm")
    entry = stage.receive(data)
    stage.processor.step()
    parts = [share_object.unwrap(one) for one in stage.shares(entry)]
    sealed = bytes(scheme.combine(parts[:2], trusted=[SITE.public]).data)
    assert examiner(KEYS).examine(sealed).verdict.carrier == "header"
