"""What stands for a patient, a number, a UID: for ever the same, and no way back without the seal.

SECURITY: the key lets its holder test guesses, and names are easily guessed:
only the process that seals, and what answers workstations, may hold it.
"""

from __future__ import annotations

import base64
import hmac
from typing import NoReturn

MIN_DAYS, MAX_DAYS = 30, 3650  # dates move back by so much
_CODE = 16  # characters; 80 bits keep a billion patients apart


class Mapping:
    """Maps under one key; each kind of value under a key of its own.

    :param key: 32 random bytes: those of ``mapping.key``.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "<Mapping>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a mapping key is never pickled")

    def uid(self, uid: bytes) -> bytes:
        """Return ``2.25.`` and a UUID (PS3.5 B.2; RFC 9562, version 8) made of 122 bits of HMAC."""
        number = int.from_bytes(self._mac("uid", uid)[:16], "big")
        number &= ~(0xF << 76) & ~(0x3 << 62)
        return b"2.25.%d" % (number | 0x8 << 76 | 0x2 << 62)

    def code(self, kind: str, value: bytes) -> bytes:
        """Return 16 characters of base32: the first 80 bits of HMAC-SHA-256."""
        return base64.b32encode(self._mac(f"code {kind}", value))[:_CODE]

    def days(self, patient: bytes) -> int:
        """Return from -3650 to -30: by how many days the dates of a patient move."""
        number = int.from_bytes(self._mac("days", patient)[:8], "big")
        return -(MIN_DAYS + number % (MAX_DAYS - MIN_DAYS + 1))

    def secret(self, label: str) -> bytes:
        """Return 32 bytes that nobody without the key can know."""
        return self._mac("secret", label.encode("ascii"))

    def _mac(self, label: str, value: bytes) -> bytes:
        key = hmac.digest(self._key, b"sealnode mapping v1 " + label.encode("ascii"), "sha256")
        return hmac.digest(key, value, "sha256")
