"""Blobs as files: ``incoming/`` while written, ``objects/ab/<sha256>`` for good.

A blob is visible under its name only when it is whole. Its writer holds a lock
on the partial file, so that a sweep can tell who is gone, and a shared lock on
the folder from the commit until it leaves, so that nothing is deleted between
the blob and its row.

After a failed fsync nobody knows what the disk holds, and asking again answers
yes without writing: the store then refuses every write until it is opened anew.

SECURITY: a path comes from random bytes or from a digest, never from what a
peer sent.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import re
import stat
from typing import TYPE_CHECKING, BinaryIO, Self

from node.errors import ConfigError, DamagedError, SpoolFullError, TransientError
from node.failpoint import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = re.compile(r"[0-9a-f]{64}")
CHUNK = 1 << 20  # bytes read at once when a blob is hashed
BUSY = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}  # passes; says nothing about the blob


class DiskBlobs:
    """A :class:`~node.spool.base.BlobStore` in one folder of a local file system.

    :param root: made if it is not there; only its owner may write in it.
    :param reserve: bytes of free space below which no new blob is begun.
    :raises ConfigError: the folder is not safe to use.
    """

    def __init__(self, root: Path, *, reserve: int = 0) -> None:
        self._disk = _Disk(root.absolute())
        self._reserve = reserve

    def put(self) -> DiskIncoming:
        """Begin a new blob."""
        self._disk.refuse_if_sick()
        if self.free() < 0:
            raise SpoolFullError(
                "free space is below the reserve",
                hint="make room on the disk of the spool, or lower its reserve",
            )
        return DiskIncoming(self._disk)

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob for reading."""
        return self._disk.open(sha256)

    def read(self, sha256: str) -> bytes:
        """Return a blob whole, its digest checked."""
        with self._disk.open(sha256) as file:
            try:
                data = file.read()
            except OSError as error:
                raise DamagedError("a blob of the spool cannot be read") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DamagedError("a blob of the spool has changed")
        return data

    def delete(self, sha256: str, *, unless: Callable[[], bool] | None = None) -> bool:
        """Remove a blob unless it is spared, or its folder is being written to."""
        path = self._disk.path(sha256)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if unless is not None and unless():
                return False
            reach("blob.deleting")
            path.unlink(missing_ok=True)
            reach("blob.deleted")
        except BlockingIOError:
            return False
        finally:
            os.close(folder)
        return True

    def free(self) -> int:
        """Return how many bytes may be written before the reserve is reached."""
        space = os.statvfs(self._disk.incoming)
        return space.f_bavail * space.f_frsize - self._reserve

    def walk(self) -> Iterator[tuple[str, float]]:
        """Yield (sha256, seconds since the epoch when it was written)."""
        for folder in self._disk.folders():
            with os.scandir(folder) as files:
                for file in files:
                    if NAME.fullmatch(file.name):
                        try:
                            yield file.name, file.stat(follow_symlinks=False).st_mtime
                        except FileNotFoundError:
                            continue

    def sweep(self) -> int:
        """Remove partial blobs of writers that are gone; return how many."""
        return sum(_remove_if_abandoned(path) for path in self._disk.incoming.iterdir())


class DiskIncoming:
    """A :class:`~node.spool.base.Incoming` of :class:`DiskBlobs`."""

    def __init__(self, disk: _Disk) -> None:
        self._disk = disk
        self._digest = hashlib.sha256()
        self._direct = False
        self._failed = False
        self._folder = -1
        self._path, self._descriptor = disk.create()
        reach("blob.created")

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        rest = memoryview(data).cast("B")
        self._digest.update(rest)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._failed = True  # the digest knows more than the file
            raise self._disk.refusal(error) from error

    def fileno(self) -> int:
        """Return a descriptor to write to directly; hashing then happens at commit."""
        self._direct = True
        return self._descriptor

    def mapped(self) -> mmap.mmap:
        """Return what was written so far, mapped for reading."""
        return mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)

    def commit(self, *, durable: bool = True) -> str:
        """Make the blob visible and return its SHA-256 in hex."""
        self._disk.refuse_if_sick()
        if self._failed:
            raise SpoolFullError("a write to this blob failed before")
        reach("blob.written")
        try:
            sha256 = _hash(self._descriptor) if self._direct else self._digest.hexdigest()
            target = self._disk.path(sha256)
            self._folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._folder, fcntl.LOCK_SH)
            if durable or not self._link(target):
                self._replace(target)
        except OSError as error:
            raise self._disk.refusal(error) from error
        return sha256

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        if self._folder >= 0:
            fcntl.flock(self._folder, fcntl.LOCK_UN)  # a forked child may hold a copy
            os.close(self._folder)

    def _link(self, target: Path) -> bool:
        """Give the blob its name if that is free, and say whether a sound blob has it.

        It may be another's, which may be durable while this one is not: it must
        not be replaced.
        """
        try:
            os.link(self._path, target, follow_symlinks=False)
        except FileExistsError:
            try:
                with self._disk.open(target.name) as file:
                    return _hash(file.fileno()) == target.name
            except DamagedError:
                return False
        reach("blob.linked")
        return True

    def _replace(self, target: Path) -> None:
        """Give the blob its name for good, whatever bears it now."""
        self._disk.sync(self._descriptor)
        reach("blob.synced")
        self._path.rename(target)
        reach("blob.renamed")
        self._disk.sync(self._folder)
        reach("blob.durable")


class _Disk:
    """What the store and its writers share: paths, and whether the disk can be trusted."""

    def __init__(self, root: Path) -> None:
        self.incoming = root / "incoming"
        self._objects = root / "objects"
        self._sick = False
        _make(root)
        _make(self.incoming)
        _make(self._objects)
        for folder in self.folders():
            folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(self._objects)

    def folders(self) -> Iterator[Path]:
        return (self._objects / f"{number:02x}" for number in range(256))

    def path(self, sha256: str) -> Path:
        if not NAME.fullmatch(sha256):
            raise KeyError(sha256)
        return self._objects / sha256[:2] / sha256

    def create(self) -> tuple[Path, int]:
        """Open a new partial file and lock it as its living writer."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        while True:
            path = self.incoming / os.urandom(16).hex()
            try:
                descriptor = os.open(path, flags, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                raise self.refusal(error) from error
            if os.fstat(descriptor).st_nlink:
                return path, descriptor
            os.close(descriptor)  # a sweep came between the two calls

    def open(self, sha256: str) -> BinaryIO:
        try:
            descriptor = os.open(self.path(sha256), os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise KeyError(sha256) from None
        except OSError as error:
            if error.errno in BUSY:
                raise TransientError("the system refuses to open a blob") from error
            raise DamagedError("a blob of the spool cannot be opened") from error
        return os.fdopen(descriptor, "rb")

    def sync(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            self._sick = True
            raise self.refusal(error) from error

    def refuse_if_sick(self) -> None:
        if self._sick:
            raise SpoolFullError(
                "the disk of the spool failed to write",
                hint="look at the kernel's log, then start the node again",
                code="spool_sick",
            )

    def refusal(self, error: OSError) -> SpoolFullError:
        self._sick = self._sick or error.errno == errno.EIO
        code = "spool_sick" if self._sick else "spool_full"
        reason = os.strerror(error.errno or 0).lower()
        return SpoolFullError(f"the disk of the spool refuses: {reason}", code=code)


def _hash(descriptor: int) -> str:
    digest = hashlib.sha256()
    offset = 0
    while chunk := os.pread(descriptor, CHUNK, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


def _remove_if_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _make(folder: Path) -> None:
    """Make a folder whose name survives power loss, or see that it is safe."""
    if not folder.parent.is_dir():
        _make(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        _refuse_unless_safe(folder)
    except OSError as error:
        raise ConfigError([f"{folder}: {os.strerror(error.errno or 0)}"]) from error
    _sync_folder(folder.parent)


def _refuse_unless_safe(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError([f"{folder}: is not a folder (links are not followed)"])
    if found.st_mode & 0o022 or found.st_uid != os.geteuid():
        raise ConfigError(
            [f"{folder}: others than the node's user may write in it"],
            hint="chown it to the node's user and chmod it 0700",
        )


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; one that we may not open has another owner's names."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
