"""Signed checkpoints: "so many events, with this root", in the form of a C2SP signed note.

Whoever holds a checkpoint can tell a log that was cut or changed before it.
Forms: C2SP signed-note, tlog-checkpoint; the key strings are those of Go's
``sumdb/note``. The signature is Ed25519.

SECURITY: the private key can sign any history; only the process that writes
the log may read it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from node.errors import AuditError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

ED25519 = b"\x01"  # C2SP signed-note: signature type
PRIVATE = "PRIVATE+KEY+"
KEY_BYTES = 32
SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a note says.

    :param origin: which log it speaks of.
    :param size: events in the log.
    :param root: RFC 6962 root over their lines.
    :param time: when it was signed, ISO 8601, UTC, by the signer's clock.
    """

    origin: str
    size: int
    root: bytes
    time: str


class Signer:
    """Signs checkpoints of one log.

    :param key: the text of a private key, ``PRIVATE+KEY+name+id+base64``.
    :raises ConfigError: it is none.
    """

    def __init__(self, key: str) -> None:
        if not key.startswith(PRIVATE):
            raise ConfigError(["audit key: is not a private key of a signed note"])
        self.name, _, seed = _split(key.strip().removeprefix(PRIVATE))
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()
        if _split(key.strip().removeprefix(PRIVATE))[1] != _key_id(self.name, self._public):
            raise ConfigError(["audit key: name, id and key do not belong together"])

    @property
    def public_key(self) -> str:
        """The text that others verify with, ``name+id+base64``."""
        return _public_text(self.name, self._public)

    def sign(self, size: int, root: bytes, time: str) -> str:
        """Return the note of a checkpoint."""
        text = f"{self.name}\n{size}\n{base64.b64encode(root).decode()}\n{time}\n"
        signature = self._key.sign(text.encode())
        mark = base64.b64encode(_key_id(self.name, self._public) + signature).decode()
        return f"{text}\n\u2014 {self.name} {mark}\n"


class Verifier:
    """Opens the checkpoints of one log.

    :param public_key: ``name+id+base64``.
    :raises ConfigError: it is no such key.
    """

    def __init__(self, public_key: str) -> None:
        self.name, self._id, public = _split(public_key.strip())
        if self._id != _key_id(self.name, public):
            raise ConfigError(["audit key: name, id and key do not belong together"])
        self._key = Ed25519PublicKey.from_public_bytes(public)

    def open(self, note: str) -> Checkpoint:
        """Return what a note says if its signature is good.

        :raises AuditError: it is not, or the note has another form.
        """
        text, _, marks = note.partition("\n\n")
        text += "\n"
        *signatures, end = marks.split("\n")
        if end or not all(line.startswith("\u2014 ") for line in signatures):
            raise AuditError("a checkpoint has an unknown form")
        start = f"\u2014 {self.name} "
        for line in signatures:
            if line.startswith(start) and self._signed(text, line.removeprefix(start)):
                return _parse(text)
        raise AuditError("a checkpoint is not signed with the key")

    def _signed(self, text: str, mark: str) -> bool:
        try:
            raw = base64.b64decode(mark, validate=True)
            self._key.verify(raw[len(self._id) :], text.encode())
        except (ValueError, InvalidSignature):
            return False
        return base64.b64encode(raw).decode() == mark and raw.startswith(self._id)


def open_any(note: str, verifiers: Iterable[Verifier]) -> Checkpoint:
    """Return what a note says if one of several keys signed it.

    :raises AuditError: none did.
    """
    for verifier in verifiers:
        try:
            return verifier.open(note)
        except AuditError:
            continue
    raise AuditError("a checkpoint is not signed with the key")


def body_of(note: str) -> Checkpoint:
    """Return what a note says, whoever signed it.

    :raises AuditError: it has another form.
    """
    text, found, _ = note.partition("\n\n")
    if not found:
        raise AuditError("a checkpoint has an unknown form")
    return _parse(text + "\n")


def generate(name: str) -> tuple[str, str]:
    """Make a key pair and return the texts of its private and its public half.

    :param name: of the log; without spaces and plus signs.
    """
    if not name or set(name) & set(" +\n\t\r"):
        raise ConfigError([f"audit name {name!r}: must not be empty or hold spaces or +"])
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    seed = base64.b64encode(ED25519 + key.private_bytes_raw()).decode()
    return (
        f"{PRIVATE}{name}+{_key_id(name, public).hex()}+{seed}\n",
        _public_text(name, public) + "\n",
    )


def _public_text(name: str, public: bytes) -> str:
    text = base64.b64encode(ED25519 + public).decode()
    return f"{name}+{_key_id(name, public).hex()}+{text}"


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def _split(key: str) -> tuple[str, bytes, bytes]:
    """Return name, id and the 32 bytes of a key's text."""
    parts = key.split("+", 2)
    try:
        name, number, text = parts
        raw = base64.b64decode(text, validate=True)
        key_id = bytes.fromhex(number)
    except ValueError:
        raise ConfigError(["audit key: is not name+id+base64"]) from None
    if raw[:1] != ED25519 or len(raw) != 1 + KEY_BYTES:
        raise ConfigError(["audit key: is not an Ed25519 key"])
    return name, key_id, raw[1:]


def _parse(text: str) -> Checkpoint:
    lines = text.split("\n")
    try:
        origin, size, root, time, end = lines
        checkpoint = Checkpoint(origin, int(size), base64.b64decode(root, validate=True), time)
    except ValueError:
        raise AuditError("a checkpoint has an unknown form") from None
    if (
        end
        or not re.fullmatch("0|[1-9][0-9]*", size)
        or len(checkpoint.root) != hashlib.sha256().digest_size
    ):
        raise AuditError("a checkpoint has an unknown form")
    return checkpoint
