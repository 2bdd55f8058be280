"""Recipients and identities: who an epoch key is wrapped for, and who unwraps it.

Source: docs/formats/keys-v1.md, sections 1 and 2. SECURITY: an identity holds
a private key; it shows its id and nothing else, and is never pickled.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from node.crypto.document import Document, Stanza, format_time, parse, parse_time
from node.crypto.suites import SUITES
from node.errors import UnreadableError

if TYPE_CHECKING:
    from node.crypto.suites import Suite

DEFAULT_SUITE = "mlkem768-x25519"
_FIELDS = ("suite", "id", "name", "created")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Recipient:
    """Someone who may open: a public key with a name. No secret.

    :param created: seconds since the epoch.
    """

    suite: str
    name: str
    created: int
    public: bytes

    @property
    def id(self) -> str:
        """Its fingerprint, 16 hexadecimal digits."""
        suite = self.suite.encode("ascii")
        data = b"sealnode/v1/recipient" + bytes((len(suite),)) + suite + self.public
        return hashlib.sha256(data).hexdigest()[:16]

    def wrap(self, secret: bytes, key_id: bytes) -> bytes:
        """Return ``secret`` so that only this recipient's identity has it again.

        :raises UnreadableError: the public key is none.
        """
        return _suite(self.suite).wrap(self.public, secret, info_of(self.suite, key_id))

    def fields(self) -> dict[str, str]:
        """Return the fields that name it in a key file."""
        created = format_time(self.created)
        return {"suite": self.suite, "id": self.id, "name": self.name, "created": created}

    def render(self) -> bytes:
        """Return the text of its ``.pub`` file."""
        return Document("recipient", self.fields(), (Stanza(("public",), self.public),)).render()


class Identity:
    """The private key that belongs to a recipient.

    :raises UnreadableError: the suite is not known, the name is no name, or
        the secret is no private key of the suite.
    """

    __slots__ = ("_secret", "recipient")

    def __init__(self, suite: str, name: str, created: int, secret: bytes) -> None:
        check_name(name)
        self._secret = secret
        self.recipient = Recipient(suite, name, created, _suite(suite).public(secret))

    def __repr__(self) -> str:
        return f"<Identity {self.recipient.name} {self.recipient.id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an identity is never pickled")

    def secret(self) -> bytes:
        """Return the private key itself, for keeping it."""
        return self._secret

    def unwrap(self, wrapped: bytes, key_id: bytes) -> bytes:
        """Return what was wrapped to its recipient.

        :raises DamagedError: it was not wrapped to it for this key id.
        """
        suite = self.recipient.suite
        return _suite(suite).unwrap(self._secret, wrapped, info_of(suite, key_id))

    def render(self) -> bytes:
        """Return the text of its ``.key`` file. It is a secret."""
        stanza = Stanza(("secret",), self._secret)
        return Document("identity", self.recipient.fields(), (stanza,)).render()


def generate(name: str, created: float, suite: str = DEFAULT_SUITE) -> Identity:
    """Return a new identity.

    :param created: seconds since the epoch.
    :raises UnreadableError: the suite is not known or the name is no name.
    """
    return Identity(suite, name, int(created), _suite(suite).generate())


def parse_recipient(data: bytes) -> Recipient:
    """Read a ``.pub`` file.

    :raises UnreadableError: it is none, or its id is not that of its key.
    """
    document = parse(data, "recipient", _FIELDS)
    recipient = named_recipient(document, document.body("public"))
    recipient.wrap(bytes(32), bytes(4))  # a key that cannot wrap is found now, not at rotation
    return recipient


def parse_identity(data: bytes) -> Identity:
    """Read a ``.key`` file.

    :raises UnreadableError: it is none, or its id is not that of its key.
    """
    document = parse(data, "identity", _FIELDS)
    fields = document.fields
    created = parse_time("identity", fields["created"])
    identity = Identity(fields["suite"], fields["name"], created, document.body("secret"))
    if identity.recipient.id != fields["id"]:
        raise UnreadableError("identity: the id is not that of the key")
    return identity


def named_recipient(document: Document, public: bytes) -> Recipient:
    """Return the recipient that the fields of a document name.

    :raises UnreadableError: the fields do not fit the public key.
    """
    fields = document.fields
    check_name(fields["name"])
    _suite(fields["suite"])
    created = parse_time(document.kind, fields["created"])
    recipient = Recipient(fields["suite"], fields["name"], created, public)
    if recipient.id != fields["id"]:
        raise UnreadableError(f"{document.kind}: the id is not that of the key")
    return recipient


def check_name(name: str) -> None:
    """Refuse what is no name of a recipient; names become file names.

    :raises UnreadableError: it is none.
    """
    if not _NAME.fullmatch(name):
        raise UnreadableError("a name is 1 to 32 of a-z, 0-9 and -, and does not begin with -")


def _suite(name: str) -> Suite:
    if name not in SUITES:
        raise UnreadableError(
            "the suite of a recipient is not known here", hint=f"known are {', '.join(SUITES)}"
        )
    return SUITES[name]


def info_of(suite: str, key_id: bytes) -> bytes:
    """Return what a wrapped epoch key is bound to."""
    name = suite.encode("ascii")
    return b"sealnode/v1/wrap" + bytes((len(name),)) + name + key_id
