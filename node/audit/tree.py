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


class Leaves:
    """The leaves of a whole tree; of those that a log has let go only their subtrees.

    :param hashes: of the leaves that are there.
    :param before: the tree of the leaves before them.
    """

    def __init__(self, hashes: Sequence[bytes], before: Tree | None = None) -> None:
        self._hashes = hashes
        self._before = before or Tree()
        self.size = self._before.size + len(hashes)
        self._gone: dict[tuple[int, int], bytes] = {}
        start = 0
        for subtree in self._before.edge:
            length = 1 << (self._before.size - start).bit_length() - 1
            self._gone[start, start + length] = subtree
            start += length

    def root(self, start: int, stop: int) -> bytes:
        """Return the hash of the tree over the leaves from ``start`` to before ``stop``.

        :raises KeyError: it lies within what is gone.
        """
        first = self._before.size
        if start >= first:
            tree = Tree()
            for leaf in self._hashes[start - first : stop - first]:
                tree.append(leaf)
            return tree.root()
        if (start, stop) in self._gone:
            return self._gone[start, stop]
        if stop - start == 1:
            raise KeyError(start)
        middle = _middle(start, stop)
        return node_hash(self.root(start, middle), self.root(middle, stop))


def inclusion_proof(leaves: Leaves, index: int, size: int) -> list[bytes]:
    """Return the hashes that lead from leaf ``index`` to the root over ``size`` leaves.

    Lowest first: RFC 6962, section 2.1.1.

    :raises KeyError: the leaf is gone.
    """
    proof, start, stop = [], 0, size
    while stop - start > 1:
        middle = _middle(start, stop)
        if index < middle:
            proof.append(leaves.root(middle, stop))
            stop = middle
        else:
            proof.append(leaves.root(start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(leaves: Leaves, old: int, new: int) -> list[bytes]:
    """Return the hashes that show that the tree of ``new`` leaves grew from that of ``old``.

    RFC 6962, section 2.1.2, for 0 < ``old`` <= ``new``.

    :raises KeyError: a subtree is gone.
    """
    proof, start, stop, whole = [], 0, new, True
    while old != stop:
        middle = _middle(start, stop)
        if old <= middle:
            proof.append(leaves.root(middle, stop))
            stop = middle
        else:
            proof.append(leaves.root(start, middle))
            start, whole = middle, False
    return proof[::-1] if whole else [leaves.root(start, stop), *proof[::-1]]


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


def roots_of_growth(
    old: int, new: int, old_root: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes] | None:
    """Return the old and the new root that a consistency proof leads to, or None if it is none.

    RFC 9162, section 2.1.4.2, for 0 < ``old`` <= ``new``.
    """
    if old == new:
        return None if proof else (old_root, old_root)
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return None
    first, last = old - 1, new - 1
    while first & 1:
        first >>= 1
        last >>= 1
    before = after = path[0]
    for sibling in path[1:]:
        if not last:
            return None
        if first & 1 or first == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not first & 1 and first:
                first >>= 1
                last >>= 1
        else:
            after = node_hash(after, sibling)
        first >>= 1
        last >>= 1
    return None if last else (before, after)


def _middle(start: int, stop: int) -> int:
    """Return where a tree is divided: after the largest power of two below its size."""
    return start + (1 << (stop - start - 1).bit_length() - 1)
