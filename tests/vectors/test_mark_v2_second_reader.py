"""A second reader of mark v2, written from docs/formats/mark-v2.md: plain and slow.

What mark-v2 takes from mark-v1 it takes from the second reader of that. It does not write what it
read again, as a reader must: the vectors do not need that.
"""

from __future__ import annotations

import functools
from itertools import product

import pytest
from vectors.test_mark_v1_second_reader import GRIDS, NotThereError, Reader, bounds, samples_of
from vectors.test_mark_v2 import FOUND, MARKED, PRICE_LIST, UNMARKED, VECTORS

AMPLITUDES = (1, 2, 3, 4, 6, 8)
SHAPES = ((11, 6), (3, 2), (5, 3), (31, 16))
SLOPES = (0, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
PREDICTORS = (
    (8, 8, 0, 0, 0), (12, 12, -8, 0, 0), (15, 15, -12, -1, -1), (17, 17, -18, 0, 0),
    (8, 16, -8, 0, 0), (16, 8, -8, 0, 0), (9, 13, -2, -1, -3), (13, 9, -2, -3, -1),
    (0, 16, 6, 0, -6), (16, 0, 6, -6, 0), (3, 19, -3, -1, -2), (19, 3, -3, -2, -1),
    (3, 7, 12, -3, -3), (7, 3, 12, -3, -3), (-8, 18, 9, 0, -3), (18, -8, 9, -3, 0),
)  # fmt: skip
PRICES = [int(word) for word in PRICE_LIST.read_text().split()]
FIELDS = {True: ((3, 3, 1, 5, 3, 5, 5, 16), (1, 1, 1, 1, 2, 8)),
          False: ((3, 4, 2, 5, 4, 8, 8, 16), (1, 1, 1, 1, 1, 1))}  # fmt: skip
MODEL = (3, 4, 2, 5, 4, 8)
NEAR = [
    (r, c) for r, c in product(range(-3, 4), repeat=2) if abs(r) + abs(c) <= 4 and (r % 2 or c % 2)
]
PAIRS = [(p, q) for p in NEAR for q in ((p[0], p[1] + 1), (p[0] + 1, p[1])) if q in NEAR]


def clear(number):
    """All but the three highest bits cleared."""
    drop = max(0, number.bit_length() - 3)
    return number >> drop << drop


@functools.cache
def chain(a, w, shape, price, s):
    """Section 4: move and come of the distances s, s + 4a, and so on, and which are crowded."""
    f, p = SHAPES[shape]
    weights = []
    for k in range(64):
        t = s + 4 * a * k
        v = (f * w * w << 30) // (f * w * w + (16 * t) ** 2)
        weight = v
        for _ in range(p - 1):
            weight = weight * v >> 30
        weights.append(weight)
    g = [65536]
    for _ in range(64):
        g.append(g[-1] * PRICES[price] >> 16)
    blocks = []
    for weight in weights:
        block = (weight, 1, weight)
        while blocks and block[2] < blocks[-1][2] * g[blocks[-1][1]] >> 16:
            mass, length = block[0] + blocks[-1][0], block[1] + blocks[-1][1]
            blocks.pop()
            block = (mass, length, (mass << 16) // sum(g[:length]))
        blocks.append(block)
    flat = [first * g[i] >> 16 for _, length, first in blocks for i in range(length)]
    found, gone, moved = [], 0, 0
    for k, weight in enumerate(weights):
        ahead = min(max(sum(weights[: k + 1]) - sum(flat[: k + 1]), 0), weight) if k < 63 else 0
        move = (ahead << 12) // max(weight, 1)
        move = 0 if move < 4 else move
        leaves = weight * move >> 12
        come = (gone << 12) // max(weight - leaves + gone, 1)
        come = min(max(come, 4), 4092) if k and moved else 0
        found.append((move, come, come >= 2048 and 64 * weight >= sum(weights)))
        gone, moved = leaves, move
    return found


class Tile:
    def __init__(self, values, columns, limits):
        self.x, self.rows, self.columns = values, len(values) // columns, columns
        self.bounds = bounds(values, limits)
        widths, steps = FIELDS[len(values) <= 16384]
        movable = [i for i, v in enumerate(values) if self.bounds[i][0] <= v <= self.bounds[i][1]]
        if min(self.rows, columns) < 2 or len(movable) < sum(widths):
            raise NotThereError
        self.spots = movable[-sum(widths) :]
        self.free = set(movable) - set(self.spots)
        text = "".join(str(values[i] & 1) for i in self.spots)
        parts = []
        for width in widths:
            parts.append(int(text[:width], 2))
            text = text[width:]
        if parts[0] > 5:
            raise NotThereError
        self.model = [part * step for part, step in zip(parts, steps, strict=False)]
        self.units, self.stop, self.state = 1 << widths[6], parts[6], 65536 + parts[7]
        for i in self.spots:
            self.x[i] &= ~1

    @property
    def header(self):
        number = 0
        for part, width in zip(self.model, MODEL, strict=True):
            number = number << width | part
        return number

    def mirrored(self, at, size):
        while not 0 <= at < size:
            at = -at if at < 0 else 2 * (size - 1) - at
        return at

    def look(self, row, column):
        """Return the prediction in quarters and the width."""

        def at(r, c):
            line = self.mirrored(row + r, self.rows)
            return self.x[line * self.columns + self.mirrored(column + c, self.columns)]

        grade, predictor, _, base, slope, _ = self.model
        a, b, c, d, e = PREDICTORS[predictor]
        q = 2 * a * (at(-1, 0) + at(1, 0)) + 2 * b * (at(0, -1) + at(0, 1)) + 8
        q += c * sum(at(*p) for p in product((-1, 1), (-1, 1)))
        q += d * sum(at(*p) for p in product((-2, 2), (-1, 1)))
        q += e * sum(at(*p) for p in product((-1, 1), (-2, 2)))
        u = sum(abs(at(*p) - at(*o)) for p, o in PAIRS)
        first = (4 + base % 4) << (base // 4 + 1)
        return q >> 4, clear(AMPLITUDES[grade] * first + (clear(u) * SLOPES[slope] >> 8))

    def take(self, p):
        y = self.state % 4096
        yes = y < p
        self.state = (p if yes else 4096 - p) * (self.state >> 12) + y - (0 if yes else p)
        while self.state < 65536:
            if not self.stack:
                raise NotThereError
            self.state = 2 * self.state + self.stack.pop()
        return yes

    def put(self, p, *, yes):
        q, z = (p, 0) if yes else (4096 - p, p)
        while self.state >= q << 5:
            self.stack.append(self.state & 1)
            self.state >>= 1
        self.state = (self.state // q << 12) + z + self.state % q

    def undo(self, row, column):
        i = row * self.columns + column
        if i not in self.free:
            return
        a, (low, high) = AMPLITUDES[self.model[0]], self.bounds[i]
        q, w = self.look(row, column)
        e = 4 * self.x[i] - q
        t, side = abs(e), 1 if e >= 0 else -1
        room = high - self.x[i] if e >= 0 else self.x[i] - low
        if w > 1024 * a or t >= 256 * a:
            return
        links = chain(a, w, self.model[2], self.model[5], t % (4 * a))
        k = t // (4 * a)
        if k + room // a < 64 and links[k + room // a][2]:
            return
        came = links[k][1] > 0 and self.take(links[k][1])
        move = links[k - 1][0] if came else links[k][0] if room >= a else 0
        if 0 < move < 4096:
            self.put(move, yes=came)
        self.x[i] -= side * a * came

    def read(self):
        self.stack = []
        visits = [(grid, row) for grid in GRIDS for row in range(grid[0], self.rows, 2)]
        unit = -(-2 * self.rows // self.units)
        for grid, row in reversed(visits[: (self.stop + 1) * unit]):
            for column in reversed(range(grid[1], self.columns, 2)):
                self.undo(row, column)
        bits = f"{self.state - 65536:016b}" + "".join(map(str, reversed(self.stack)))
        for i, bit in zip(self.spots, bits, strict=False):
            self.x[i] |= int(bit)
        bits = bits[len(self.spots) :]
        if len(bits) < 23:
            raise NotThereError
        code, lead = int(bits[:7], 2), 7
        size = code + 6 if code < 6 else (12 + (code - 6) % 12) << (code - 6) // 12
        known = [*range(6, 12), *((12 + i % 12) << i // 12 for i in range(121))]
        if code == 127:
            size, lead = int(bits[7:23], 2), 23
        end = lead + 64 + 8 * size
        if (code == 127 and size in known) or len(bits) < end or "1" in bits[end:]:
            raise NotThereError
        data = int(bits[lead:end], 2).to_bytes(8 + size, "big")
        return data[:8], data[8:]


class FineReader(Reader):
    name = b"tiles-2"

    def prove(self, number):
        tile = self.tiles[number]
        limits = [self.limits(*place) for place in self.places(tile)]
        one = Tile(self.values(tile, self.marked), tile[3] - tile[1], limits)
        tag, shard = one.read()
        told = number.to_bytes(4, "big") + one.header.to_bytes(4, "big") + shard
        told += samples_of(one.x, self.vector.key, self.name)
        if tag != self.mac(len(shard), b"tile", told):
            raise NotThereError
        return shard, one.x


@pytest.mark.parametrize("name", FOUND)
def test_a_reader_made_from_the_page_reads_the_same(name):
    vector = VECTORS[name]
    reader = FineReader(vector)
    payload, image, altered, unplaced = reader.read()

    told = vector.one("payload")
    assert payload == (None if told == "lost" else bytes.fromhex(told))
    assert unplaced == (vector.one("unplaced") == "yes")
    assert len(reader.tiles) == int(vector.one("tiles"))
    assert len(altered) == len(vector.fields.get("altered", []))
    if name in MARKED:
        assert image == vector.arrays["samples"].tolist()


@pytest.mark.parametrize("name", UNMARKED)
def test_a_reader_made_from_the_page_finds_no_mark_either(name):
    with pytest.raises(NotThereError):
        FineReader(VECTORS[name]).read()
