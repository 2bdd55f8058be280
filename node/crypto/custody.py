"""Making, changing and checking the keys of a site.

Source: docs/formats/keys-v1.md; for people: docs/keys.md. SECURITY: runs by
hand, as whoever owns the key directory; no daemon imports it. Each change
holds a lock on the directory, and is either done and durable or not done.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.crypto import capsule as capsules
from node.crypto import keyfile, keyring, lock, receipt, recipient
from node.crypto.epoch import Epoch
from node.crypto.keyring import DirectoryKeys
from node.crypto.seal import KEY_BYTES, EpochKey, EpochSealer, KeyringOpener
from node.crypto.shares import signer
from node.errors import ConfigError, DamagedError, UsageError
from node.types import Binding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from node.crypto.base import Unwrapper
    from node.crypto.capsule import Capsule
    from node.crypto.recipient import Identity, Recipient

    Clock = Callable[[], float]  # seconds since the epoch of Unix
    Random = Callable[[int], bytes]

_ED25519 = b"\x01"  # C2SP signed-note: signature type
_DIRECTORY_MODE = 0o700
_FIPS_SUITES = ("p256", "rsa-oaep-3072")  # of who is bound to FIPS 140; receipts then, too
_CANARY = Binding("1.2.840.10008.1.1", "2.25.0")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a backup does with one epoch of the site.

    :param state: ``opens``, ``missing``, ``damaged``, ``not_for_this_identity``,
        or ``not_destroyed``: the copy holds the capsule of a destroyed epoch.
    """

    epoch: int
    key_id: str
    state: str


def create(
    directory: Path,
    *,
    clock: Clock,
    random: Random = os.urandom,
    suite: str = recipient.DEFAULT_SUITE,
    name: str = "site",
) -> Capsule:
    """Make the keys of a new site, and return the capsule of its first epoch.

    The directory appears whole or not at all.

    :param name: of the identity that opens, kept in ``recipient.key``.
    :raises ConfigError: the directory holds something already, or the disk refuses.
    :raises UnreadableError: the suite or the name is not known.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise keyfile.mistake(
            directory, "holds something already", "nodectl keys rotate makes a new epoch"
        )
    now = clock()
    identity = recipient.generate(name, now, suite)
    epoch = Epoch(1, int(now), EpochKey(random(KEY_BYTES)))
    made = capsules.make(epoch.key, epoch.number, now, [identity.recipient])
    partial = directory.with_name(f".{directory.name}.{os.urandom(8).hex()}")
    try:
        for path in (partial, partial / keyring.CAPSULES, partial / keyring.RECIPIENTS):
            path.mkdir(mode=_DIRECTORY_MODE, parents=path == partial)
        keys = DirectoryKeys(partial)
        keyfile.write(keys.capsule_path(epoch.key.key_id), made.render(), keyfile.PUBLIC)
        keyfile.write(_pub(partial, name), identity.recipient.render(), keyfile.PUBLIC)
        keyfile.write(partial / keyring.IDENTITY, identity.render(), keyfile.SECRET)
        for file, kind, mode in (
            (keyring.PSEUDONYM, "pseudonym-key", keyfile.LITTLE),
            (keyring.MAPPING, "mapping-key", keyfile.SECRET),
            (keyring.ROBUST, "robust-key", keyfile.SECRET),
        ):
            text = keyring.render_random(kind, now, random(KEY_BYTES))
            keyfile.write(partial / file, text, mode)
        log = f"sealnode-{identity.recipient.id[:8]}"  # a witness must tell sites apart
        secret, public = audit_key_pair(log, random(KEY_BYTES))
        keyfile.write(partial / keyring.AUDIT, secret, keyfile.SECRET)
        keyfile.write(partial / keyring.AUDIT_PUBLIC, public, keyfile.PUBLIC)
        officer = recipient.generate("audit-officer", now, suite)
        keyfile.write(partial / keyring.OFFICER, officer.render(), keyfile.SECRET)
        keyfile.write(partial / keyring.OFFICER_PUBLIC, officer.recipient.render(), keyfile.PUBLIC)
        secret, public = signer.render_files(random(KEY_BYTES), now)
        keyfile.write(partial / keyring.SHARE, secret, keyfile.SECRET)
        keyfile.write(partial / keyring.SHARE_PUBLIC, public, keyfile.PUBLIC)
        fips = suite in _FIPS_SUITES
        signing = receipt.generate(receipt.P256 if fips else receipt.ED25519, now, random)
        _write_receipt_key(partial, signing)
        keyfile.write(partial / keyring.EPOCH, epoch.render(), keyfile.SECRET)
        partial.rename(directory)
        keyfile.sync_directory(directory.parent)
    except OSError as error:
        raise keyfile.mistake(directory, f"cannot be made: {error.strerror}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return made


def rotate(directory: Path, *, clock: Clock, random: Random = os.urandom) -> Capsule:
    """Begin a new epoch for all recipients, and return its capsule.

    The old epoch key leaves the sealing side; its capsule stays, so that what
    it sealed still opens. Processes that run go on with the old key until
    they start again, which is harmless.

    :raises ConfigError: there are no keys, no recipients, or the disk refuses.
    """
    with locked(directory):
        return begin(DirectoryKeys(directory), clock, random)


def add_recipient(
    directory: Path, added: Recipient, *, history: Callable[[], Unwrapper] | None = None
) -> list[Capsule]:
    """Let someone open the current epoch and all later ones; return the capsules changed.

    :param history: gives an identity that opens the earlier epochs: these, too.
    :raises ConfigError: the name is taken, a key is missing, or the disk refuses.
    """
    with locked(directory):
        keys = DirectoryKeys(directory)
        for known in keys.recipients():
            if known.id == added.id or known.name == added.name:
                raise keyfile.mistake(
                    _pub(directory, known.name), f"is recipient {known.name} already"
                )
        changed = list(_opened(keys, history())) if history else [_current(keys)]
        keyfile.write(_pub(directory, added.name), added.render(), keyfile.PUBLIC)
        extended = [_extend(keys, old, key, added) for old, key in changed]
        return [capsule for capsule in extended if capsule is not None]


def remove_recipient(
    directory: Path, name: str, *, clock: Clock, random: Random = os.urandom
) -> Capsule:
    """Begin a new epoch that someone can no longer open, and return its capsule.

    What was sealed before stays open to them: they could have kept the keys.

    :raises ConfigError: there is no such recipient, it is the last one, or the
        disk refuses.
    """
    with locked(directory):
        keys = DirectoryKeys(directory)
        names = [one.name for one in keys.recipients()]
        if name not in names:
            raise keyfile.mistake(
                directory / keyring.RECIPIENTS,
                "there is no recipient of this name",
                f"there are {', '.join(names)}",
            )
        if len(names) == 1:
            raise keyfile.mistake(
                _pub(directory, name),
                "is the last recipient: nobody could open the next epoch",
                "add another one first",
            )
        try:
            _pub(directory, name).unlink()
            keyfile.sync_directory(directory / keyring.RECIPIENTS)
        except OSError as error:
            raise keyfile.mistake(_pub(directory, name), f"stays: {error.strerror}") from None
        return begin(keys, clock, random)


def verify_backup(
    directory: Path, backup: Path, opening: Callable[[], Unwrapper] | None = None
) -> list[Finding]:
    """Return what a copy of the key directory opens of each epoch, the newest first.

    A canary sealed with the live key is opened with the copy.

    :param opening: gives the identity that opens; else it is in the copy.

    :raises ConfigError: the live keys or the identity of the copy cannot be read.
    """
    live, copy = DirectoryKeys(directory), DirectoryKeys(backup)
    current = live.epoch()
    identity = opening() if opening else copy.identity()
    gone = {one.key_id: one for one in live.endings() if one.destroyed}
    found = [
        Finding(one.epoch, one.id, _judge(copy, one, identity, current))
        for one in live.capsules()
        if one.key_id not in gone
    ]
    left = [one for one in gone.values() if copy.capsule_path(one.key_id).exists()]
    return found + [Finding(one.number, one.key_id.hex(), "not_destroyed") for one in left]


def write_identity(
    directory: Path,
    identity: Identity,
    *,
    passphrase: str = "",
    approved: bool = False,
    random: Random = os.urandom,
) -> tuple[Path, Path]:
    """Write a key pair for someone else, and return the paths of both files.

    :param passphrase: if there is one, the secret is ``NAME.locked``, which
        it opens, instead of ``NAME.key``, which is open.
    :param approved: lock it by algorithms alone that NIST approves.
    :raises UsageError: one of the two exists.
    :raises ConfigError: the disk refuses.
    """
    name = identity.recipient.name
    secret = directory / (f"{name}.locked" if passphrase else f"{name}.key")
    public = directory / f"{name}.pub"
    for path in (secret, public):
        if path.exists():
            raise UsageError(f"{path} exists", hint="choose another name or folder")
    text = identity.render()
    if passphrase:
        text = lock.lock(identity, passphrase, random, approved=approved)
    keyfile.write(secret, text, keyfile.SECRET)
    keyfile.write(public, identity.recipient.render(), keyfile.PUBLIC)
    return secret, public


def write_recipient(directory: Path, made: Recipient) -> Path:
    """Write ``NAME.pub`` of a key pair whose private half is elsewhere, and return its path.

    :raises UsageError: it exists.
    :raises ConfigError: the disk refuses.
    """
    path = directory / f"{made.name}.pub"
    if path.exists():
        raise UsageError(f"{path} exists", hint="choose another name or folder")
    keyfile.write(path, made.render(), keyfile.PUBLIC)
    return path


def write_unlocked(directory: Path, identity: Identity) -> Path:
    """Write ``recipient.key`` for an identity that was unlocked, and return its path.

    :raises UsageError: there is one.
    :raises ConfigError: the disk refuses.
    """
    path = directory / keyring.IDENTITY
    if path.exists():
        raise UsageError(f"{path} exists", hint="choose another folder")
    keyfile.write(path, identity.render(), keyfile.SECRET)
    return path


def audit_key_pair(name: str, seed: bytes) -> tuple[bytes, bytes]:
    """Return the texts of ``audit.key``, a secret, and of ``audit.pub``.

    They are the signer and the verifier key of a C2SP signed note with an
    Ed25519 signature, which ``node.audit.checkpoint`` reads.

    :param name: of the log; without spaces and plus signs.
    """
    public = _ED25519 + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode("ascii") + b"\n" + public).hexdigest()[:8]
    secret, verifier = (base64.b64encode(raw).decode() for raw in (_ED25519 + seed, public))
    return (
        f"PRIVATE+KEY+{name}+{key_id}+{secret}\n".encode("ascii"),
        f"{name}+{key_id}+{verifier}\n".encode("ascii"),
    )


def renew_receipt_key(
    directory: Path, suite: str, *, clock: Clock, random: Random = os.urandom
) -> receipt.Signer:
    """Make a new key for receipts; the public halves of earlier ones stay.

    :raises ConfigError: there are no keys, or the disk refuses.
    """
    with locked(directory):
        made = receipt.generate(suite, clock(), random)
        _write_receipt_key(directory, made)
        return made


def _write_receipt_key(directory: Path, made: receipt.Signer) -> None:
    folder = directory / keyring.RECEIPTS
    try:
        folder.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
    except OSError as error:
        raise keyfile.mistake(folder, f"cannot be made: {error.strerror}") from None
    keyfile.write(folder / f"{made.public.id}.pub", made.public.render(), keyfile.PUBLIC)
    keyfile.write(directory / keyring.RECEIPT, made.render(), keyfile.SECRET)


def begin(keys: DirectoryKeys, clock: Clock, random: Random) -> Capsule:
    """Begin a new epoch in a directory that is locked, and return its capsule.

    :raises ConfigError: as :func:`rotate`.
    """
    old = keys.held()
    recipients = keys.recipients()
    if not recipients:
        raise keyfile.mistake(
            keys.directory / keyring.RECIPIENTS, "is empty", "put the .pub files back"
        )
    existing = keys.capsules()
    ended = keys.endings()
    taken = {capsule.key_id for capsule in existing} | {one.key_id for one in ended}
    now = clock()
    numbers = [capsule.epoch for capsule in existing] + [one.number for one in ended]
    key = EpochKey(random(KEY_BYTES))
    while key.key_id in taken:
        key = EpochKey(random(KEY_BYTES))
    made = capsules.make(key, max([*numbers, old.number]) + 1, now, recipients)
    keyfile.write(keys.capsule_path(key.key_id), made.render(), keyfile.PUBLIC)
    text = Epoch(made.epoch, made.created, key).render()
    keyfile.write(keys.directory / keyring.EPOCH, text, keyfile.SECRET)
    return made


def _extend(keys: DirectoryKeys, old: Capsule, key: EpochKey, added: Recipient) -> Capsule | None:
    if any(slot.recipient == added.id for slot in old.slots):
        return None
    new = capsules.make(key, old.epoch, old.created, [added])
    made = capsules.assemble(key, old.epoch, old.created, old.slots + new.slots)
    keyfile.write(keys.capsule_path(key.key_id), made.render(), keyfile.PUBLIC)
    return made


def _current(keys: DirectoryKeys) -> tuple[Capsule, EpochKey]:
    key = keys.epoch().key
    return next(one for one in keys.capsules() if one.key_id == key.key_id), key


def _opened(keys: DirectoryKeys, identity: Unwrapper) -> Iterator[tuple[Capsule, EpochKey]]:
    for capsule in keys.capsules():
        key = keys.unwrap(capsule, identity)
        if key is not None:
            yield capsule, key


def _judge(copy: DirectoryKeys, live: Capsule, identity: Unwrapper, current: Epoch) -> str:
    try:
        found = copy.capsule(live.key_id)
    except ConfigError:
        return "damaged"
    if found is None:
        return "missing"
    try:
        key = found.open(identity)
        if key is None:
            return "not_for_this_identity"
        if key.key_id == current.key.key_id:
            _open_canary(current.key, key)
    except DamagedError:
        return "damaged"
    return "opens"


def _open_canary(sealing: EpochKey, opening: EpochKey) -> None:
    closed = EpochSealer(sealing).seal(b"canary", _CANARY, b"canary")
    if KeyringOpener([opening]).open(closed, _CANARY, b"canary") != b"canary":
        raise DamagedError("the canary does not come back")


def _pub(directory: Path, name: str) -> Path:
    return directory / keyring.RECIPIENTS / f"{name}.pub"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Let nobody else change a key directory meanwhile.

    :raises ConfigError: it is none, or others can write it.
    """
    keyfile.check_directory(directory)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
