"""The tree of a set is that of RFC 6962, and every path leads to its root."""

from __future__ import annotations

import hashlib

import pytest

from node.crypto.shares import tree


def leaves(count: int) -> list[bytes]:
    return [tree.leaf(bytes((i,))) for i in range(count)]


def test_five_leaves_hash_as_rfc_6962_says():
    a, b, c, d, e = leaves(5)

    def node(left, right):
        return hashlib.sha256(b"\1" + left + right).digest()

    assert a == hashlib.sha256(b"\0\0").digest()
    assert tree.root([a, b, c, d, e]) == node(node(node(a, b), node(c, d)), e)
    assert tree.path([a, b, c, d, e], 2) == (d, node(a, b), e)
    assert tree.path([a, b, c, d, e], 4) == (node(node(a, b), node(c, d)),)


@pytest.mark.parametrize("count", range(1, 33))
def test_every_path_leads_to_the_root_and_to_no_other_leaf(count):
    all_leaves = leaves(count)
    root = tree.root(all_leaves)
    for at, leaf in enumerate(all_leaves):
        path = tree.path(all_leaves, at)
        assert len(path) == tree.depth(at, count)
        assert tree.climb(leaf, at, count, path) == root
        assert tree.climb(all_leaves[at - 1], at, count, path) != root or count == 1
