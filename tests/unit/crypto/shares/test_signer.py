"""The key that signs sets of shares, and its files."""

from __future__ import annotations

import pytest

from node.crypto.shares import signer
from node.errors import UnreadableError

SEED = bytes(range(32))


def test_the_files_give_the_keys_back():
    secret, public = signer.render_files(SEED, 1_790_000_000.0)
    assert signer.parse_secret(secret).public == signer.parse_public(public)
    assert secret.startswith(b"sealnode share-key v1\ncreated: 2026-09-21T14:13:20Z\n-> secret\n")


def test_a_file_of_another_kind_or_length_is_refused():
    secret, public = signer.render_files(SEED, 0)
    with pytest.raises(UnreadableError):
        signer.parse_public(secret)
    with pytest.raises(UnreadableError):
        signer.parse_secret(public)
    with pytest.raises(UnreadableError, match="32 bytes"):
        signer.parse_secret(
            b"sealnode share-key v1\ncreated: 1970-01-01T00:00:00Z\n-> secret\nAAAA\n"
        )


def test_a_signature_is_of_one_key_one_set_and_one_tree():
    one = signer.Signer(SEED)
    mark = one.sign(b"about", b"root")
    assert signer.signed(one.public, mark, b"about", b"root")
    assert not signer.signed(one.public, mark, b"about", b"toor")
    assert not signer.signed(one.public, mark, b"abou", b"root")
    assert not signer.signed(signer.Signer(bytes(32)).public, mark, b"about", b"root")
    assert not signer.signed(b"\xff" * 32, mark, b"about", b"root")


def test_a_signer_does_not_show_its_key():
    assert SEED.hex() not in repr(signer.Signer(SEED))
