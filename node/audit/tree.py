"""The Merkle tree of RFC 6962, section 2.1: one hash that stands for all events so far."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees side by side."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that only grows. It keeps one hash for each bit of its size.

    :param size: leaves so far.
    :param edge: the hashes of the full subtrees that they form, largest first.
    """

    def __init__(self, size: int = 0, edge: Iterable[bytes] = ()) -> None:
        self.size = size
        self.edge = list(edge)

    def append(self, leaf: bytes) -> None:
        """Add the hash of one leaf."""
        full = self.size
        self.size += 1
        while full & 1:  # two subtrees of one size become one
            leaf = node_hash(self.edge.pop(), leaf)
            full >>= 1
        self.edge.append(leaf)

    def root(self) -> bytes:
        """Return the hash of the whole tree."""
        if not self.edge:
            return hashlib.sha256().digest()
        *rest, root = self.edge
        for left in reversed(rest):
            root = node_hash(left, root)
        return root


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from leaf ``index`` to the root, lowest first."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1  # largest power of two below the size
    if index < split:
        return [*inclusion_proof(leaves[:split], index), _root(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), _root(leaves[:split])]


def root_of_proof(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """Return the root that a proof leads to, or None where it has the wrong length.

    RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    last = size - 1
    for sibling in proof:
        if not last:
            return None
        if index & 1 or index == last:
            leaf = node_hash(sibling, leaf)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            leaf = node_hash(leaf, sibling)
        index >>= 1
        last >>= 1
    return None if last else leaf


def _root(leaves: Sequence[bytes]) -> bytes:
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()
