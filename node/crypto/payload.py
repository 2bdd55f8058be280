"""The container of payload v1, and what a payload is bound to.

Layout only: no key passes through here. Source: docs/formats/payload-v1.md,
sections 1, 3 and 5.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.errors import UnreadableError

if TYPE_CHECKING:
    from node.types import Binding

VERSION = 1
SUITE = 1  # HKDF-SHA-256, AES-256-GCM
DNA_SUITE = 3  # the same over a DNA-coded plaintext; 2 is never given out
SUITES = (SUITE, DNA_SUITE)
KEY_ID_BYTES = 4
SALT_BYTES = 16
TAG_BYTES = 16
OVERHEAD = 2 + KEY_ID_BYTES + SALT_BYTES + TAG_BYTES
MAX_PLAINTEXT = 16 * 1024 * 1024  # bytes; bounds what a hostile payload can make us hold

_HEAD = 2 + KEY_ID_BYTES + SALT_BYTES
_MAX_UID = 64  # bytes; PS3.5 6.2, VR UI
_NUMBERS = struct.Struct(">IIIHHHH")
_PURPOSE = re.compile(rb"[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True)
class Payload:
    """A container taken apart. Nothing in it is secret.

    :param ciphertext: with the 16-byte tag at its end.
    """

    key_id: bytes
    salt: bytes
    ciphertext: bytes
    suite: int = SUITE


def pack(payload: Payload) -> bytes:
    """Return the bytes of a container: 38 more than its plaintext has."""
    return bytes((VERSION, payload.suite)) + payload.key_id + payload.salt + payload.ciphertext


def parse(data: bytes) -> Payload:
    """Take a container apart.

    :raises UnreadableError: it is no container of a version known here.
    """
    if not OVERHEAD <= len(data) <= OVERHEAD + MAX_PLAINTEXT:
        raise UnreadableError(f"a payload of {len(data)} bytes has no possible length")
    if data[0] != VERSION or data[1] not in SUITES:
        raise UnreadableError(
            f"payload of version {data[0]}, suite {data[1]} is not known here",
            hint="it may have been sealed by a newer release",
        )
    return Payload(
        key_id=bytes(data[2 : 2 + KEY_ID_BYTES]),
        salt=bytes(data[2 + KEY_ID_BYTES : _HEAD]),
        ciphertext=bytes(data[_HEAD:]),
        suite=data[1],
    )


def encode_binding(binding: Binding) -> bytes:
    """Return the canonical bytes of a binding (``B`` in the specification).

    :raises UnreadableError: a UID is no ASCII of 0 to 64 bytes, or a number
        does not fit its field: no valid object has such values.
    """
    try:
        numbers = _NUMBERS.pack(
            binding.rows,
            binding.columns,
            binding.frames,
            binding.samples_per_pixel,
            binding.bits_allocated,
            binding.bits_stored,
            binding.pixel_representation,
        )
    except struct.error:
        raise UnreadableError("an image dimension is out of range") from None
    return _string(binding.sop_class_uid) + _string(binding.sop_instance_uid) + numbers


def associated_data(key_id: bytes, purpose: bytes, binding: Binding, suite: int = SUITE) -> bytes:
    """Return the canonical bytes that a payload authenticates beside its plaintext.

    :raises UnreadableError: as :func:`encode_binding`.
    :raises ValueError: the purpose is no label.
    """
    if not _PURPOSE.fullmatch(purpose):
        raise ValueError("a purpose is 1 to 32 of a-z, 0-9 and -")
    head = bytes((VERSION, suite)) + key_id + bytes((len(purpose),)) + purpose
    return head + encode_binding(binding)


def encode_uid(uid: str) -> bytes:
    """Return the bytes of a UID.

    :raises UnreadableError: it is no ASCII of 0 to 64 characters.
    """
    if not uid.isascii() or len(uid) > _MAX_UID:
        raise UnreadableError("a UID is no ASCII of at most 64 characters")
    return uid.encode("ascii")


def _string(uid: str) -> bytes:
    encoded = encode_uid(uid)
    return bytes((len(encoded),)) + encoded
