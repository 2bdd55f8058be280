"""The key that signs receipts, and its files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.crypto import receipt
from node.crypto.receipt import Receipt, Signer
from node.errors import DamagedError, NotOurKeyError, UnreadableError

SECRET = bytes(range(1, 33))
SAID = Receipt(
    "OBJECT", "SENT", "ct", 10, 20, "sealnode 1", "1a2b3c4d", "pixels",
    b"a" * 32, b"b" * 32, b"c" * 32, b"d" * 32,
)  # fmt: skip


@pytest.mark.parametrize("suite", receipt.SUITES)
def test_a_receipt_says_what_was_signed_and_by_whom(suite):
    signer = Signer(suite, SECRET, 0)
    text = signer.issue(SAID)

    assert receipt.check(text, [signer.public]) == (SAID, signer.public)
    assert signer.issue(SAID) == text


@pytest.mark.parametrize("suite", receipt.SUITES)
def test_the_files_give_the_keys_back(suite):
    signer = Signer(suite, SECRET, 1_790_000_000)

    again, public = (
        receipt.parse_signer(signer.render()),
        receipt.parse_public(signer.public.render()),
    )

    assert again.issue(SAID) == signer.issue(SAID)
    assert (public.public, public.id, public.created) == (
        signer.public.public, signer.public.id, signer.public.created,
    )  # fmt: skip
    assert SECRET.hex() not in repr(signer) + repr(public)


def test_a_file_of_another_kind_or_with_another_id_is_refused():
    signer = Signer("ed25519", SECRET, 0)
    other = Signer("ed25519", bytes(32), 0).public
    with pytest.raises(UnreadableError):
        receipt.parse_public(signer.render())
    with pytest.raises(UnreadableError, match="the id"):
        receipt.parse_public(
            signer.public.render().replace(signer.public.id.encode(), other.id.encode())
        )
    with pytest.raises(UnreadableError, match="the id"):
        receipt.parse_signer(signer.render().replace(signer.public.id.encode(), other.id.encode()))
    with pytest.raises(UnreadableError, match="suite"):
        receipt.parse_signer(signer.render().replace(b"ed25519", b"rsa"))


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, b"short"])
def test_what_is_no_number_of_the_curve_is_no_key(secret):
    with pytest.raises(UnreadableError):
        Signer("p256", secret, 0)


def test_a_number_that_is_none_of_the_curve_is_drawn_again():
    drawn = iter([bytes(32), b"\xff" * 32, SECRET])

    made = receipt.generate("p256", 0.0, lambda _count: next(drawn))

    assert made.public.id == Signer("p256", SECRET, 0).public.id


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), suite=st.sampled_from(receipt.SUITES))
def test_no_bit_of_a_receipt_can_be_changed_unnoticed(at, bit, suite):
    signer = Signer(suite, SECRET, 0)
    text = bytearray(signer.issue(SAID))
    text[at % len(text)] ^= 1 << bit

    with pytest.raises((UnreadableError, DamagedError, NotOurKeyError)):
        receipt.check(bytes(text), [signer.public])
