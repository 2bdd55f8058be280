"""Recipients and identities of every suite."""

from __future__ import annotations

import pickle

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from node.crypto import recipient
from node.crypto.suites import SUITES
from node.errors import DamagedError, UnreadableError

NOW = 1_790_000_000
LENGTHS = {
    "mlkem768-x25519": 1168,
    "x25519": 80,
    "mlkem768": 1136,
    "p256": 113,
    "rsa-oaep-3072": 384,
}
IDENTITIES = {suite: recipient.generate("site", NOW, suite) for suite in SUITES}

every_suite = pytest.mark.parametrize("suite", SUITES)


@every_suite
def test_what_is_wrapped_unwraps_and_has_the_published_length(suite):
    identity = IDENTITIES[suite]
    wrapped = identity.recipient.wrap(b"k" * 32, b"abcd")
    assert len(wrapped) == LENGTHS[suite]
    assert identity.unwrap(wrapped, b"abcd") == b"k" * 32


@every_suite
def test_it_unwraps_for_no_other_key_id_and_no_other_identity(suite):
    identity = IDENTITIES[suite]
    wrapped = identity.recipient.wrap(b"k" * 32, b"abcd")
    with pytest.raises(DamagedError):
        identity.unwrap(wrapped, b"abce")
    with pytest.raises(DamagedError):
        recipient.generate("site", NOW, suite).unwrap(wrapped, b"abcd")


@every_suite
@pytest.mark.parametrize(
    "damage", [lambda w: w[:-1], lambda w: w + b"x", lambda _: b"", lambda w: bytes(len(w))]
)
def test_damaged_wraps_are_refused(suite, damage):
    identity = IDENTITIES[suite]
    wrapped = identity.recipient.wrap(b"k" * 32, b"abcd")
    with pytest.raises(DamagedError):
        identity.unwrap(damage(wrapped), b"abcd")


@every_suite
def test_both_files_come_back_as_they_were(suite):
    identity = IDENTITIES[suite]
    assert recipient.parse_recipient(identity.recipient.render()) == identity.recipient
    again = recipient.parse_identity(identity.render())
    assert again.recipient == identity.recipient
    assert again.secret() == identity.secret()


@every_suite
def test_keys_of_another_suite_are_refused(suite):
    for other, identity in IDENTITIES.items():
        if other != suite:
            text = identity.render().replace(
                b"suite: " + other.encode(), b"suite: " + suite.encode()
            )
            with pytest.raises(UnreadableError):
                recipient.parse_identity(text)
            wrong = recipient.Recipient(suite, "site", NOW, identity.recipient.public)
            with pytest.raises(UnreadableError):
                wrong.wrap(bytes(32), b"abcd")


def test_an_rsa_key_of_another_size_is_refused():
    small = rsa.generate_private_key(65537, 2048)
    private = small.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(UnreadableError):
        recipient.Identity("rsa-oaep-3072", "site", NOW, private)


def test_an_x25519_key_that_yields_nothing_is_refused():
    low_order = recipient.Recipient("x25519", "site", NOW, bytes(32))
    with pytest.raises(UnreadableError):
        recipient.parse_recipient(low_order.render())


@pytest.mark.parametrize("name", ["", "-a", "A", "a" * 33, "../a", "a b", "a\n", "é"])
def test_a_name_is_safe_as_a_file_name(name):
    with pytest.raises(UnreadableError):
        recipient.generate(name, NOW, "x25519")


def test_an_unknown_suite_is_refused_with_the_known_ones():
    with pytest.raises(UnreadableError) as caught:
        recipient.generate("site", NOW, "rot13")
    assert "mlkem768-x25519" in caught.value.hint


def test_the_id_is_bound_to_suite_and_key_and_checked():
    identity = IDENTITIES["x25519"]
    for text in (identity.render(), identity.recipient.render()):
        parse = recipient.parse_identity if b"identity" in text else recipient.parse_recipient
        with pytest.raises(UnreadableError):
            parse(text.replace(identity.recipient.id.encode(), b"0123456789abcdef"))


def test_an_identity_shows_no_secret_and_is_not_pickled():
    identity = IDENTITIES["x25519"]
    assert repr(identity) == f"<Identity site {identity.recipient.id}>"
    with pytest.raises(TypeError):
        pickle.dumps(identity)
