"""An outsider with the public key checks that an event is in the log, and that it only grew."""

from __future__ import annotations

import json

import pytest

from node.audit.check import last_note, notes
from node.audit.checkpoint import Verifier, generate
from node.audit.proof import check, prove, prove_growth, rests_on
from node.errors import AuditError, UnreadableError, UsageError


@pytest.fixture
def log(written):
    return written(5, 6, 8)


@pytest.fixture
def verifiers(pair):
    return [Verifier(pair[1])]


def test_each_event_is_proved(log, verifiers):
    for seq in range(1, 20):
        facts = check(json.loads(json.dumps(prove(log, seq))), verifiers)
        assert (facts["seq"], facts["event"]["facts"]["n"], facts["size"]) == (seq, seq, 19)


def test_another_event_under_the_proof_of_one_proves_nothing(log, verifiers):
    proof = prove(log, 7)
    with pytest.raises(AuditError, match="event 7 is not"):
        check(proof | {"event": proof["event"].replace('"n":7', '"n":8')}, verifiers)
    with pytest.raises(AuditError):
        check(proof | {"hashes": proof["hashes"][:-1]}, verifiers)
    with pytest.raises(AuditError):
        check(proof, [Verifier(generate("test")[1])])


def test_the_log_is_proved_to_have_grown_from_every_checkpoint(log, verifiers):
    for note in notes(log):
        facts = check(prove_growth(log, note), verifiers)
        assert facts["size"] == 19
        assert facts["old_size"] in {5, 11, 19}
    first = next(notes(log))
    proof = prove_growth(log, first)
    with pytest.raises(AuditError):
        check(proof | {"old": list(notes(log))[1]}, verifiers)
    with pytest.raises(UsageError):
        prove_growth(log, last_note(log), first)


def test_a_proof_may_have_to_rest_on_a_checkpoint_of_ones_own(log, verifiers):
    proof = prove(log, 3)
    rests_on(proof, last_note(log), verifiers)
    with pytest.raises(AuditError, match="another checkpoint"):
        rests_on(proof, next(notes(log)), verifiers)


@pytest.mark.parametrize("seq", [0, -1, 20])
def test_there_is_no_proof_of_what_is_not_there(log, seq):
    with pytest.raises(UsageError):
        prove(log, seq)


def test_what_is_no_proof_is_refused(log, verifiers):
    proof = prove(log, 3)
    broken = [
        None, [], {}, {"format": "x"}, proof | {"more": ""}, proof | {"event": 3},
        proof | {"hashes": "x"}, proof | {"hashes": [3]}, proof | {"hashes": ["?"]},
        proof | {"format": []},
    ]  # fmt: skip
    for document in broken:
        with pytest.raises(UnreadableError):
            check(document, verifiers)
    with pytest.raises(AuditError):
        check(proof | {"checkpoint": ""}, verifiers)
