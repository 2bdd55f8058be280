"""Ending an epoch: it seals no more (retired), or nothing of it opens any more (destroyed).

Source: docs/formats/keys-v1.md, section 6. SECURITY: as ``custody``. That an
epoch was destroyed is durable before its capsule goes: a crash between leaves
a capsule that nothing opens with, and destroying again removes it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from node.crypto import custody, epoch, keyfile, keyring
from node.crypto.keyring import DirectoryKeys
from node.errors import ConfigError, NotOurKeyError

if TYPE_CHECKING:
    from pathlib import Path

    from node.crypto.capsule import Capsule
    from node.crypto.custody import Clock, Random
    from node.crypto.epoch import Ending


def find(directory: Path, key_id: str) -> Capsule | Ending:
    """Return the capsule of an epoch by its key id, or what is left of a destroyed one.

    :raises NotOurKeyError: there is no such epoch.
    :raises ConfigError: a file cannot be read.
    """
    keys = DirectoryKeys(directory)
    ended = next((one for one in keys.endings() if one.key_id.hex() == key_id), None)
    if ended is not None and ended.destroyed:
        return ended
    return _capsule(keys, key_id)


def current(directory: Path) -> str | None:
    """Return the id of the key that this machine would seal with, or None."""
    try:
        return DirectoryKeys(directory).held().key.key_id.hex()
    except ConfigError:
        return None


def retirable(directory: Path, key_id: str) -> Capsule:
    """Return the capsule of an epoch that can be retired.

    :raises NotOurKeyError: there is no such epoch.
    :raises ConfigError: it was retired or destroyed already.
    """
    keys = DirectoryKeys(directory)
    for ended in keys.endings():
        if ended.key_id.hex() == key_id:
            raise keyfile.mistake(keys.ending_path(ended.key_id), f"it was {ended.words}")
    return _capsule(keys, key_id)


def destructible(directory: Path, key_id: str) -> Capsule | Ending:
    """Return as :func:`find` does, if the epoch can be destroyed.

    :raises NotOurKeyError: there is no such epoch.
    :raises ConfigError: it is the current one.
    """
    found = find(directory, key_id)
    if current(directory) == key_id:
        raise keyfile.mistake(
            directory / keyring.EPOCH,
            f"key {key_id} is the current one: the node seals under it",
            f"nodectl keys retire {key_id}, start the node again, then destroy it",
        )
    return found


def retire(
    directory: Path, key_id: str, *, clock: Clock, random: Random = os.urandom
) -> tuple[Ending, Capsule | None]:
    """Let an epoch seal no more; return its ending, and the epoch begun in its place.

    A new epoch begins if it was the current one here. What was sealed under it opens as before.

    :raises NotOurKeyError: there is no such epoch.
    :raises ConfigError: it was retired or destroyed already, or the disk refuses.
    """
    with custody.locked(directory):
        keys = DirectoryKeys(directory)
        found = retirable(directory, key_id)
        begun = custody.begin(keys, clock, random) if current(directory) == key_id else None
        ended = epoch.end(found, epoch.RETIRED, clock())
        keyfile.write(keys.ending_path(ended.key_id), ended.render(), keyfile.PUBLIC)
        return ended, begun


def destroy(directory: Path, key_id: str, *, clock: Clock) -> Ending:
    """Make what was sealed under an epoch unreadable, as far as this directory goes.

    Copies of the capsule elsewhere still open it; of a destroyed epoch whose
    capsule came back, the capsule goes again.

    :raises NotOurKeyError: there is no such epoch.
    :raises ConfigError: it is the current one, or the disk refuses.
    """
    with custody.locked(directory):
        keys = DirectoryKeys(directory)
        found = destructible(directory, key_id)
        if isinstance(found, epoch.Ending):
            ended = found
        else:
            ended = epoch.end(found, epoch.DESTROYED, clock())
            keyfile.write(keys.ending_path(ended.key_id), ended.render(), keyfile.PUBLIC)
        keyfile.shred(keys.capsule_path(ended.key_id))
        return ended


def _capsule(keys: DirectoryKeys, key_id: str) -> Capsule:
    for capsule in keys.capsules():
        if capsule.id == key_id:
            return capsule
    raise NotOurKeyError("there is no epoch of this key", hint="see 'nodectl keys list'")
