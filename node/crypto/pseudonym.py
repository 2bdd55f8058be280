"""Pseudonyms of UIDs for logs and the audit: the same for ever, and no way back.

SECURITY: the key is worth little (it lets its holder recognise a UID that they
know already), so that everything that logs may hold it.
"""

from __future__ import annotations

import base64
import hmac
from typing import NoReturn

_LENGTH = 16  # characters; 80 bits keep a billion UIDs apart


class Pseudonymizer:
    """Turns UIDs into pseudonyms under one key.

    :param key: 32 random bytes.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "<Pseudonymizer>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a pseudonym key is never pickled")

    def digest(self, purpose: bytes, uid: str) -> bytes:
        """Return the 32 bytes that stand for a UID for one purpose and no other."""
        return hmac.digest(self._key, b"sealnode/v1/" + purpose + b"\0" + uid.encode(), "sha256")

    def pseudonym(self, uid: str) -> str:
        """Return 16 characters of base32: the first 80 bits of HMAC-SHA-256 of the UID."""
        digest = hmac.digest(self._key, uid.encode("utf-8"), "sha256")
        return base64.b32encode(digest).decode("ascii")[:_LENGTH]
