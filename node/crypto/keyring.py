"""Keys in a directory, and their twin in memory.

Source: docs/formats/keys-v1.md, section 5. Reading only: ``custody`` makes and
changes keys. SECURITY: each method reads just the files that it needs, so
that a process can be given those and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.crypto import keyfile, receipt
from node.crypto.capsule import Capsule, parse_capsule
from node.crypto.document import Document, Stanza, format_time, parse, parse_time
from node.crypto.envelope import Custodian
from node.crypto.epoch import Ending, Epoch, parse_ending, parse_epoch_key
from node.crypto.payload import SUITE
from node.crypto.pseudonym import Pseudonymizer
from node.crypto.recipient import Identity, Recipient, parse_identity, parse_recipient
from node.crypto.seal import KEY_BYTES, EpochKey, EpochSealer, KeyringOpener
from node.crypto.shares import signer
from node.errors import ConfigError, DamagedError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import TypeVar

    from node.crypto.base import Unwrapper

    T = TypeVar("T")

EPOCH = "epoch.key"
IDENTITY = "recipient.key"
PSEUDONYM = "pseudonym.key"
MAPPING = "mapping.key"
ROBUST = "robust.key"
CUSTODIAN = "custodian.key"
CUSTODIAN_CERTIFICATE = "custodian.pem"
AUDIT = "audit.key"
AUDIT_PUBLIC = "audit.pub"
OFFICER = "audit-officer.key"
OFFICER_PUBLIC = "audit-officer.pub"
SHARE = "share.key"
SHARE_PUBLIC = "share.pub"
RECEIPT = "receipt.key"
RECEIPTS = "receipts"
CAPSULES = "epochs"
RECIPIENTS = "recipients"


class DirectoryKeys:
    """The :class:`~node.crypto.base.KeyProvider` of a key directory.

    :param directory: where capsules, recipients and secrets lie.
    :param credentials: a directory that a service manager filled with the
        secrets that this process may have, such as ``$CREDENTIALS_DIRECTORY``
        of systemd; looked into before ``directory``.
    :param identity: opens instead of the one in ``recipient.key``.
    :param suite: how payloads are closed; payload-v1, section 1.
    :param token: gives the identity that opens, when it is needed; it stays in its token.
    """

    def __init__(
        self,
        directory: Path,
        *,
        credentials: Path | None = None,
        identity: Identity | None = None,
        token: Callable[[], Unwrapper] | None = None,
        suite: int = SUITE,
    ) -> None:
        self.directory = directory
        self._credentials = credentials
        self._identity = identity
        self._token = token
        self._suite = suite

    def __repr__(self) -> str:
        return f"<DirectoryKeys {self.directory}>"

    def sealer(self) -> EpochSealer:
        """Return the sealer of the current epoch. Needs no opening key.

        :raises ConfigError: there is no usable key, its capsule is missing or
            altered (nothing is sealed that nobody could open), or it was retired.
        """
        return EpochSealer(self.epoch().key, self._suite)

    def prover(self) -> KeyringOpener:
        """Return an opener for the current epoch alone, from the sealing key.

        :raises ConfigError: as :meth:`sealer`.
        """
        return KeyringOpener([self.epoch().key])

    def opener(self) -> KeyringOpener:
        """Return an opener for every epoch that the identity at hand unwraps.

        :raises ConfigError: there is none, or a capsule for it is damaged.
        """
        identity = self.unwrapper()
        gone = {one.key_id.hex(): one.words for one in self.endings() if one.destroyed}
        keys = [self.unwrap(one, identity) for one in self.capsules() if one.id not in gone]
        opened = [key for key in keys if key is not None]
        if not (opened or gone):
            raise keyfile.mistake(
                self.directory / CAPSULES,
                f"no capsule is for {identity.recipient.name} {identity.recipient.id}",
                "nodectl keys recipients add lets someone open",
            )
        return KeyringOpener(opened, gone)

    def epoch(self) -> Epoch:
        """Return the current epoch.

        :raises ConfigError: as :meth:`sealer`.
        """
        epoch = self.held()
        capsule = self.capsule(epoch.key.key_id)
        path = self.capsule_path(epoch.key.key_id)
        if capsule is None:
            raise keyfile.mistake(
                path, "is missing: nobody could open what is sealed", "put it back from the backup"
            )
        try:
            capsule.check(epoch.key)
        except DamagedError as error:
            raise keyfile.mistake(path, str(error), error.hint) from None
        for ending in self.endings():
            if ending.key_id == epoch.key.key_id:
                raise keyfile.mistake(
                    self.directory / EPOCH,
                    f"key {ending.key_id.hex()} was {ending.words}: nothing is sealed under it",
                    "give this machine the key that 'nodectl keys list' shows as current",
                )
        return epoch

    def held(self) -> Epoch:
        """Return the epoch in ``epoch.key``, whether or not it may seal (any more).

        :raises ConfigError: there is no usable key.
        """
        return self._secret(EPOCH, parse_epoch_key)

    def may_open(self) -> bool:
        """Return whether this process was given an identity, or a token with one."""
        return self._token is not None or self._has(IDENTITY)

    def unwrapper(self) -> Unwrapper:
        """Return the identity that opens capsules here, wherever its private key lies.

        :raises ConfigError: there is none that can be used.
        """
        return self._identity or (self._token() if self._token else self.identity())

    def identity(self) -> Identity:
        """Return the identity in ``recipient.key``.

        :raises ConfigError: there is none that can be used.
        """
        return self._secret(IDENTITY, parse_identity)

    def pseudonymizer(self) -> Pseudonymizer:
        """Return what turns UIDs into pseudonyms for logs.

        :raises ConfigError: there is no usable key.
        """
        return Pseudonymizer(self._random(PSEUDONYM, "pseudonym-key"))

    def may_map(self) -> bool:
        """Return whether this process was given the mapping key."""
        return self._has(MAPPING)

    def mapping_key(self) -> bytes:
        """Return the 32 bytes that map names and UIDs to others, for ever the same.

        :raises ConfigError: there is no usable key.
        """
        return self._random(MAPPING, "mapping-key")

    def robust_key(self) -> bytes | None:
        """Return the 32 bytes that say and prove whose image a lossy copy is of, if there are.

        :raises ConfigError: there is a key, but it cannot be used.
        """
        if not self._has(ROBUST):
            return None
        return self._random(ROBUST, "robust-key")

    def custodian(self) -> Custodian | None:
        """Return what opens Encrypted Attributes, if this site has the key to a certificate.

        :raises ConfigError: there is a key, but it cannot be used.
        """
        if not self._has(CUSTODIAN):
            return None
        certificate = _parsed(self.directory / CUSTODIAN_CERTIFICATE, keyfile.PUBLIC, bytes)
        return self._secret(CUSTODIAN, lambda key: Custodian(certificate, key))

    def audit_key(self) -> str:
        """Return the text of the key that signs checkpoints of the audit log.

        :raises ConfigError: there is no usable key.
        """
        return self._secret(AUDIT, lambda data: data.decode("ascii", errors="replace").strip())

    def audit_officer(self) -> Recipient | None:
        """Return who reads the patients in the audit log, or None where nobody does.

        :raises ConfigError: the file is damaged.
        """
        path = self.directory / OFFICER_PUBLIC
        return _parsed(path, keyfile.PUBLIC, parse_recipient) if path.exists() else None

    def audit_officer_identity(self) -> Identity:
        """Return the identity that reads the patients in the audit log.

        :raises ConfigError: there is no usable key.
        """
        return self._secret(OFFICER, parse_identity)

    def share_signer(self) -> signer.Signer:
        """Return what signs the shares that this site makes.

        :raises ConfigError: there is no usable key.
        """
        return self._secret(SHARE, signer.parse_secret)

    def share_public(self) -> bytes:
        """Return the 32 bytes of the public key that shares of this site are checked with.

        :raises ConfigError: there is no usable key.
        """
        return _parsed(self.directory / SHARE_PUBLIC, keyfile.PUBLIC, signer.parse_public)

    def receipt_signer(self) -> receipt.Signer | None:
        """Return what signs receipts, if this site has a key for that.

        :raises ConfigError: there is a key, but it cannot be used.
        """
        return self._secret(RECEIPT, receipt.parse_signer) if self._has(RECEIPT) else None

    def receipt_keys(self) -> tuple[receipt.PublicKey, ...]:
        """Return every public key that receipts of this site are checked with.

        :raises ConfigError: a file is none.
        """
        paths = sorted((self.directory / RECEIPTS).glob("*.pub"))
        return tuple(_parsed(path, keyfile.PUBLIC, receipt.parse_public) for path in paths)

    def capsules(self) -> tuple[Capsule, ...]:
        """Return all capsules, the newest first.

        :raises ConfigError: one cannot be read or bears another one's name.
        """
        paths = (self.directory / CAPSULES).glob("*.capsule")
        found = [_capsule(path) for path in paths]
        return tuple(sorted(found, key=lambda one: (one.epoch, one.created, one.id), reverse=True))

    def endings(self) -> tuple[Ending, ...]:
        """Return the epochs that were retired or destroyed, the newest first.

        :raises ConfigError: a file cannot be read or bears another one's name.
        """
        found = []
        for path in (self.directory / CAPSULES).glob("*.end"):
            ending = _parsed(path, keyfile.PUBLIC, parse_ending)
            if path.stem != ending.key_id.hex():
                raise keyfile.mistake(path, f"holds the end of {ending.key_id.hex()}")
            found.append(ending)
        return tuple(sorted(found, key=lambda one: (one.number, one.key_id), reverse=True))

    def capsule(self, key_id: bytes) -> Capsule | None:
        """Return the capsule of one epoch, or None if there is none.

        :raises ConfigError: it cannot be read or bears another one's name.
        """
        path = self.capsule_path(key_id)
        return _capsule(path) if path.exists() else None

    def unwrap(self, capsule: Capsule, identity: Unwrapper) -> EpochKey | None:
        """Return the epoch key of a capsule, or None if it is for others.

        :raises ConfigError: it is for this identity, and damaged.
        """
        try:
            return capsule.open(identity)
        except DamagedError as error:
            path = self.capsule_path(capsule.key_id)
            raise keyfile.mistake(path, str(error), error.hint) from None

    def recipients(self) -> tuple[Recipient, ...]:
        """Return everyone whom the next epoch will be wrapped for, by name.

        :raises ConfigError: a file cannot be read or bears another one's name.
        """
        found = []
        for path in sorted((self.directory / RECIPIENTS).glob("*.pub")):
            recipient = _parsed(path, keyfile.PUBLIC, parse_recipient)
            if path.stem != recipient.name:
                raise keyfile.mistake(path, f"holds the recipient {recipient.name}")
            found.append(recipient)
        return tuple(found)

    def capsule_path(self, key_id: bytes) -> Path:
        """Return where the capsule of an epoch lies."""
        return self.directory / CAPSULES / f"{key_id.hex()}.capsule"

    def ending_path(self, key_id: bytes) -> Path:
        """Return where it lies that an epoch was retired or destroyed."""
        return self.directory / CAPSULES / f"{key_id.hex()}.end"

    def _has(self, name: str) -> bool:
        places = (self._credentials or self.directory, self.directory)
        return any((place / name).exists() for place in places)

    def _secret(self, name: str, read: Callable[[bytes], T]) -> T:
        given = self._credentials / name if self._credentials else None
        if given is not None and given.exists():
            # A service manager grants access by ACLs, whose mask looks like group access.
            return _parsed(given, keyfile.LITTLE, read)
        keyfile.check_directory(self.directory)
        mode = keyfile.LITTLE if name == PSEUDONYM else keyfile.SECRET
        return _parsed(self.directory / name, mode, read)

    def _random(self, name: str, kind: str) -> bytes:
        return self._secret(name, lambda data: _parse_random(data, kind))


class MemoryKeys:
    """The :class:`~node.crypto.base.KeyProvider` of keys that only memory holds.

    :param secrets: 32 bytes each, the oldest first; the last one seals.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._keys = [EpochKey(secret) for secret in secrets]

    def __repr__(self) -> str:
        return f"<MemoryKeys {' '.join(key.key_id.hex() for key in self._keys)}>"

    def sealer(self) -> EpochSealer:
        """Return the sealer of the last key."""
        return EpochSealer(self._current())

    def prover(self) -> KeyringOpener:
        """Return an opener for the last key alone."""
        return KeyringOpener([self._current()])

    def opener(self) -> KeyringOpener:
        """Return an opener for all keys."""
        self._current()
        return KeyringOpener(reversed(self._keys))

    def _current(self) -> EpochKey:
        if not self._keys:
            raise ConfigError(["keys: there is none"])
        return self._keys[-1]


def render_random(kind: str, created: float, secret: bytes) -> bytes:
    """Return the text of a file with 32 random bytes, such as a ``pseudonym-key``."""
    stanza = Stanza(("secret",), secret)
    return Document(kind, {"created": format_time(created)}, (stanza,)).render()


def _parse_random(data: bytes, kind: str) -> bytes:
    document = parse(data, kind, ("created",))
    parse_time(kind, document.fields["created"])
    secret = document.body("secret")
    if len(secret) != KEY_BYTES:
        raise UnreadableError(f"{kind}: the secret is not 32 bytes long")
    return secret


def _capsule(path: Path) -> Capsule:
    capsule = _parsed(path, keyfile.PUBLIC, parse_capsule)
    if path.stem != capsule.id:
        raise keyfile.mistake(path, f"holds the capsule of {capsule.id}")
    return capsule


def _parsed(path: Path, mode: int, read: Callable[[bytes], T]) -> T:
    try:
        return read(keyfile.read(path, mode))
    except UnreadableError as error:
        raise keyfile.mistake(path, str(error), error.hint) from None
