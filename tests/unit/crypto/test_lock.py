"""Identities that a passphrase opens."""

from __future__ import annotations

import re

import pytest

from node.crypto import lock, recipient
from node.errors import DamagedError, NotOurKeyError, UnreadableError

PASSPHRASE = "abcde-fghij-klmno-pqrst-uvwx"
IDENTITY = recipient.generate("safe", 1_790_000_000, "x25519")
TEXT = lock.lock(IDENTITY, PASSPHRASE, lambda count: b"s" * count)


def test_the_passphrase_opens_the_identity():
    opened = lock.unlock(TEXT, PASSPHRASE)
    assert opened.secret() == IDENTITY.secret()
    assert opened.recipient == IDENTITY.recipient


def test_white_space_around_the_passphrase_does_not_matter():
    assert lock.unlock(TEXT, f" {PASSPHRASE}\n").recipient == IDENTITY.recipient


def test_another_passphrase_is_told_from_damage():
    with pytest.raises(NotOurKeyError):
        lock.unlock(TEXT, PASSPHRASE + "x")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"memory: 65536", b"memory: 1048577"),
        (b"memory: 65536", b"memory: 31"),
        (b"memory: 65536", b"memory: 065536"),
        (b"memory: 65536", b"memory: -1"),
        (b"passes: 3", b"passes: 17"),
        (b"lanes: 4", b"lanes: 17"),
        (b"lanes: 4", b"lanes: 0"),
    ],
)
def test_costs_beyond_the_bounds_are_refused_before_computing(old, new):
    with pytest.raises(UnreadableError):
        lock.unlock(TEXT.replace(old, new), PASSPHRASE)


def test_a_lock_under_another_name_or_id_is_refused():
    other = TEXT.replace(f"id: {IDENTITY.recipient.id}".encode(), b"id: 0123456789abcdef")
    with pytest.raises(DamagedError):
        lock.unlock(other, PASSPHRASE)


def test_an_altered_lock_is_refused():
    lines = TEXT.split(b"\n")
    for at, expected in ((-3, NotOurKeyError), (-2, DamagedError)):
        forged = list(lines)
        forged[at] = (b"B" if forged[at][:1] != b"B" else b"C") + forged[at][1:]
        with pytest.raises(expected):
            lock.unlock(b"\n".join(forged), PASSPHRASE)


def test_the_text_shows_no_secret():
    assert IDENTITY.secret() not in TEXT
    assert PASSPHRASE.encode() not in TEXT


def test_a_passphrase_has_120_bits_in_groups():
    made = lock.make_passphrase(lambda count: bytes(range(count)))
    assert re.fullmatch(r"([a-z2-7]{5}-){4}[a-z2-7]{4}", made)
    assert made != lock.make_passphrase(bytes)


APPROVED = lock.lock(IDENTITY, PASSPHRASE, lambda count: b"s" * count, approved=True)


def test_a_lock_of_approved_algorithms_opens_with_the_same_passphrase():
    assert APPROVED.startswith(b"sealnode locked-identity-pbkdf2 v1\n")
    assert lock.unlock(APPROVED, PASSPHRASE).secret() == IDENTITY.secret()
    with pytest.raises(NotOurKeyError):
        lock.unlock(APPROVED, "other")


@pytest.mark.parametrize("count", [b"0", b"10000001", b"01000000", b"many"])
def test_iterations_beyond_the_bounds_are_refused_before_any_is_made(count):
    with pytest.raises(UnreadableError):
        lock.unlock(APPROVED.replace(b"iterations: 1000000", b"iterations: " + count), PASSPHRASE)


def test_a_lock_of_one_kind_is_none_of_the_other():
    with pytest.raises(UnreadableError):
        lock.unlock(APPROVED.replace(b"-pbkdf2 v1", b" v1"), PASSPHRASE)
