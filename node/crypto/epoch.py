"""An epoch: the key that a site seals under for a while, and how that ended.

Source: docs/formats/keys-v1.md, sections 1 and 6.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.crypto.capsule import parse_epoch, parse_key_id
from node.crypto.document import Document, Stanza, format_time, parse, parse_time
from node.crypto.seal import KEY_BYTES, EpochKey
from node.errors import UnreadableError

if TYPE_CHECKING:
    from node.crypto.capsule import Capsule

RETIRED = "retired"
DESTROYED = "destroyed"

_DIGEST_BYTES = 32
_FIELDS = ("epoch", "id", "created")
_END_FIELDS = ("epoch", "id", "created", "state", "since")


@dataclass(frozen=True, slots=True)
class Epoch:
    """The epoch that a site seals under.

    :param number: counts from 1.
    :param created: seconds since the epoch of Unix.
    """

    number: int
    created: int
    key: EpochKey

    def render(self) -> bytes:
        """Return the text of ``epoch.key``. It is a secret."""
        fields = {
            "epoch": str(self.number),
            "id": self.key.key_id.hex(),
            "created": format_time(self.created),
        }
        stanza = Stanza(("secret",), self.key.secret())
        return Document("epoch-key", fields, (stanza,)).render()


def parse_epoch_key(data: bytes) -> Epoch:
    """Read ``epoch.key``.

    :raises UnreadableError: it is none, or its id is not that of its key.
    """
    document = parse(data, "epoch-key", _FIELDS)
    secret = document.body("secret")
    if len(secret) != KEY_BYTES:
        raise UnreadableError("epoch-key: the secret is not 32 bytes long")
    key = EpochKey(secret)
    if parse_key_id("epoch-key", document.fields["id"]) != key.key_id:
        raise UnreadableError("epoch-key: the id is not that of the key")
    number = parse_epoch("epoch-key", document.fields["epoch"])
    return Epoch(number, parse_time("epoch-key", document.fields["created"]), key)


@dataclass(frozen=True, slots=True)
class Ending:
    """That an epoch seals no more, or opens no more. No secret.

    :param state: ``retired`` (opens what it sealed) or ``destroyed``.
    :param since: seconds since the epoch of Unix, like ``created``.
    :param capsule: SHA-256 of the file of its capsule at that time.
    """

    number: int
    key_id: bytes
    created: int
    state: str
    since: int
    capsule: bytes

    @property
    def destroyed(self) -> bool:
        """Whether nothing that was sealed under it shall open again."""
        return self.state == DESTROYED

    @property
    def words(self) -> str:
        """State and day as a person reads them: ``destroyed on 2026-11-22``."""
        return f"{self.state} on {format_time(self.since)[:10]}"

    def render(self) -> bytes:
        """Return the text of its file."""
        fields = {
            "epoch": str(self.number),
            "id": self.key_id.hex(),
            "created": format_time(self.created),
            "state": self.state,
            "since": format_time(self.since),
        }
        return Document("epoch-end", fields, (Stanza(("capsule",), self.capsule),)).render()


def end(capsule: Capsule, state: str, now: float) -> Ending:
    """Return the ending of the epoch of a capsule."""
    digest = hashlib.sha256(capsule.render()).digest()
    return Ending(capsule.epoch, capsule.key_id, capsule.created, state, int(now), digest)


def parse_ending(data: bytes) -> Ending:
    """Read an ``.end`` file.

    :raises UnreadableError: it is none.
    """
    document = parse(data, "epoch-end", _END_FIELDS)
    fields, digest = document.fields, document.body("capsule")
    if fields["state"] not in (RETIRED, DESTROYED) or len(digest) != _DIGEST_BYTES:
        raise UnreadableError("epoch-end: the state or the digest makes no sense")
    return Ending(
        number=parse_epoch("epoch-end", fields["epoch"]),
        key_id=parse_key_id("epoch-end", fields["id"]),
        created=parse_time("epoch-end", fields["created"]),
        state=fields["state"],
        since=parse_time("epoch-end", fields["since"]),
        capsule=digest,
    )
