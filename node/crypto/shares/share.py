"""One share as bytes: the strict codec of docs/formats/share-v1.md, sections 1 to 3.

No key passes through here but the share of one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from node.crypto.shares import signer, tree
from node.crypto.shares.dispersal import chunk_bytes
from node.crypto.shares.shamir import share_bytes
from node.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Buffer = bytes | bytearray | memoryview

MAGIC = b"SNSH"
VERSION = 1
MAX_SHARES = 32
MAX_OBJECT = 1 << 30  # bytes
SET_ID_BYTES = 16
KEY_BYTES = 32
TAG_BYTES = 16
COMMITMENT_BYTES = 32

_HEAD = struct.Struct(">4sBBBB16sQ32s")
_SET = struct.Struct(">32s")
_OWN = struct.Struct(">BB32s16s")  # index, zero: a share has an even length, as DICOM wants it
ABOUT_BYTES = _HEAD.size + _SET.size


class Mode(IntEnum):
    """How the object became the bodies of its shares."""

    COMPUTATIONAL = 1  #: encrypted, dispersed; the key shared after Shamir
    PERFECT = 2  #: shared after Shamir, byte for byte


@dataclass(frozen=True, slots=True)
class About:
    """What is the same in all shares of a set.

    :param length: of the object, in bytes.
    :param signer: public key of who made the set; zeros if nobody signed.
    :param commitment: binds the object without saying anything about it; zeros without one.
    """

    mode: Mode
    k: int
    n: int
    set_id: bytes
    length: int
    signer: bytes
    commitment: bytes

    def pack(self) -> bytes:
        """Return its 96 bytes."""
        return self.pack_head() + _SET.pack(self.commitment)

    def pack_head(self) -> bytes:
        """Return its first 64 bytes: all but the commitment."""
        return _HEAD.pack(
            MAGIC, VERSION, self.mode, self.k, self.n, self.set_id, self.length, self.signer
        )

    @property
    def signed(self) -> bool:
        """Whether the set bears a signature."""
        return any(self.signer)

    @property
    def bound(self) -> bool:
        """Whether the set commits to the object."""
        return any(self.commitment)

    @property
    def dispersed(self) -> int:
        """How many bytes of it all bodies together hold: the object's, and a GCM tag."""
        return self.length + (TAG_BYTES if self.mode is Mode.COMPUTATIONAL else 0)

    def head_bytes(self, index: int) -> int:
        """Return how long a share is before its body."""
        hashes = tree.depth(index - 1, self.n) + 1
        signature = signer.SIGNATURE_BYTES if self.signed else 0
        return ABOUT_BYTES + _OWN.size + hashes * tree.HASH_BYTES + signature

    @property
    def body_bytes(self) -> int:
        """How long the body of each share is."""
        if self.mode is Mode.COMPUTATIONAL:
            return chunk_bytes(self.dispersed, self.k)
        return share_bytes(self.dispersed)


@dataclass(frozen=True, slots=True)
class Share:
    """A share taken apart. Alone it says nothing about the object but its length.

    :param index: counts from 1.
    :param key_share: 32 bytes: the share of the set's secret.
    :param tag: authenticates the body, under a key that k shares give.
    :param path: hashes of the sibling shares up to the root.
    :param signature: of the set; empty if nobody signed.
    """

    about: About
    index: int
    key_share: bytes
    tag: bytes
    path: tuple[bytes, ...]
    root: bytes
    signature: bytes
    body: Buffer

    @property
    def rooted(self) -> bool:
        """Whether everything but the signature and the body is what the root stands for."""
        start = leaf(self.about, self.index, self.key_share, self.tag)
        return tree.climb(start, self.index - 1, self.about.n, self.path) == self.root

    @property
    def signed(self) -> bool:
        """Whether the signature is that of the key which the share names, or none is due."""
        about = self.about
        return not about.signed or signer.signed(
            about.signer, self.signature, about.pack(), self.root
        )

    def pack_head(self) -> bytes:
        """Return all its bytes before the body."""
        own = _OWN.pack(self.index, 0, self.key_share, self.tag)
        return b"".join((self.about.pack(), own, *self.path, self.root, self.signature))


def leaf(about: About, index: int, key_share: bytes, tag: bytes) -> bytes:
    """Return the hash that stands for a share in the tree of its set."""
    return tree.leaf(about.pack() + _OWN.pack(index, 0, key_share, tag))


def check_numbers(k: int, n: int) -> str:
    """Return what is wrong with a threshold and a number of shares; ``""`` if nothing is."""
    if not 2 <= k <= n <= MAX_SHARES:  # noqa: PLR2004 - one share of which one suffices is a copy
        return f"k and n must be 2 <= k <= n <= {MAX_SHARES}, not {k} and {n}"
    return ""


def parse(data: Buffer) -> Share:
    """Take a share apart; its body is a view of the bytes given.

    Only the form is checked; whether it is true is another question.

    :raises UnreadableError: it is no share of a version known here.
    """
    view = memoryview(data)
    about = _parse_about(view)
    if len(view) < ABOUT_BYTES + _OWN.size:
        raise _cut()
    index, zero, key_share, tag = _OWN.unpack_from(view, ABOUT_BYTES)
    if zero or not 1 <= index <= about.n:
        raise UnreadableError(f"a share has the number {index} of {about.n}")
    body = about.head_bytes(index)
    if len(view) != body + about.body_bytes:
        raise _cut()
    stop = body - (signer.SIGNATURE_BYTES if about.signed else 0)
    *path, root = _cut_up(bytes(view[ABOUT_BYTES + _OWN.size : stop]), tree.HASH_BYTES)
    return Share(
        about=about,
        index=index,
        key_share=key_share,
        tag=tag,
        path=tuple(path),
        root=root,
        signature=bytes(view[stop:body]),
        body=view[body:],
    )


def _parse_about(view: memoryview) -> About:
    if len(view) < ABOUT_BYTES or view[:4] != MAGIC:
        raise UnreadableError("the bytes are no share", code="no_share")
    _, version, mode, k, n, set_id, length, public = _HEAD.unpack_from(view)
    if version != VERSION or mode not in set(Mode):
        raise UnreadableError(
            f"share of version {version}, mode {mode} is not known here",
            hint="it may have been made by a newer release",
        )
    if flaw := check_numbers(k, n):
        raise UnreadableError(f"a share is malformed: {flaw}")
    if length > MAX_OBJECT:
        raise UnreadableError(f"a share speaks of an object of {length} bytes")
    (commitment,) = _SET.unpack_from(view, _HEAD.size)
    return About(Mode(mode), k, n, set_id, length, public, commitment)


def _cut_up(data: bytes, size: int) -> Sequence[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _cut() -> UnreadableError:
    return UnreadableError("a share is cut off or too long", code="truncated")
