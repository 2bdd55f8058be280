"""A capsule: one epoch key, wrapped for everyone who may open. No secret.

Source: docs/formats/keys-v1.md, section 3.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.crypto.document import Document, Stanza, format_time, parse, parse_time
from node.crypto.payload import KEY_ID_BYTES
from node.crypto.seal import KEY_BYTES, EpochKey
from node.errors import DamagedError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from node.crypto.base import Unwrapper
    from node.crypto.recipient import Recipient

_FIELDS = ("epoch", "id", "created")
_MAC = ("mac",)
_MAC_BYTES = 32
_WORDS = 3  # suite, recipient id, name


@dataclass(frozen=True, slots=True)
class Slot:
    """One recipient's part of a capsule."""

    suite: str
    recipient: str
    name: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Capsule:
    """A capsule taken apart.

    :param epoch: counts the epochs of a site, from 1.
    :param created: seconds since the epoch.
    """

    epoch: int
    key_id: bytes
    created: int
    slots: tuple[Slot, ...]
    mac: bytes

    @property
    def id(self) -> str:
        """The key id in hexadecimal; also the name of its file."""
        return self.key_id.hex()

    def render(self) -> bytes:
        """Return the text of its file."""
        return _document(self, self.mac).render()

    def open(self, identity: Unwrapper) -> EpochKey | None:
        """Return the epoch key, or None if the capsule is for others.

        :raises DamagedError: it is for this identity and does not open, or is
            not as it was made.
        :raises ConfigError: the token of the identity cannot be used.
        """
        for slot in self.slots:
            if slot.recipient == identity.recipient.id:
                secret = identity.unwrap(slot.wrapped, self.key_id)
                if len(secret) != KEY_BYTES:
                    raise DamagedError(f"capsule {self.id} does not hold an epoch key")
                key = EpochKey(secret)
                self.check(key)
                return key
        return None

    def check(self, key: EpochKey) -> None:
        """Refuse a capsule that is not that of ``key``, or was altered.

        :raises DamagedError: so it is.
        """
        fits = key.key_id == self.key_id
        if not (hmac.compare_digest(_mac(self, key), self.mac) and fits):
            raise DamagedError(
                f"capsule {self.id} is not as it was made", hint="put it back from the backup"
            )


def make(key: EpochKey, epoch: int, created: float, recipients: Iterable[Recipient]) -> Capsule:
    """Return the capsule of an epoch key.

    :raises ValueError: there is no recipient, or one comes twice.
    :raises UnreadableError: a recipient's public key is none.
    """
    slots = tuple(
        Slot(one.suite, one.id, one.name, one.wrap(key.secret(), key.key_id)) for one in recipients
    )
    return assemble(key, epoch, created, slots)


def assemble(key: EpochKey, epoch: int, created: float, slots: tuple[Slot, ...]) -> Capsule:
    """Return the capsule of an epoch key from slots that exist already.

    :raises ValueError: there is no slot, or one comes twice.
    """
    if not slots or len({slot.recipient for slot in slots}) != len(slots):
        raise ValueError("a capsule needs recipients, and none twice")
    bare = Capsule(epoch, key.key_id, int(created), slots, b"")
    return Capsule(epoch, key.key_id, int(created), slots, _mac(bare, key))


def parse_capsule(data: bytes) -> Capsule:
    """Read a ``.capsule`` file.

    :raises UnreadableError: it is none.
    """
    document = parse(data, "capsule", _FIELDS)
    *stanzas, mac = document.stanzas
    if mac.words != _MAC or len(mac.body) != _MAC_BYTES:
        raise UnreadableError("capsule: the last stanza is not its MAC")
    if not stanzas:
        raise UnreadableError("capsule: there is no recipient")
    slots = tuple(_slot(stanza) for stanza in stanzas)
    if len({slot.recipient for slot in slots}) != len(slots):
        raise UnreadableError("capsule: a recipient comes twice")
    return Capsule(
        epoch=parse_epoch("capsule", document.fields["epoch"]),
        key_id=parse_key_id("capsule", document.fields["id"]),
        created=parse_time("capsule", document.fields["created"]),
        slots=slots,
        mac=mac.body,
    )


def parse_epoch(kind: str, text: str) -> int:
    """Return the number of an epoch.

    :raises UnreadableError: it is none, or is not in its one canonical form.
    """
    if not (text.isascii() and text.isdigit()) or text.startswith("0"):
        raise UnreadableError(f"{kind}: the epoch is no number from 1")
    return int(text)


def parse_key_id(kind: str, text: str) -> bytes:
    """Return the bytes of a key id.

    :raises UnreadableError: it is none, or is not in its one canonical form.
    """
    if len(text) != 2 * KEY_ID_BYTES or set(text) - set("0123456789abcdef"):
        raise UnreadableError(f"{kind}: the id is not {KEY_ID_BYTES} bytes in hexadecimal")
    return bytes.fromhex(text)


def _slot(stanza: Stanza) -> Slot:
    if len(stanza.words) != _WORDS:
        raise UnreadableError("capsule: a stanza is not 'suite id name'")
    suite, recipient, name = stanza.words
    return Slot(suite, recipient, name, stanza.body)


def _document(capsule: Capsule, mac: bytes) -> Document:
    fields = {
        "epoch": str(capsule.epoch),
        "id": capsule.id,
        "created": format_time(capsule.created),
    }
    stanzas = [Stanza((s.suite, s.recipient, s.name), s.wrapped) for s in capsule.slots]
    if mac:
        stanzas.append(Stanza(_MAC, mac))
    return Document("capsule", fields, tuple(stanzas))


def _mac(capsule: Capsule, key: EpochKey) -> bytes:
    covered = _document(capsule, b"").render()
    return hmac.digest(key.derive(b"sealnode/v1/capsule"), covered, "sha256")
