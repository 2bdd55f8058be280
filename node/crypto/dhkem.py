"""HPKE in base mode from a Diffie-Hellman secret that was computed elsewhere, in a token.

Source: RFC 9180 sections 4.1 and 5.1, with DHKEM(P-256, HKDF-SHA-256),
HKDF-SHA-256 and AES-256-GCM. Libraries take private keys, which a token does
not give away.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from node.errors import DamagedError

ENC_BYTES = 65  # an uncompressed point
_TAG_BYTES = 16
_KEM = b"KEM\x00\x10"
_HPKE = b"HPKE\x00\x10\x00\x01\x00\x02"


def open_p256(secret: bytes, public: bytes, wrapped: bytes, info: bytes) -> bytes:
    """Return what was wrapped by the suite ``p256``.

    :param secret: 32 bytes, the x coordinate that ECDH of the private key and
        the first 65 bytes of ``wrapped`` gives.
    :param public: of the recipient, 65 bytes.
    :raises DamagedError: it does not open.
    """
    enc, ciphertext = wrapped[:ENC_BYTES], wrapped[ENC_BYTES:]
    prk = _extract(_KEM, b"", b"eae_prk", secret)
    shared = _expand(_KEM, prk, b"shared_secret", enc + public, 32)
    context = b"\x00" + _extract(_HPKE, b"", b"psk_id_hash", b"")
    context += _extract(_HPKE, b"", b"info_hash", info)
    prk = _extract(_HPKE, shared, b"secret", b"")
    key = _expand(_HPKE, prk, b"key", context, 32)
    nonce = _expand(_HPKE, prk, b"base_nonce", context, 12)
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, b"")
    except (InvalidTag, ValueError):
        raise DamagedError("a wrapped key does not open with its identity") from None


def point_of(wrapped: bytes) -> bytes:
    """Return the point that the token multiplies.

    :raises DamagedError: there is none.
    """
    if len(wrapped) < ENC_BYTES + _TAG_BYTES or wrapped[0] != 4:  # noqa: PLR2004 - uncompressed
        raise DamagedError("a wrapped key does not open with its identity")
    return wrapped[:ENC_BYTES]


def _extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return HKDFExpand(hashes.SHA256(), length, labelled).derive(prk)
