"""HPKE from a secret that a token computes opens what the library's HPKE closed."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from node.crypto import dhkem
from node.crypto.recipient import generate, info_of
from node.errors import DamagedError

KEY_ID = b"abcd"


@pytest.fixture
def wrapped():
    """What was wrapped, the recipient, and the secret that a token would give."""
    identity = generate("card", 0, "p256")
    closed = identity.recipient.wrap(b"s" * 32, KEY_ID)
    private = ec.derive_private_key(int.from_bytes(identity.secret(), "big"), ec.SECP256R1())
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), dhkem.point_of(closed))
    return closed, identity.recipient.public, private.exchange(ec.ECDH(), point)


def test_it_opens_with_the_right_secret_and_info(wrapped):
    closed, public, secret = wrapped
    opened = dhkem.open_p256(secret, public, closed, info_of("p256", KEY_ID))
    assert opened == b"s" * 32


@pytest.mark.parametrize("spoil", ["secret", "public", "info", "ciphertext"])
def test_it_opens_with_nothing_else(wrapped, spoil):
    closed, public, secret = wrapped
    given = {"secret": secret, "public": public, "info": info_of("p256", KEY_ID)}
    given["ciphertext"] = closed
    given[spoil] = given[spoil][:-1] + bytes((given[spoil][-1] ^ 1,))
    with pytest.raises(DamagedError):
        dhkem.open_p256(given["secret"], given["public"], given["ciphertext"], given["info"])


@pytest.mark.parametrize("closed", [b"", b"\x04" * 80, b"\x02" * 113])
def test_what_holds_no_point_is_damaged(closed):
    with pytest.raises(DamagedError):
        dhkem.point_of(closed)
