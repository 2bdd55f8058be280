"""The seam of the seal: who can close is another object than who can open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.crypto.recipient import Recipient
    from node.types import Binding


class Sealer(Protocol):
    """Closes payloads under the current epoch key (docs/formats/payload-v1.md)."""

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that name the epoch key."""
        ...

    def seal(self, plaintext: bytes, binding: Binding, purpose: bytes) -> bytes:
        """Return the payload. The same arguments always give the same bytes.

        :param purpose: ``b"record"`` (rides in the pixels), ``b"header"``
            (header copy), or another label; sealed under one purpose, a
            payload does not open under another.
        :raises UnsealableError: the plaintext passes 16 MiB.
        """
        ...

    def tag_key(self, binding: Binding) -> bytes:
        """Return the 32-byte key of the mark in the object so bound."""
        ...


class Opener(Protocol):
    """Opens payloads under every epoch key that the keyring can unwrap."""

    def open(self, payload: bytes, binding: Binding, purpose: bytes) -> bytes:
        """Return the plaintext.

        :raises NotOurKeyError: no key of the ring has the payload's key id.
        :raises DamagedError: a key of the ring has it, but the payload does
            not authenticate for this binding and purpose.
        :raises UnreadableError: the bytes are no payload of a known version.
        """
        ...

    def fate(self, key_id: str) -> str:
        """Return what is known of a key that the ring does not hold.

        Goes on from "a key that": ``"is not in the ring"``, ``"was destroyed
        on 2026-11-22"``.

        :param key_id: hexadecimal, or whatever an object calls a key id.
        """
        ...

    def tag_keys(self, binding: Binding) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key id, 32-byte mark key) for every epoch, newest first."""
        ...


class Unwrapper(Protocol):
    """Opens what was wrapped for one recipient: an identity in memory, or in a token."""

    @property
    def recipient(self) -> Recipient:
        """Whose private key it has."""
        ...

    def unwrap(self, wrapped: bytes, key_id: bytes) -> bytes:
        """Return what was wrapped for the recipient under a key id.

        :raises DamagedError: it was not.
        :raises ConfigError: the token cannot be used.
        """
        ...


class KeyProvider(Protocol):
    """Where keys come from: a directory, systemd credentials, PKCS#11, memory."""

    def sealer(self) -> Sealer:
        """Return the sealer of the current epoch. Needs no opening key.

        :raises ConfigError: there is no usable key.
        """
        ...

    def prover(self) -> Opener:
        """Return an opener for the current epoch alone, made from the sealing key.

        With it the process that seals proves that what it sealed opens again,
        before it sends it; what other epochs sealed stays closed to it.

        :raises ConfigError: there is no usable key.
        """
        ...

    def opener(self) -> Opener:
        """Return an opener for every epoch that the identity at hand unwraps.

        :raises ConfigError: there is no usable key.
        """
        ...
