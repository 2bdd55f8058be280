"""XOR of strips is arithmetic in GF(2^8), and the code is zfec's."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
import zfec

from node.crypto.shares import field


def slow_product(a: int, b: int) -> int:
    """Multiply as polynomials, then divide by that of the field."""
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(15, 7, -1):
        if product >> bit & 1:
            product ^= 0x11D << (bit - 8)
    return product


def symbols(row: np.ndarray) -> bytes:
    """Return the elements that a row of strips stands for."""
    bits = np.unpackbits(row.reshape(8, -1), axis=1, bitorder="little")
    return np.packbits(bits, axis=0, bitorder="little")[0].tobytes()


def random_row(length: int) -> np.ndarray:
    return np.frombuffer(os.urandom(length), np.uint8)


def applied(matrix, rows):
    outs = [np.empty(len(rows[0]), np.uint8) for _ in matrix]
    field.apply(matrix, rows, outs)
    return outs


def test_products_are_those_of_polynomials():
    for a, b in itertools.product(range(0, 256, 5), range(256)):
        assert field.multiply(a, b) == slow_product(a, b)


def test_quotients_undo_products():
    for a, b in itertools.product(range(0, 256, 7), range(1, 256)):
        assert field.divide(field.multiply(a, b), b) == a
    with pytest.raises(ZeroDivisionError):
        field.divide(1, 0)


def test_all_points_differ():
    assert len({field.point(index) for index in range(256)}) == 256


@pytest.mark.parametrize("length", [0, 8, 64, 512, 520, 4096])
def test_a_matrix_does_to_strips_what_it_does_to_symbols(length):
    matrix = ((1, 2, 0x8E), (0xFF, 0, 1), (3, 7, 29), (0, 1, 0))
    rows = [random_row(length) for _ in range(3)]
    elements = [symbols(row) for row in rows]
    for weights, out in zip(matrix, applied(matrix, rows), strict=True):
        expected = bytes(
            slow_product(weights[0], a) ^ slow_product(weights[1], b) ^ slow_product(weights[2], c)
            for a, b, c in zip(*elements, strict=True)
        )
        assert symbols(out) == expected


@pytest.mark.parametrize(("k", "n"), [(2, 3), (3, 5), (5, 8), (8, 13), (16, 32)])
def test_the_code_is_that_of_zfec(k, n):
    rows = [random_row(8 * 5) for _ in range(k)]
    found = applied(field.interpolation(range(k), range(k, n)), rows)
    expected = zfec.Encoder(k, n).encode([symbols(row) for row in rows])[k:]
    assert [symbols(row) for row in found] == expected


def test_long_rows_are_done_in_blocks_to_the_same_end():
    matrix = field.interpolation(range(3), range(3, 5))
    rows = [random_row(8 * 200_003) for _ in range(3)]
    whole = applied(matrix, rows)
    for start in (0, 65_000, 199_990):
        part = [np.ascontiguousarray(row.reshape(8, -1)[:, start : start + 13]) for row in rows]
        found = applied(matrix, [one.reshape(-1) for one in part])
        for one, other in zip(found, whole, strict=True):
            assert (one.reshape(8, -1) == other.reshape(8, -1)[:, start : start + 13]).all()


def test_rows_that_are_missing_are_drawn_and_none_is_drawn_twice():
    drawn = []

    def draw(count: int) -> bytes:
        drawn.append(os.urandom(count))
        return drawn[-1]

    row, out = random_row(8 * 100_000), np.empty(8 * 100_000, np.uint8)
    field.apply(((1, 1),), [row], [out], draw)
    made = np.concatenate([np.frombuffer(d, np.uint8).reshape(8, -1) for d in drawn], axis=1)
    assert len(drawn) > 1
    assert (out == row ^ made.reshape(-1)).all()


def test_a_plan_shares_common_parts():
    matrix = tuple(field.powers(index, 3) for index in range(1, 6))
    plan = field.plan_of(matrix)
    plain = sum(
        field.multiply(constant, 1 << bit).bit_count()
        for row in matrix
        for constant in row
        for bit in range(8)
    )
    assert len(plan.steps) < 0.7 * plain
