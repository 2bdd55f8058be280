"""The hash tree over the shares of a set: each share proves by itself that it belongs.

The tree of RFC 6962, section 2.1, over the leaves of docs/formats/share-v1.md,
section 3.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HASH_BYTES = 32


def leaf(data: bytes) -> bytes:
    """Return the hash of one leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the hash over all leaves; there is at least one."""
    if len(leaves) == 1:
        return leaves[0]
    left = _left(len(leaves))
    return _node(root(leaves[:left]), root(leaves[left:]))


def path(leaves: Sequence[bytes], at: int) -> tuple[bytes, ...]:
    """Return the siblings from a leaf, counting from 0, up to the root."""
    if len(leaves) == 1:
        return ()
    left = _left(len(leaves))
    if at < left:
        return (*path(leaves[:left], at), root(leaves[left:]))
    return (*path(leaves[left:], at - left), root(leaves[:left]))


def depth(at: int, count: int) -> int:
    """Return how many siblings the path of a leaf has."""
    if count == 1:
        return 0
    left = _left(count)
    return 1 + (depth(at, left) if at < left else depth(at - left, count - left))


def climb(start: bytes, at: int, count: int, siblings: Sequence[bytes]) -> bytes:
    """Return the root that a leaf and its siblings lead to.

    :param siblings: as many as :func:`depth` says.
    """
    if count == 1:
        return start
    left = _left(count)
    below, sibling = siblings[:-1], siblings[-1]
    if at < left:
        return _node(climb(start, at, left, below), sibling)
    return _node(sibling, climb(start, at - left, count - left, below))


def _left(count: int) -> int:
    """Return the largest power of 2 below the count."""
    return int(1 << (count - 1).bit_length() - 1)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
