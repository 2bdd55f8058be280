"""The Merkle tree against vectors and against a plain definition."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.audit.tree import (
    Leaves,
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of_proof,
    roots_of_growth,
)

# The eight leaves, and the roots of the trees over the first n of them, that the
# Certificate Transparency project tests its own implementations with.
LEAVES = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def plain_root(leaves):
    """RFC 6962, section 2.1, as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(plain_root(leaves[:split]), plain_root(leaves[split:]))


def hashes(number):
    return [leaf_hash(str(n).encode()) for n in range(number)]


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_the_roots_are_those_of_the_published_vectors(size):
    tree = Tree()
    for leaf in LEAVES[:size]:
        tree.append(leaf_hash(bytes.fromhex(leaf)))
    assert tree.root().hex() == ROOTS[size]


@given(st.integers(0, 300))
def test_the_growing_tree_is_the_tree_of_the_definition(size):
    tree = Tree()
    for leaf in hashes(size):
        tree.append(leaf)
    assert tree.root() == plain_root(hashes(size))
    assert len(tree.edge) == size.bit_count()


@given(st.integers(1, 200), st.data())
def test_each_leaf_is_proved_and_no_other_in_its_place(size, data):
    leaves = hashes(size)
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(Leaves(leaves), index, size)
    root = plain_root(leaves)
    assert root_of_proof(leaves[index], index, size, proof) == root
    if other != index:
        assert root_of_proof(leaves[other], index, size, proof) != root
        assert root_of_proof(leaves[index], other, size, proof) != root


@given(st.integers(1, 100), st.data())
def test_a_proof_of_the_wrong_length_proves_nothing(size, data):
    leaves = hashes(size)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(Leaves(leaves), index, size)
    assert root_of_proof(leaves[index], index, size, [*proof, b"x" * 32]) is None
    if proof:
        assert root_of_proof(leaves[index], index, size, proof[:-1]) != plain_root(leaves)
    assert root_of_proof(leaves[index], size, size, proof) is None
    assert root_of_proof(leaves[index], -1, size, proof) is None


@given(st.integers(1, 120), st.data())
def test_growth_is_proved_and_nothing_else(size, data):
    leaves = hashes(size)
    old = data.draw(st.integers(1, size))
    proof = consistency_proof(Leaves(leaves), old, size)
    first, root = plain_root(leaves[:old]), plain_root(leaves)
    assert roots_of_growth(old, size, first, proof) == (first, root)
    other = [leaf_hash(b"another"), *leaves[1:]]
    assert roots_of_growth(old, size, plain_root(other[:old]), proof) != (
        plain_root(other[:old]), root,
    )  # fmt: skip
    assert roots_of_growth(old, size, first, [*proof, first]) is None
    if proof:
        assert roots_of_growth(old, size, first, proof[:-1]) != (first, root)


@given(st.integers(0, 90), st.integers(1, 40), st.data())
def test_what_a_log_has_let_go_is_not_needed_to_prove_the_rest(gone, kept, data):
    leaves = hashes(gone + kept)
    before = Tree()
    for leaf in leaves[:gone]:
        before.append(leaf)
    rest = Leaves(leaves[gone:], before)
    index = data.draw(st.integers(gone, gone + kept - 1))
    assert inclusion_proof(rest, index, rest.size) == inclusion_proof(
        Leaves(leaves), index, rest.size
    )
    old = data.draw(st.integers(gone or 1, rest.size))
    assert consistency_proof(rest, old, rest.size) == consistency_proof(
        Leaves(leaves), old, rest.size
    )
