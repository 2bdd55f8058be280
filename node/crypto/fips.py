"""The profile ``fips``: which of our algorithms a NIST publication approves, and which keys fit.

FIPS-minded, not validated: nothing here, and no build of Python's libraries
that we ship with, is a validated module (docs/keys.md, "profile = fips").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from node.crypto.keyring import OFFICER_PUBLIC, RECIPIENTS
from node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.crypto.keyring import DirectoryKeys

DEFAULT_SUITE = "mlkem768"
# FIPS 203; SP 800-56A rev. 3 with SP 800-56C; SP 800-56B rev. 2. X25519 is none of them:
# SP 800-186 has Curve25519, but SP 800-56A rev. 3 does not list it for key agreement.
APPROVED = ("mlkem768", "p256", "rsa-oaep-3072")


def mistakes(keys: DirectoryKeys) -> list[str]:
    """Return what in a key directory new images would be sealed with, and is not approved.

    :raises ConfigError: the keys cannot be read.
    """
    return list(_mistakes(keys))


def legacy(keys: DirectoryKeys) -> list[str]:
    """Return what opens earlier epochs by what is not approved; nothing new is sealed with it.

    :raises ConfigError: the keys cannot be read.
    """
    current = _current(keys)
    gone = {one.key_id for one in keys.endings() if one.destroyed}
    return [
        f"{keys.capsule_path(capsule.key_id)}: epoch {capsule.epoch} is wrapped for "
        f"{slot.name} by {slot.suite}, which is not approved; it is only opened"
        for capsule in keys.capsules()
        if capsule.key_id not in gone and capsule.key_id != current
        for slot in capsule.slots
        if slot.suite not in APPROVED
    ]


def allows(suite: str) -> bool:
    """Return whether the profile allows to wrap keys by a suite."""
    return suite in APPROVED


def provider() -> bool:
    """Return whether the OpenSSL in use refuses what is not approved, as its FIPS provider does."""
    try:
        hashes.Hash(hashes.MD5())  # noqa: S303 - asked for to see it refused
    except UnsupportedAlgorithm:
        return True
    return False


def _mistakes(keys: DirectoryKeys) -> Iterator[str]:
    allowed = f"profile fips allows {', '.join(APPROVED)}"
    for recipient in keys.recipients():
        if recipient.suite not in APPROVED:
            path = keys.directory / RECIPIENTS / f"{recipient.name}.pub"
            yield f"{path}: the next epoch would be wrapped by {recipient.suite}; {allowed}"
    current = _current(keys)
    capsule = keys.capsule(current) if current else None
    for slot in capsule.slots if capsule else ():
        if capsule and slot.suite not in APPROVED:
            path = keys.capsule_path(capsule.key_id)
            yield f"{path}: the current epoch is wrapped for {slot.name} by {slot.suite}; {allowed}"
    officer = keys.audit_officer()
    if officer is not None and officer.suite not in APPROVED:
        path = keys.directory / OFFICER_PUBLIC
        yield f"{path}: patients in the audit log are sealed by {officer.suite}; {allowed}"


def _current(keys: DirectoryKeys) -> bytes | None:
    """Return the id of the key that seals; the newest capsule's where this process has none."""
    try:
        return keys.held().key.key_id
    except ConfigError:
        newest = keys.capsules()[:1]
        return newest[0].key_id if newest else None
