"""The seam of write-once bytes, named by their SHA-256."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from mmap import mmap


class Incoming(Protocol):
    """A blob being written. Leaving the ``with`` block uncommitted removes it.

    Write the row inside the ``with`` block: until it is left, a committed blob
    cannot be deleted, so that no row can come to stand without its blob.
    """

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes.

        :raises SpoolFullError: the disk refuses.
        """
        ...

    def fileno(self) -> int:
        """Return a descriptor to write to directly; hashing then happens at commit."""
        ...

    def mapped(self) -> mmap:
        """Return what was written so far, mapped for reading; at least one byte.

        Close it before the ``with`` block is left.
        """
        ...

    def commit(self, *, durable: bool = True) -> str:
        """Make the blob visible and return its SHA-256 in hex.

        When this returns and ``durable`` is true, bytes and name survive
        power loss. Committing bytes that are there already is no error and
        mends them where they were damaged.

        :raises SpoolFullError: the disk refuses; nothing partial is visible.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class BlobStore(Protocol):
    """Bytes named by their SHA-256; written once, never changed."""

    def put(self) -> Incoming:
        """Begin a new blob.

        :raises SpoolFullError: below the reserve of free space.
        """
        ...

    def open(self, sha256: str) -> BinaryIO:
        """Open a blob for reading.

        :raises KeyError: there is none of that name.
        """
        ...

    def read(self, sha256: str) -> bytes:
        """Return a blob whole, its digest checked.

        :raises KeyError: there is none of that name.
        :raises DamagedError: the bytes no longer have that digest.
        """
        ...

    def delete(self, sha256: str, *, unless: Callable[[], bool] | None = None) -> bool:
        """Remove a blob; one that is not there is no error.

        :param unless: asked while nobody can commit the same blob; when it
            says true the blob stays.
        :returns: whether the blob is gone now.
        """
        ...

    def free(self) -> int:
        """Return how many bytes may be written before the reserve is reached."""
        ...

    def walk(self) -> Iterator[tuple[str, float]]:
        """Yield (sha256, seconds since the epoch when it was written)."""
        ...

    def sweep(self) -> int:
        """Remove partial blobs of writers that are gone; return how many."""
        ...
