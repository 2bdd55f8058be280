"""Who made a set of shares: an Ed25519 signature over its hash tree.

The files are those of docs/formats/keys-v1.md, sections 1 and 5. SECURITY: the
private key makes shares in the site's name; it opens and seals nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from itertools import count
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from node.crypto.document import Document, Stanza, format_time, parse, parse_time
from node.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
SEED_BYTES = 32
_PRIVATE_KIND = "share-key"
_PUBLIC_KIND = "share-signer"
_CONTEXT = b"sealnode/v1/share-set"
_DRAWS = b"sealnode/v1/share-draws"


class Signer:
    """Signs sets of shares.

    :param seed: 32 bytes, the private key.
    """

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._draws = HKDF(SHA256(), SEED_BYTES, None, _DRAWS).derive(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"<Signer {self.public.hex()[:16]}>"

    def sign(self, about: bytes, root: bytes) -> bytes:
        """Return the signature of a set."""
        return self._key.sign(_CONTEXT + about + root)

    def draws(self, what: bytes) -> Callable[[int], bytes]:
        """Return a source of bytes that only this key foretells, the same for the same ``what``.

        A set that is made of them is made again identically.
        """
        start = hmac.digest(self._draws, what, "sha256")
        numbers = count()
        return lambda size: hashlib.shake_256(start + next(numbers).to_bytes(8)).digest(size)


def signed(public: bytes, signature: bytes, about: bytes, root: bytes) -> bool:
    """Return whether the holder of a public key signed a set."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _CONTEXT + about + root)
    except (InvalidSignature, ValueError):
        return False
    return True


def render_files(seed: bytes, created: float) -> tuple[bytes, bytes]:
    """Return the texts of ``share.key``, a secret, and ``share.pub``."""
    fields = {"created": format_time(created)}
    return (
        Document(_PRIVATE_KIND, fields, (Stanza(("secret",), seed),)).render(),
        Document(_PUBLIC_KIND, fields, (Stanza(("public",), Signer(seed).public),)).render(),
    )


def parse_secret(data: bytes) -> Signer:
    """Read ``share.key``.

    :raises UnreadableError: it is none.
    """
    return Signer(_body(data, _PRIVATE_KIND, "secret", SEED_BYTES))


def parse_public(data: bytes) -> bytes:
    """Read ``share.pub`` and return the 32 bytes of the public key.

    :raises UnreadableError: it is none.
    """
    return _body(data, _PUBLIC_KIND, "public", PUBLIC_BYTES)


def _body(data: bytes, kind: str, word: str, length: int) -> bytes:
    document = parse(data, kind, ("created",))
    parse_time(kind, document.fields["created"])
    body = document.body(word)
    if len(body) != length:
        raise UnreadableError(f"{kind}: the key is not {length} bytes long")
    return body
