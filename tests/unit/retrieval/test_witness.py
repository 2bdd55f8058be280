"""What is true of a file that was retrieved, as far as the spool still knows it."""

from __future__ import annotations

import pytest
from sealing import ORDER, examiner, marker, sample

from node.aftercare.judge import Evidence, Judge
from node.crypto.keyring import MemoryKeys
from node.dicom import reader
from node.retrieval.desk import Question
from node.retrieval.witness import Witness
from node.spool.buffers import MemoryBlobs
from node.spool.memory import MemoryLedger
from node.types import Action, Decision, DeliveryState, Event, Instance, Route

KEYS = MemoryKeys([b"k" * 32])
CT = sample("CT_small.dcm")


class Careful(Judge):
    """A judge that counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(examiner(KEYS))
        self.asked = 0

    def judge(self, data, known):
        self.asked += 1
        return super().judge(data, known)


@pytest.fixture
def site(tmp_path):
    """A witness, its judge, its blobs, and what was sent."""
    ledger, blobs, judge = MemoryLedger(), MemoryBlobs(), Careful()
    made = marker(KEYS).mark(CT, ORDER)

    def put(data):
        with blobs.put() as incoming:
            incoming.write(data)
            return incoming.commit()

    uid = made.sop_instance_uid
    instance = Instance(made.sop_class_uid, uid, "1.2", "1.3", "1.2.840.10008.1.2.1", put(CT), 1)
    route = Route("ct", {}, Action.SEAL, ("pacs",))
    ledger.accept(instance, Decision(route, Action.SEAL, ()), Event("accepted"))
    (claim,) = ledger.claim_entries("w", limit=1, lease=60)
    ledger.ready(
        claim, put(made.data), sop_class_uid=made.sop_class_uid, sop_instance_uid=uid,
        transfer_syntax_uid=made.transfer_syntax_uid, event=Event("ready"),
    )  # fmt: skip
    (sending,) = ledger.claim_deliveries("w", "pacs", limit=1, lease=60)
    ledger.settle(sending, DeliveryState.SENT, "", Event("sent"))
    witness = Witness(
        judge=judge, ledger=ledger, blobs=blobs, evidence=Evidence(tmp_path / "evidence"),
        folder=tmp_path, restores=lambda name: name == "viewer",
    )  # fmt: skip
    return witness, judge, blobs, made.data, tmp_path


def ask(site, data, workstation="viewer"):
    witness, _, _, _, folder = site
    (folder / "came.dcm").write_bytes(data)
    return witness.answer(Question("came.dcm", "pacs", workstation))


def test_what_came_back_as_it_was_sent_needs_no_second_proof(site):
    _, judge, _, sent, folder = site

    opinion = ask(site, sent)

    assert (opinion.standing, opinion.verdict, opinion.modality) == ("proven", "INTACT", "CT")
    assert (folder / opinion.restored).read_bytes() == CT
    assert judge.asked == 0
    assert ask(site, sent, "guest").restored == ""


def test_who_gets_no_original_gets_what_was_sealed_though_the_spool_gave_up_its_copies(site):
    _, judge, blobs, sent, _ = site
    for blob, _ in list(blobs.walk()):
        blobs.delete(blob)

    assert ask(site, sent, "guest").standing == "proven"
    assert judge.asked == 0


def test_another_preamble_and_meta_information_change_nothing(site):
    _, judge, _, sent, _ = site
    obj = reader.read(sent)
    uids = obj.text("SOPClassUID"), obj.text("SOPInstanceUID")
    again = reader.write_part10(*uids, obj.transfer_syntax_uid, obj.dataset, "ARCHIVE")

    assert ask(site, again).verdict == "INTACT"
    assert judge.asked == 0


def test_one_changed_bit_is_judged(site):
    _, judge, _, sent, _ = site
    data = bytearray(sent)
    data[-1000] ^= 1

    opinion = ask(site, bytes(data))

    assert (opinion.standing, opinion.verdict) == ("changed", "TAMPERED")
    assert judge.asked == 1


def test_the_same_bytes_under_another_transfer_syntax_are_judged(site):
    _, judge, _, sent, _ = site
    obj = reader.read(sent)
    file = reader.with_syntax(obj.file, "1.2.840.10008.1.2.4.90")

    assert ask(site, file + obj.dataset).standing == "changed"
    assert judge.asked == 1


def test_when_the_spool_has_forgotten_the_seal_itself_is_judged(site):
    witness, judge, _, sent, folder = site
    site = (replace_ledger(witness), judge, None, sent, folder)

    opinion = ask(site, sent)

    assert (opinion.standing, opinion.verdict) == ("proven", "INTACT")
    assert reader.read((folder / opinion.restored).read_bytes()).dataset == reader.read(CT).dataset
    assert judge.asked == 1


def replace_ledger(witness):
    witness._ledger = MemoryLedger()
    return witness
