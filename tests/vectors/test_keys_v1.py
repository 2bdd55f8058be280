"""The published vectors of keys v1: capsules of every suite, locked identities, ends of epochs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from node.crypto import capsule, epoch, lock, recipient
from node.crypto.suites import SUITES
from node.errors import DamagedError

FOLDER = Path(__file__).parent / "keys-v1"
ROWS = [line.split() for line in (FOLDER / "index.txt").read_text().splitlines()[1:]]


def test_every_suite_has_vectors():
    good = {
        identity for name, identity, expect, _ in ROWS if (name, expect) == (identity, "success")
    }
    assert good == set(SUITES)
    assert len(ROWS) == 3 * len(SUITES) + 2


@pytest.mark.parametrize(("name", "identity", "expect", "digest"), ROWS)
def test_a_capsule_does_what_its_vector_expects(name, identity, expect, digest):
    opener = recipient.parse_identity((FOLDER / f"{identity}.key").read_bytes())
    given = capsule.parse_capsule((FOLDER / f"{name}.capsule").read_bytes())
    if expect == "damaged":
        with pytest.raises(DamagedError):
            given.open(opener)
        return
    found = given.open(opener)
    assert (found is None) == (expect == "not_for_us")
    if found is not None:
        assert hashlib.sha256(found.secret()).hexdigest() == digest


@pytest.mark.parametrize("suite", SUITES)
def test_an_identity_is_that_of_its_recipient(suite):
    identity = recipient.parse_identity((FOLDER / f"{suite}.key").read_bytes())
    assert identity.recipient == recipient.parse_recipient((FOLDER / f"{suite}.pub").read_bytes())


@pytest.mark.parametrize("name", ["argon2id", "pbkdf2"])
def test_a_locked_identity_opens_with_its_passphrase(name):
    opened = lock.unlock(
        (FOLDER / f"{name}.locked").read_bytes(), (FOLDER / "passphrase.txt").read_text()
    )
    assert opened.render() == (FOLDER / "p256.key").read_bytes()


@pytest.mark.parametrize("state", ["retired", "destroyed"])
def test_the_end_of_an_epoch_names_its_capsule(state):
    ended = epoch.parse_ending((FOLDER / f"{state}.end").read_bytes())
    assert ended.state == state
    assert ended.capsule == hashlib.sha256((FOLDER / "all.capsule").read_bytes()).digest()
