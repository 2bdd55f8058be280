"""k shares give the secret; k - 1 fit every secret equally well."""

from __future__ import annotations

import itertools
import os
from collections import Counter

import numpy as np
import pytest

from node.crypto.shares import field, shamir


def shared(secret: bytes, k: int, n: int, draw=os.urandom) -> list[bytes]:
    rooms = [np.empty(shamir.share_bytes(len(secret)), np.uint8) for _ in range(n)]
    shamir.split(secret, k, rooms, draw)
    return [room.tobytes() for room in rooms]


def joined(shares: list[bytes], indices) -> bytes:
    return shamir.join({i: shares[i - 1] for i in indices}).tobytes()


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 32, 1001])
def test_every_k_of_n_give_the_secret_with_its_padding(length):
    secret = os.urandom(length)
    shares = shared(secret, 3, 5)
    for indices in itertools.combinations(range(1, 6), 3):
        assert joined(shares, indices) == secret.ljust(-(-length // 8) * 8, b"\0")


def test_a_share_is_the_value_of_the_textbook_polynomial():
    secret, coefficients = bytes(range(8)), bytes(range(100, 116))
    shares = shared(secret, 3, 5, lambda count: coefficients[:count])

    def bits(strips: bytes) -> list[int]:
        return [sum((strips[s] >> b & 1) << s for s in range(8)) for b in range(8)]

    s, a, b = bits(secret), bits(coefficients[:8]), bits(coefficients[8:])
    for index, share in enumerate(shares, 1):
        x = field.point(index)
        assert bits(share) == [
            s[i] ^ field.multiply(a[i], x) ^ field.multiply(b[i], field.multiply(x, x))
            for i in range(8)
        ]


def test_k_minus_1_shares_fit_every_secret():
    """Exhaustive over the bits that vary: each pair of values of two shares comes up once."""
    for secret in (b"\0" * 8, b"\xff" * 8, b"abcdefgh"):
        seen = Counter()
        for first, second in itertools.product(range(16), repeat=2):
            # 8 strips of one byte; only bit 0 of the first four strips varies
            draw = bytes([first >> s & 1 for s in range(8)] + [second >> s & 1 for s in range(8)])
            shares = shared(secret, 3, 3, lambda _, draw=draw: draw)
            seen[shares[0], shares[1]] += 1
        assert set(seen.values()) == {1}


def test_fewer_shares_give_something_else():
    secret = os.urandom(64)
    shares = shared(secret, 3, 5)
    assert all(joined(shares, pair) != secret for pair in itertools.combinations(range(1, 6), 2))
