"""Laws of shares, for any object, any k of n and any liars."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.shares import dispersal, scheme, shamir, visual
from node.crypto.shares.judging import State
from node.crypto.shares.keys import Stream
from node.crypto.shares.share import Mode, parse
from node.crypto.shares.signer import Signer
from node.errors import SealnodeError, UnreadableError

SITE = Signer(bytes(32))
TRUSTED = [SITE.public]


@st.composite
def sets(draw, most: int = 10):
    """Return an object with its shares."""
    n = draw(st.integers(2, most))
    k = draw(st.integers(2, n))
    data = draw(st.binary(max_size=300))
    mode = draw(st.sampled_from(Mode))
    return data, k, [bytes(one) for one in scheme.split(data, k, n, mode=mode, by=SITE)]


@given(sets(), st.randoms())
@settings(max_examples=150, deadline=None)
def test_any_k_in_any_order_give_the_object(made, random):
    data, k, shares = made
    chosen = random.sample(shares, random.randint(k, len(shares)))
    done = scheme.combine(chosen, trusted=TRUSTED)
    assert done.data == data
    assert {one.state for one in done.report.findings} == {State.GOOD}


@given(sets(), st.data())
@settings(max_examples=150, deadline=None)
def test_liars_are_found_and_never_change_what_comes_out(made, data):
    original, k, shares = made
    given_shares = list(shares)
    liars = data.draw(st.sets(st.integers(0, len(shares) - 1)))
    for liar in liars:
        share = bytearray(shares[liar])
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(share) - 1))
            share[at] ^= data.draw(st.integers(1, 255))
        given_shares[liar] = bytes(share)
    liars = {i for i in liars if given_shares[i] != shares[i]}  # two changes may cancel out
    try:
        done = scheme.combine(given_shares, trusted=TRUSTED)
    except SealnodeError:
        assert len(shares) - len(liars) < k
        return
    assert len(shares) - len(liars) >= k
    assert done.data == original
    good = {i for i, one in enumerate(done.report.findings) if one.state is State.GOOD}
    assert good == set(range(len(shares))) - liars


@given(st.binary(max_size=600))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_refused_in_words(data):
    for candidate in (data, b"SNSH\x01\x01" + data):
        try:
            parse(candidate)
        except UnreadableError:
            continue
        assert len(candidate) > 240


@given(st.binary(max_size=200), st.integers(2, 9), st.data())
@settings(max_examples=100, deadline=None)
def test_sharing_is_linear_and_joining_undoes_it(secret, n, data):
    k = data.draw(st.integers(2, n))
    indices = data.draw(st.permutations(range(1, n + 1)))[:k]
    rooms = [np.empty(shamir.share_bytes(len(secret)), np.uint8) for _ in range(n)]
    shamir.split(secret, k, rooms, os.urandom)
    joined = shamir.join({i: rooms[i - 1].data for i in indices})
    assert joined.tobytes()[: len(secret)] == secret


@given(st.binary(max_size=500), st.integers(2, 12), st.data())
@settings(max_examples=100, deadline=None)
def test_dispersal_is_undone_by_any_k(whole, n, data):
    k = data.draw(st.integers(2, n))
    size = dispersal.chunk_bytes(len(whole), k)
    padded = whole.ljust(k * size, b"\0")
    parts = list(np.frombuffer(padded, np.uint8).reshape(k, size))
    more = [np.empty(size, np.uint8) for _ in range(n - k)]
    dispersal.disperse(parts, more)
    chunks = [chunk.tobytes() for chunk in (*parts, *more)]
    numbers = data.draw(st.permutations(range(n)))[:k]
    assert b"".join(dispersal.gather({i: chunks[i] for i in numbers}, k)) == padded


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1), st.integers(2, 32))
@settings(max_examples=60, deadline=None)
def test_pictures_come_back_exactly(rows, columns, seed, n):
    source = np.random.default_rng(seed)
    black = source.random((rows, columns)) < 0.5
    assert (visual.join_visual(*visual.split_visual(black, os.urandom)) == black).all()
    grey = source.integers(0, 256, (rows, columns), np.uint8)
    assert (visual.join_pixels(visual.split_pixels(grey, n, os.urandom)) == grey).all()


def chi_square(data: np.ndarray) -> float:
    counts = np.bincount(data, minlength=256)
    return float(((counts - len(data) / 256) ** 2).sum() / (len(data) / 256))


@pytest.mark.parametrize("fill", [b"\x00", b"\xff", b"ab"])
@pytest.mark.parametrize(("k", "n"), [(2, 3), (3, 5), (4, 4)])
def test_bytes_of_k_minus_1_perfect_shares_are_uniform_alone_and_together(k, n, fill):
    """Of the plainest objects: 255 degrees of freedom, p below 1e-9 beyond 410."""
    data = (fill * 400_000)[:400_000]
    shares = scheme.split(data, k, n, mode=Mode.PERFECT)
    bodies = [np.frombuffer(parse(share).body, np.uint8) for share in shares]
    for body in bodies:
        assert chi_square(body) < 410
    for first in range(n):
        for second in range(first) if k > 2 else ():
            assert chi_square(bodies[first] ^ bodies[second]) < 410
            pairs = (bodies[first] >> 4).astype(np.uint8) << 4 | bodies[second] >> 4
            assert chi_square(pairs) < 410


def test_the_stream_is_uniform_and_never_repeats():
    stream = Stream(os.urandom(32))
    one, two = (bytes(stream.draw(400_000)[:400_000]) for _ in range(2))
    assert chi_square(np.frombuffer(one, np.uint8)) < 410
    assert one[:16] not in two
