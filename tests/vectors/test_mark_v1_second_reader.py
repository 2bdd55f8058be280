"""A second reader of mark v1, written from docs/formats/mark-v1.md alone: plain and slow.

It shares no code with the product. Where the two disagree, the page is not exact.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import itertools

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM
from vectors.test_mark_v1 import FOUND, MARKED, UNMARKED, VECTORS

SLOPES = (0, 6, 12, 18, 24, 30, 36, 48, 60, 72, 96, 120, 144, 192, 240, 288)
OFFSETS = (0, 1, 2, 4)
GRADES = ((1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (4, 0), (6, 0), (8, 0))
GRIDS = ((0, 0), (1, 1), (0, 1), (1, 0))
WORDS = (
    {"0": "0", "1": "1"},
    {"00": "0", "01": "10", "1": "11"},
    {"000": "0", "1": "10", "01": "110", "001": "111"},
)


class NotThereError(Exception):
    pass


# Section 2


def parts(n, e):
    p = max(1, (n + e // 2) // e)
    return [(n * i // p, n * (i + 1) // p) for i in range(p)]


def grids(rows, columns, frame):
    big = rows * columns > 2097152
    piece = rows if frame * columns <= 16384 else frame
    found = []
    if rows * columns > 16384:
        found += [
            [
                (start + top, left, start + bottom, right)
                for start in range(0, rows, piece)
                for top, bottom in parts(piece, edge * edge // min(columns, edge))
                for left, right in parts(columns, edge * edge // min(piece, edge))
            ]
            for edge in ((64, 256) if not big else (128, 512))
        ]
    if not big:
        found.append([(0, 0, rows, columns)])
    return [grid for number, grid in enumerate(found) if grid not in found[:number]]


# Sections 3 and 4


def bounds(values, limits):
    rest = [v for v, (low, high) in zip(values, limits, strict=True) if low <= v <= high]
    if not rest:
        return [(1, 0)] * len(values)
    a, b = min(rest), max(rest)
    if rest.count(a) * 16 > len(rest):
        a = min([v for v in rest if v > a], default=2147483647)
    if rest.count(b) * 16 > len(rest):
        b = max([v for v in rest if v < b], default=-2147483648)
    ends = [(max(low, a + 1), min(high, b - 1)) for low, high in limits]
    return [(lo + lo % 2, hi - (1 - hi % 2)) for lo, hi in ends]


def mirror(at, size):
    return -at if at < 0 else 2 * (size - 1) - at if at >= size else at


class Tile:
    def __init__(self, values, columns, limits):
        self.x = values
        self.rows, self.columns = len(values) // columns, columns
        self.bounds = bounds(values, limits)
        movable = [i for i, v in enumerate(values) if self.bounds[i][0] <= v <= self.bounds[i][1]]
        if min(self.rows, columns) < 2 or len(movable) < 10:
            raise NotThereError
        self.spots = movable[-10:]
        self.free = set(movable[:-10])
        header = "".join(str(values[i] & 1) for i in self.spots)
        self.header = int(header, 2)
        self.slope, self.offset = SLOPES[self.header >> 6], OFFSETS[self.header >> 4 & 3]
        self.amplitude, self.mode = GRADES[self.header >> 1 & 7]
        for i in self.spots:
            self.x[i] &= ~1

    def look(self, row, column):
        def at(down, right):
            r, c = mirror(row + down, self.rows), mirror(column + right, self.columns)
            return self.x[r * self.columns + c]

        n, s, w, e = at(-1, 0), at(1, 0), at(0, -1), at(0, 1)
        nw, ne, sw, se = at(-1, -1), at(-1, 1), at(1, -1), at(1, 1)
        p = (n + s + w + e + 2) >> 2
        if self.header & 1:
            p = (2 * (n + s + w + e) - (nw + ne + sw + se) + 2) >> 2
        u = abs(nw - 2 * n + ne) + abs(sw - 2 * s + se)
        u += abs(nw - 2 * w + sw) + abs(ne - 2 * e + se)
        drop = max(0, u.bit_length() - 3)
        return p, u >> drop << drop

    def candidates(self, grid):
        found = []
        for row in range(GRIDS[grid][0], self.rows, 2):
            for column in range(GRIDS[grid][1], self.columns, 2):
                i = row * self.columns + column
                if i not in self.free:
                    continue
                p, c = self.look(row, column)
                t = (c * self.slope >> 8) + self.offset
                e = self.x[i] - p
                m = (e if e >= 0 else -1 - e) - t
                low, high = self.bounds[i]
                r = high - self.x[i] if e >= 0 else self.x[i] - low
                if t <= 63 and r + m >= 3 * self.amplitude - 1 and m >= 0:
                    found.append((c, i, 1 if e >= 0 else -1, m, r))
        return sorted(found, key=lambda one: one[0])

    # Sections 5 and 6

    def words(self, candidates):
        """Yield the bits of each word and the candidates visited so far."""
        symbols = ""
        for number, (_, _, _, m, _) in enumerate(candidates):
            if m < 2 * self.amplitude:
                symbols += str(m & 1)
                if symbols in WORDS[self.mode]:
                    yield WORDS[self.mode][symbols], number + 1
                    symbols = ""

    def unclear(self, candidates):
        a = self.amplitude
        return [i for _, i, _, m, r in candidates if m >= 2 * a and r < a]

    def read_grid(self, grid, quota):
        candidates = self.candidates(grid)
        bits, stop, due = "", 0, quota
        for word, visited in self.words(candidates):
            take = min(len(word), due - len(bits))
            if "1" in word[take:]:
                raise NotThereError
            bits += word[:take]
            stop = visited
            due = quota + len(self.unclear(candidates[:stop]))
            if len(bits) == due:
                break
        else:
            raise NotThereError
        visited = candidates[:stop]
        flags = dict(zip(self.unclear(visited), bits[quota:], strict=True))
        for _, i, side, m, _ in visited:
            back = (m + 1) >> 1 if m < 2 * self.amplitude else self.amplitude
            self.x[i] -= 0 if flags.get(i) == "1" else side * back
        return bits[:quota]

    def read(self):
        start = ""
        for word, _ in self.words(self.candidates(3)):
            start += word
            if len(start) >= 33:
                break
        if len(start) < 33:
            raise NotThereError
        code, lead = int(start[10:17], 2), 17
        size = code + 6 if code < 6 else (12 + (code - 6) % 12) << (code - 6) // 12
        known = [*range(6, 12), *((12 + i % 12) << i // 12 for i in range(121))]
        if code == 127:
            size, lead = int(start[17:33], 2), 33
            if size in known:
                raise NotThereError
        n = lead + 64 + 8 * size
        q4 = max(33, n - 3 * n // 4)
        q1 = (n - q4) // 3
        q2 = 2 * (n - q4) // 3 - q1
        quotas = (q1, q2, n - q4 - q1 - q2, q4)
        bits = "".join(self.read_grid(grid, quotas[grid]) for grid in (3, 2, 1, 0))
        for i, bit in zip(self.spots, bits[:10], strict=True):
            self.x[i] |= int(bit)
        data = int(bits[lead:], 2).to_bytes(8 + size, "big")
        return data[:8], data[8:]


def samples_of(values, key, name=b"tiles-1"):
    if all(-32768 <= v < 32768 for v in values):
        letter, words = b"h", [v.to_bytes(2, "little", signed=True) for v in values]
    elif all(0 <= v < 65536 for v in values):
        letter, words = b"H", [v.to_bytes(2, "little") for v in values]
    else:
        letter, words = b"i", [v.to_bytes(4, "little", signed=True) for v in values]
    digest_key = hmac.new(key, name + b" digest\0", hashlib.sha256).digest()
    gcm = Cipher(AES256(digest_key), GCM(bytes(12))).encryptor()
    gcm.authenticate_additional_data(b"".join(words))
    gcm.finalize()
    return letter + gcm.tag


# Section 7

POWERS = [1]
for _ in range(254):
    POWERS.append(POWERS[-1] * 2 ^ (0x11D if POWERS[-1] & 128 else 0))
LOGS = {value: power for power, value in enumerate(POWERS)}


def times(a, b):
    return POWERS[(LOGS[a] + LOGS[b]) % 255] if a and b else 0


def inverse(a):
    return POWERS[-LOGS[a] % 255]


def row_of(share, k):
    if share == 0:
        return [1] + [0] * (k - 1)
    return [POWERS[(share - 1) * power % 255] for power in range(k)]


def solve(matrix, sides):
    """Return X of matrix · X = sides over GF(2^8)."""
    work = [list(row) + list(side) for row, side in zip(matrix, sides, strict=True)]
    for column in range(len(work)):
        pivot = next(r for r in range(column, len(work)) if work[r][column])
        work[column], work[pivot] = work[pivot], work[column]
        factor = inverse(work[column][column])
        work[column] = [times(factor, value) for value in work[column]]
        for r in range(len(work)):
            if r != column and work[r][column]:
                factor = work[r][column]
                pairs = zip(work[r], work[column], strict=True)
                work[r] = [value ^ times(factor, other) for value, other in pairs]
    return [row[len(work) :] for row in work]


def apply(row, columns):
    return [
        functools.reduce(lambda sum_, pair: sum_ ^ times(*pair), zip(row, column, strict=True), 0)
        for column in columns
    ]


def blocks_of(shards, k):
    """Return the blocks from any k shares: W^-1 first, then the first k rows of W."""
    chosen = sorted(shards)[:k]
    inner = solve([row_of(share, k) for share in chosen], [list(shards[s]) for s in chosen])
    columns = list(zip(*inner, strict=True))
    return b"".join(bytes(apply(row_of(share, k), columns)) for share in range(k))


# Sections 8 and 9


class Reader:
    name = b"tiles-1"

    def __init__(self, vector):
        self.vector = vector
        self.marked = vector.arrays["marked"].tolist()
        self.rows, self.columns = len(self.marked), len(self.marked[0])
        self.frame_rows = int(vector.one("frame-rows"))
        self.padding = (
            tuple(map(int, vector.one("padding").split())) if ("padding" in vector.fields) else None
        )

    def limits(self, row, column):
        low, high = (
            int(self.vector.arrays[end][row, column])
            if end in self.vector.arrays
            else int(self.vector.one(end))
            for end in ("low", "high")
        )
        value = self.marked[row][column]
        if self.padding:
            first, last = self.padding
            if first <= value <= last:
                return 1, 0
            if value < first:
                high = min(high, first - 1)
            else:
                low = max(low, last + 1)
        return low, high

    def places(self, tile):
        top, left, bottom, right = tile
        return list(itertools.product(range(top, bottom), range(left, right)))

    def values(self, tile, image):
        return [image[row][column] for row, column in self.places(tile)]

    def mac(self, size, label, x):
        about = b"".join(
            n.to_bytes(4, "big")
            for n in (self.rows, self.columns, self.frame_rows, len(self.tiles), size)
        )
        text = self.name + b" " + label + b"\0" + about + x
        return hmac.new(self.vector.key, text, hashlib.sha256).digest()[:8]

    def prove(self, number):
        """Return shard and original of a tile."""
        tile = self.tiles[number]
        limits = [self.limits(*place) for place in self.places(tile)]
        one = Tile(self.values(tile, self.marked), tile[3] - tile[1], limits)
        tag, shard = one.read()
        place = number.to_bytes(4, "big") + one.header.to_bytes(2, "big")
        if tag != self.mac(len(shard), b"tile", place + shard + samples_of(one.x, self.vector.key)):
            raise NotThereError
        return shard, one.x

    def unpack(self, packed, k, size):
        count = len(self.tiles)
        if packed[:2] != bytes((1, k - 1)):
            return None
        length = int.from_bytes(packed[2:6], "big")
        voids, proof, at = [], b"", 6
        if length >> 31:
            length -= 1 << 31
            bitmap = packed[at : at + (count + 7) // 8]
            voids = [i for i in range(count) if bitmap[i // 8] >> i % 8 & 1]
            at += len(bitmap)
            proof = packed[at : at + 8 + len(voids)]
            at += len(proof)
        payload = packed[at : at + length]
        at += length
        good = packed[at : at + 8] == self.mac(size, b"frame", packed[:at])
        return (payload, voids, proof) if good and not any(packed[at + 8 :]) else None

    def read(self):
        for tiles in grids(self.rows, self.columns, self.frame_rows):
            self.tiles = tiles
            proved = {}
            for number in range(len(self.tiles)):
                try:
                    proved[number] = self.prove(number)
                except NotThereError:
                    continue
            if proved:
                return self.conclude(proved)
        raise NotThereError

    def conclude(self, proved):
        count = len(self.tiles)
        assert count <= 256  # one group is enough for these vectors
        size = len(next(iter(proved.values()))[0])
        middle = next(
            number
            for number, (top, left, bottom, right) in enumerate(self.tiles)
            if top <= self.rows // 2 < bottom and left <= self.columns // 2 < right
        )
        shards = {(i - middle) % count: shard for i, (shard, _) in proved.items()}
        frames = (self.unpack(blocks_of(shards, k), k, size) for k in range(1, len(shards) + 1))
        frame = next((frame for frame in frames if frame), None)
        image = [list(row) for row in self.marked]
        for number, (_, original) in proved.items():
            for (row, column), value in zip(self.places(self.tiles[number]), original, strict=True):
                image[row][column] = value
        altered = {i for i in range(count) if i not in proved}
        if frame is None:
            return None, image, sorted(altered), True
        payload, voids, proof = frame
        altered -= set(voids)
        parts_ = [
            i.to_bytes(4, "big")
            + samples_of(self.values(self.tiles[i], image), self.vector.key, self.name)
            for i in voids
        ]
        unplaced = False
        if voids and self.mac(size, b"voids", b"".join(parts_)) != proof[:8]:
            marks = [self.mac(size, b"void", part)[0] for part in parts_]
            named = {i for i, a, b in zip(voids, marks, proof[8:], strict=True) if a != b}
            altered |= named
            unplaced = not named
        return payload, image, sorted(altered), unplaced


@pytest.mark.parametrize("name", FOUND)
def test_a_reader_made_from_the_page_reads_the_same(name):
    vector = VECTORS[name]
    reader = Reader(vector)
    payload, image, altered, unplaced = reader.read()

    told = vector.one("payload")
    assert payload == (None if told == "lost" else bytes.fromhex(told))
    assert unplaced == (vector.one("unplaced") == "yes")
    assert len(reader.tiles) == int(vector.one("tiles"))
    lines = [vector.fields.get("altered", [])]
    regions = [[int(number) for number in line.split()[1:]] for line in lines[0]]
    assert [
        [top, left, bottom - top, right - left]
        for top, left, bottom, right in (reader.tiles[i] for i in altered)
    ] == regions
    if name in MARKED:
        assert image == vector.arrays["samples"].tolist()


@pytest.mark.parametrize("name", UNMARKED)
def test_a_reader_made_from_the_page_finds_no_mark_either(name):
    with pytest.raises(NotThereError):
        Reader(VECTORS[name]).read()
