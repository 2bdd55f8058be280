"""One share as bytes: the published layout, and nothing but it."""

from __future__ import annotations

import os
import struct

import pytest

from node.crypto.shares import scheme, share
from node.crypto.shares.share import Mode
from node.crypto.shares.signer import Signer
from node.errors import UnreadableError

OBJECT = bytes(range(100))


@pytest.fixture
def signed() -> list[bytes]:
    return [bytes(one) for one in scheme.split(OBJECT, 2, 3, by=Signer(bytes(32)))]


def test_the_layout_is_the_published_one(signed):
    third = signed[2]
    assert third[:8] == b"SNSH\x01\x01\x02\x03"
    assert struct.unpack_from(">Q", third, 24) == (100,)
    assert third[32:64] == Signer(bytes(32)).public
    assert third[96:98] == b"\x03\x00"
    # about, index and zero, key share, tag, one sibling, root, signature, half of 116 bytes
    assert len(third) == 96 + 2 + 32 + 16 + 32 + 32 + 64 + 64


def test_parsing_gives_back_what_was_packed(signed):
    for data in signed:
        parsed = share.parse(data)
        assert parsed.pack_head() + bytes(parsed.body) == data
        assert parsed.rooted
        assert parsed.signed


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("length", [0, 1, 2, 15, 16, 17, 1000, 1001])
def test_a_share_has_an_even_length(mode, length):
    made = scheme.split(os.urandom(length), 3, 7, mode=mode)
    assert not any(len(one) % 2 for one in made)


def test_every_length_but_its_own_is_refused(signed):
    data = signed[0]
    for length in [*range(0, len(data), 7), len(data) - 1]:
        with pytest.raises(UnreadableError):
            share.parse(data[:length])
    with pytest.raises(UnreadableError):
        share.parse(data + b"\0")


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0x54), (4, 0), (4, 2), (5, 0), (5, 3), (6, 1), (6, 4), (7, 1), (7, 33), (96, 0),
     (96, 4), (97, 1)],
)  # fmt: skip
def test_what_no_version_1_share_can_say_is_refused(signed, at, value):
    changed = bytearray(signed[0])
    changed[at] = value
    with pytest.raises(UnreadableError):
        share.parse(changed)


def test_an_object_beyond_the_limit_is_refused_before_anything_is_allocated(signed):
    changed = bytearray(signed[0])
    changed[24:32] = b"\xff" * 8
    with pytest.raises(UnreadableError):
        share.parse(changed)


@pytest.mark.parametrize(("k", "n"), [(0, 0), (1, 1), (1, 3), (3, 2), (2, 33), (-1, 2)])
def test_numbers_that_make_no_sense_are_named(k, n):
    assert share.check_numbers(k, n)


def test_no_secret_shows_in_a_share(signed):
    assert OBJECT[:16] not in b"".join(signed)
