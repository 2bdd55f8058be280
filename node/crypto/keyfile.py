"""Key files on disk: read with suspicion, written so that power loss cannot tear them.

SECURITY: a secret that others can read is refused, not used with a warning.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from node.crypto.document import MAX_BYTES
from node.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = 0o400
LITTLE = 0o440  # worth little: its group may read it
PUBLIC = 0o444
_OTHERS = stat.S_IRWXO
_GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WRITE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def read(path: Path, mode: int) -> bytes:
    """Return the bytes of a key file.

    :param mode: the widest access that it may have.
    :raises ConfigError: it is not there, cannot be read, is no regular file,
        is longer than 1 MiB, or is open to more people than ``mode`` says.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise mistake(path, "is no regular file")
            _check_access(path, status.st_mode, mode)
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise mistake(path, "does not exist", "nodectl keys new makes keys") from None
    except OSError as error:
        raise mistake(path, f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise mistake(path, "is longer than 1 MiB")
    return data


def check_directory(directory: Path) -> None:
    """Refuse a key directory in which others could replace a file.

    :raises ConfigError: so it is, or it is not there.
    """
    try:
        status = directory.stat()
    except OSError as error:
        raise mistake(
            directory, f"cannot be read: {error.strerror}", "nodectl keys new makes keys"
        ) from None
    if not stat.S_ISDIR(status.st_mode):
        raise mistake(directory, "is no directory")
    if status.st_mode & _WRITE_BY_OTHERS:
        raise mistake(directory, "can be written by others", f"chmod 700 {directory}")


def write(path: Path, data: bytes, mode: int) -> None:
    """Put a file in place, durably: afterwards it is whole or as it was before.

    It belongs to whom its directory belongs, so that an administrator who
    rotates keys does not lock the service out.

    :raises ConfigError: the disk refuses.
    """
    partial = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        try:
            _write_partial(partial, data, mode)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise mistake(path, f"cannot be written: {error.strerror}") from None


def shred(path: Path) -> None:
    """Write over a file, durably, and remove it; one that is not there is gone already.

    SECURITY: what lay there before can live on in flash memory, in snapshots
    and in file systems that never write in place.

    :raises ConfigError: the disk refuses.
    """
    try:
        path.chmod(0o600)
        with path.open("r+b") as file:
            file.write(os.urandom(os.fstat(file.fileno()).st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_directory(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise mistake(path, f"cannot be destroyed: {error.strerror}") from None


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def mistake(path: Path, what: str, hint: str = "") -> ConfigError:
    """Return the error that says what is wrong with a key file."""
    return ConfigError([f"{path}: {what}"], hint=hint)


def _write_partial(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        owner = path.parent.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _check_access(path: Path, found: int, mode: int) -> None:
    forbidden = _OTHERS if mode & stat.S_IRGRP else _GROUP_AND_OTHERS
    if mode != PUBLIC and found & forbidden:
        raise mistake(
            path,
            f"is a secret, but its mode {stat.S_IMODE(found):04o} lets others at it",
            f"chmod {mode:03o} {path}",
        )
