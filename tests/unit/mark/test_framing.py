"""Any k shards give the frame back, strangers are named, and a wrong key gives nothing."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from node.mark.digests import LABEL, Digests
from node.mark.framing import Frame, Framer, groups, needed, overhead
from node.mark.tiles import grids

KEY = bytes(range(32))
FIELD = grids(512, 512, 512)[0]
MANY = grids(4096, 2560, 4096)[0]


def framed(grid, size, length, voids=(), key=KEY):
    framer = Framer(grid, size, key)
    k = needed(len(grid.tiles), len(voids), length, size)
    payload = bytes(i * 7 & 255 for i in range(length))
    proof = bytes(8 + len(voids)) if voids else b""
    return framer, Frame(k, tuple(voids), proof, payload)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1200), st.integers(6, 60), st.randoms(use_true_random=False))
def test_any_k_shards_are_enough_and_fewer_are_not(length, size, random):
    framer, frame = framed(FIELD, size, length)
    if frame.needed > 64:
        return
    shards = framer.shards(frame)
    chosen = random.sample(sorted(shards), frame.needed)
    assert framer.join({i: shards[i] for i in chosen}) == (frame, frozenset())
    assert framer.join({i: shards[i] for i in chosen[1:]}) is None


def test_more_tiles_than_one_code_has_shares_make_groups():
    framer, frame = framed(MANY, 12, 900, voids=(0, 5, 639))
    shards = framer.shards(frame)
    assert groups(len(MANY.tiles)) == 3
    assert len(shards) == 637
    kept = {i: shard for i, shard in shards.items() if i % 5}
    assert framer.join(kept) == (frame, frozenset())


def test_void_tiles_have_no_shard():
    framer, frame = framed(FIELD, 30, 500, voids=(3, 9))
    assert sorted(framer.shards(frame)) == [i for i in range(64) if i not in {3, 9}]


def test_shards_of_another_frame_are_named():
    framer, frame = framed(FIELD, 30, 500)
    other = framer.shards(replace(frame, payload=bytes(500)))
    shards = framer.shards(frame)
    strange = {0, 7, 8, 36, 63}
    mixed = {i: other[i] if i in strange else shard for i, shard in shards.items()}
    assert framer.join(mixed) == (frame, frozenset(strange))


def test_another_key_joins_nothing():
    framer, frame = framed(FIELD, 30, 500)
    assert Framer(FIELD, 30, bytes(32)).join(framer.shards(frame)) is None


def test_the_overhead_is_small():
    assert overhead(64, 0) == 14
    assert overhead(64, 3) == 14 + 8 + 8 + 3


@pytest.mark.parametrize(
    ("low", "high", "letter", "width"),
    [(-5, 5, b"h", 2), (0, 40000, b"H", 2), (-1, 40000, b"i", 4), (0, 70000, b"i", 4)],
)
def test_samples_take_the_least_width_of_their_tile(low, high, letter, width):
    grid = grids(10, 12, 10)[0]
    samples = np.full((10, 12), low, np.int32)
    samples[3, 4] = high
    subkey = hmac.digest(KEY, LABEL, hashlib.sha256)
    text = samples.astype({b"h": "<i2", b"H": "<u2", b"i": "<i4"}[letter]).tobytes()
    assert len(text) == 120 * width
    gmac = AESGCM(subkey).encrypt(bytes(12), b"", text)
    assert Digests(grid, samples, KEY).of(0) == letter + gmac


def test_a_tag_depends_on_everything():
    samples = np.arange(512 * 512, dtype=np.int32).reshape(512, 512) % 100
    framer, originals = Framer(FIELD, 6, KEY), Digests(FIELD, samples, KEY)
    changed = samples.copy()
    changed[0, 0] += 1
    tile = 0, 1, b"shards"
    tags = {
        *framer.tags([tile, (1, 1, b"shards"), (0, 2, b"shards"), (0, 1, b"shardt")], originals),
        *framer.tags([tile], Digests(FIELD, changed, KEY)),
        *Framer(FIELD, 7, KEY).tags([tile], originals),
        *Framer(grids(512, 512, 256)[0], 6, KEY).tags([tile], originals),
        *Framer(FIELD, 6, KEY[::-1]).tags([tile], originals),
    }
    assert len(tags) == 8
