"""Closing and opening payloads with epoch keys.

Source: docs/formats/payload-v1.md, sections 2, 4 and 5. SECURITY: epoch keys
live here in memory; no object of this module shows more than a key id, and
none can be pickled into a queue or another process.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from node.crypto import dna
from node.crypto.payload import (
    DNA_SUITE,
    KEY_ID_BYTES,
    MAX_PLAINTEXT,
    SALT_BYTES,
    SUITE,
    Payload,
    associated_data,
    encode_binding,
    pack,
    parse,
)
from node.errors import DamagedError, NotOurKeyError, UnsealableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from node.types import Binding

KEY_BYTES = 32
_NONCE = bytes(12)  # may stand still: an object key closes one plaintext only


class EpochKey:
    """One epoch key with what is derived from it once.

    :param secret: 32 random bytes.
    :raises ValueError: it is not 32 bytes long.
    """

    __slots__ = ("_salt_key", "_secret", "key_id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError("an epoch key is 32 bytes long")
        self._secret = bytes(secret)
        self._salt_key = self.derive(b"sealnode/v1/salt")
        self.key_id = hashlib.sha256(b"sealnode/v1/key-id" + secret).digest()[:KEY_ID_BYTES]

    def __repr__(self) -> str:
        return f"<EpochKey {self.key_id.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an epoch key is never pickled")

    def secret(self) -> bytes:
        """Return the key itself, for wrapping it to a recipient or keeping it."""
        return self._secret

    def derive(self, info: bytes, salt: bytes = b"") -> bytes:
        """Return 32 bytes of HKDF-SHA-256 (RFC 5869) over the epoch key."""
        return HKDF(hashes.SHA256(), KEY_BYTES, salt, info).derive(self._secret)

    def mark_key(self, binding: Binding) -> bytes:
        """Return the key that steers the mark in the object so bound."""
        digest = hashlib.sha256(encode_binding(binding)).digest()
        return self.derive(b"sealnode/v1/mark" + digest)

    def close(
        self, plaintext: bytes, binding: Binding, purpose: bytes, suite: int = SUITE
    ) -> bytes:
        """Return the one payload of these arguments under this key.

        :param suite: how it is closed; payload-v1, section 1.
        :raises UnsealableError: the plaintext passes 16 MiB.
        """
        if len(plaintext) > MAX_PLAINTEXT:
            raise UnsealableError("the payload would pass 16 MiB", code="payload_too_large")
        data = associated_data(self.key_id, purpose, binding, suite)
        digest = hashlib.sha256(data).digest()
        salt = self._salt(digest, plaintext)
        coded = plaintext
        if suite == DNA_SUITE:
            coded = dna.encode(plaintext, self._dna_key(digest, salt))
        ciphertext = self._cipher(digest, salt).encrypt(_NONCE, coded, data)
        return pack(Payload(self.key_id, salt, ciphertext, suite))

    def open(self, payload: Payload, binding: Binding, purpose: bytes) -> bytes:
        """Return the plaintext of a payload that names this key.

        :raises DamagedError: it is not what this key closed for this binding
            and purpose.
        """
        data = associated_data(self.key_id, purpose, binding, payload.suite)
        digest = hashlib.sha256(data).digest()
        cipher = self._cipher(digest, payload.salt)
        try:
            plaintext = cipher.decrypt(_NONCE, payload.ciphertext, data)
        except InvalidTag:
            plaintext = None
        if plaintext is not None and payload.suite == DNA_SUITE:
            plaintext = dna.decode(plaintext, self._dna_key(digest, payload.salt))
        if plaintext is None or not hmac.compare_digest(
            payload.salt, self._salt(digest, plaintext)
        ):
            raise DamagedError(
                f"the payload names key {self.key_id.hex()} but does not open with it",
                hint="it was altered, or belongs to another object",
            )
        return plaintext

    def _salt(self, digest: bytes, plaintext: bytes) -> bytes:
        return hmac.digest(self._salt_key, digest + plaintext, "sha256")[:SALT_BYTES]

    def _dna_key(self, digest: bytes, salt: bytes) -> bytes:
        return self.derive(b"sealnode/v1/dna" + digest, salt)

    def _cipher(self, digest: bytes, salt: bytes) -> AESGCM:
        return AESGCM(self.derive(b"sealnode/v1/object" + digest, salt))


class EpochSealer:
    """The :class:`~node.crypto.base.Sealer` of one epoch key.

    :param suite: how payloads are closed; payload-v1, section 1.
    """

    __slots__ = ("_key", "_suite")

    def __init__(self, key: EpochKey, suite: int = SUITE) -> None:
        self._key = key
        self._suite = suite

    def __repr__(self) -> str:
        return f"<EpochSealer {self.key_id.hex()}>"

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that name the epoch key."""
        return self._key.key_id

    def seal(self, plaintext: bytes, binding: Binding, purpose: bytes) -> bytes:
        """Return the payload; see :meth:`node.crypto.base.Sealer.seal`."""
        return self._key.close(plaintext, binding, purpose, self._suite)

    def tag_key(self, binding: Binding) -> bytes:
        """Return the 32-byte key of the mark in the object so bound."""
        return self._key.mark_key(binding)


class KeyringOpener:
    """The :class:`~node.crypto.base.Opener` of several epoch keys.

    :param keys: newest first; that is the order in which marks are tried.
    :param gone: what became of keys that will never be had again, by key id in hexadecimal.
    """

    __slots__ = ("_gone", "_keys")

    def __init__(self, keys: Iterable[EpochKey], gone: Mapping[str, str] | None = None) -> None:
        self._keys = {key.key_id: key for key in keys}
        self._gone = dict(gone or {})

    def __repr__(self) -> str:
        return f"<KeyringOpener {' '.join(key_id.hex() for key_id in self._keys)}>"

    @property
    def key_ids(self) -> tuple[bytes, ...]:
        """The ids of all keys that it opens with, newest first."""
        return tuple(self._keys)

    def open(self, payload: bytes, binding: Binding, purpose: bytes) -> bytes:
        """Return the plaintext; see :meth:`node.crypto.base.Opener.open`."""
        parsed = parse(payload)
        key = self._keys.get(parsed.key_id)
        if key is None:
            raise NotOurKeyError(
                f"sealed under key {parsed.key_id.hex()}, which {self.fate(parsed.key_id.hex())}",
                hint="nodectl keys list shows the keys that are there",
            )
        return key.open(parsed, binding, purpose)

    def fate(self, key_id: str) -> str:
        """Return where a key is that the ring does not hold; a key id is hexadecimal."""
        return f"was {self._gone[key_id]}" if key_id in self._gone else "is not in the ring"

    def tag_keys(self, binding: Binding) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key id, 32-byte mark key) for every epoch, newest first."""
        for key_id, key in self._keys.items():
            yield key_id, key.mark_key(binding)
