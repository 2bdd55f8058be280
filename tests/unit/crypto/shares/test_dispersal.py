"""Any k chunks give the whole back; the first k are its parts."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest

from node.crypto.shares import dispersal


def dispersed(data: bytes, k: int, n: int) -> list[bytes]:
    size = dispersal.chunk_bytes(len(data), k)
    parts = list(np.frombuffer(data.ljust(k * size, b"\0"), np.uint8).reshape(k, size))
    more = [np.empty(size, np.uint8) for _ in range(n - k)]
    dispersal.disperse(parts, more)
    return [chunk.tobytes() for chunk in (*parts, *more)]


@pytest.mark.parametrize(("k", "n"), [(2, 2), (2, 3), (3, 5), (4, 7)])
def test_every_k_chunks_give_the_whole(k, n):
    data = os.urandom(1003)
    chunks = dispersed(data, k, n)
    for numbers in itertools.combinations(range(n), k):
        parts = dispersal.gather({number: chunks[number] for number in numbers}, k)
        assert b"".join(parts) == data.ljust(k * len(chunks[0]), b"\0")


@pytest.mark.parametrize(("length", "k", "size"), [(0, 3, 0), (1, 3, 8), (24, 3, 8), (25, 3, 16)])
def test_a_chunk_is_a_kth_rounded_up_to_whole_strips(length, k, size):
    assert dispersal.chunk_bytes(length, k) == size
