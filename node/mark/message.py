"""What the robust layer says: whose picture it is, who got it, and a code that only they can make.

Format: docs/formats/robust-v1.md, section 2.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass

NOBODY = 0
"""The recipient of a picture that names none."""

TAG_BYTES = 4
_BODY = struct.Struct(">8sI")


@dataclass(frozen=True, slots=True)
class Message:
    """Sixteen bytes in a picture.

    :param hospital: 8 bytes.
    :param recipient: 32 bits; :data:`NOBODY` for none.
    :param tag: 4 bytes; see :func:`sign`.
    """

    hospital: bytes
    recipient: int
    tag: bytes

    def pack(self) -> bytes:
        """Return the 16 bytes."""
        return _BODY.pack(self.hospital, self.recipient) + self.tag

    def is_signed_by(self, key: bytes) -> bool:
        """Return whether the holder of ``key`` made it; by chance once in 2^32."""
        return hmac.compare_digest(self.tag, _tag(key, self.hospital, self.recipient))


def sign(key: bytes, hospital: bytes, recipient: int = NOBODY) -> Message:
    """Return the message of a hospital.

    :param key: 32 bytes, secret.
    """
    return Message(hospital, recipient, _tag(key, hospital, recipient))


def unpack(data: bytes) -> Message:
    """Return the message of 16 bytes."""
    hospital, recipient = _BODY.unpack_from(data)
    return Message(hospital, recipient, data[_BODY.size :])


def hospital_of(key: bytes) -> bytes:
    """Return the 8 bytes that stand for the hospital that holds ``key``."""
    return hmac.digest(key, b"robust-1 hospital", hashlib.sha256)[:8]


def _tag(key: bytes, hospital: bytes, recipient: int) -> bytes:
    body = b"robust-1 message\0" + _BODY.pack(hospital, recipient)
    return hmac.digest(key, body, hashlib.sha256)[:TAG_BYTES]
