"""What the robust layer says: whose picture it is, and who got this copy of it.

Both words end with four bytes that only the holder of the hospital's key can
make. Format: docs/formats/robust-v1.md, section 2.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 0
"""The recipient that a picture names if it names none."""

KEY_BYTES = 32
ID_BYTES = 8
TAG_BYTES = 4
_RECIPIENT = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Hospital:
    """A hospital whose pictures can be told.

    :param word: 12 bytes: its id, and what proves it. Public.
    :param key: 32 bytes, secret, where it is our own; else empty.
    :param recipients: those whose copies are looked for harder; needs the key.
    """

    word: bytes
    key: bytes = b""
    recipients: tuple[int, ...] = ()

    @property
    def id(self) -> bytes:
        """The 8 bytes that stand for it."""
        return self.word[:ID_BYTES]

    def message(self, recipient: int = NOBODY) -> bytes:
        """Return the 20 bytes of a picture for one recipient; needs the key."""
        return self.word + self._recipient(recipient)

    def words(self) -> Iterator[tuple[int | None, bytes]]:
        """Yield what its pictures say: (recipient, message), and (None, word) for any other."""
        yield None, self.word
        for number in self.recipients if self.key else ():
            yield number, self.message(number)

    def recipient(self, word: bytes) -> int | None:
        """Return the recipient that 8 bytes name, or None if we did not make them."""
        (number,) = _RECIPIENT.unpack_from(word)
        genuine = bool(self.key) and hmac.compare_digest(word, self._recipient(number))
        return int(number) if genuine else None

    def _recipient(self, number: int) -> bytes:
        named = _RECIPIENT.pack(number)
        return named + _tag(self.key, b"recipient", self.id + named)


def own(key: bytes) -> Hospital:
    """Return the hospital that holds ``key``."""
    identity = hmac.digest(key, b"robust-1 id", hashlib.sha256)[:ID_BYTES]
    return Hospital(identity + _tag(key, b"hospital", identity), key)


def is_genuine(word: bytes, key: bytes) -> bool:
    """Return whether the holder of ``key`` made the 12 bytes of a hospital."""
    return hmac.compare_digest(word[ID_BYTES:], _tag(key, b"hospital", word[:ID_BYTES]))


def _tag(key: bytes, label: bytes, body: bytes) -> bytes:
    return hmac.digest(key, b"robust-1 " + label + b"\0" + body, hashlib.sha256)[:TAG_BYTES]
