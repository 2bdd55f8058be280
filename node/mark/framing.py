"""The frame around a payload, and its shards: any k of them give it back.

Format: docs/formats/mark-v1.md.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zfec

from node.mark.settings import TAG_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from node.mark.tiles import Grid

VERSION = 1
SHARES = 256
"""Shards that one GF(2^8) code can have; more tiles make more groups."""

TURNS = 64
"""How many choices of k shards are tried when some of them do not belong together."""

_HEAD = struct.Struct(">BBII")  # version, k - 1, payload length, voids
_GEOMETRY = struct.Struct(">IIIII")  # rows, columns, frame rows, tiles, shard length
_INDEX = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Frame:
    """What the tiles carry together.

    :param needed: k, how many tiles of each group give the frame back.
    :param voids: tiles that carry nothing, ascending.
    :param void_tag: keyed tag over their samples; empty without voids.
    """

    needed: int
    voids: tuple[int, ...]
    void_tag: bytes
    payload: bytes


def groups(count: int) -> int:
    """Return into how many codes so many tiles are dealt out."""
    return -(-count // SHARES)


def overhead(count: int, voids: int) -> int:
    """Return how many bytes a frame has beside its payload."""
    return _HEAD.size + TAG_BYTES + (-(-count // 8) + TAG_BYTES if voids else 0)


def needed(count: int, voids: int, length: int, size: int) -> int:
    """Return k: how many shards of ``size`` bytes a group needs for a payload of ``length``."""
    return -(-(length + overhead(count, voids)) // (size * groups(count)))


class Framer:
    """Frames payloads and tags tiles for one grid, shard length and key.

    :param key: 32 bytes.
    """

    def __init__(self, grid: Grid, size: int, key: bytes) -> None:
        self.grid = grid
        self.size = size
        self._key = key
        self._about = _GEOMETRY.pack(*grid.shape, grid.frame_rows, len(grid.tiles), size)
        self.count = len(grid.tiles)
        self.pools = [
            frozenset(range(group, self.count, groups(self.count)))
            for group in range(groups(self.count))
        ]

    def tag(self, index: int, shard: bytes, original: NDArray[np.int32]) -> bytes:
        """Return the tag of one tile: of its place, its shard and its original samples."""
        return self._mac(b"tile", _INDEX.pack(index), shard, serialise(original))

    def void_tag(self, samples: NDArray[np.int32], voids: Sequence[int]) -> bytes:
        """Return the one tag over all tiles that carry nothing; empty if there are none."""
        if not voids:
            return b""
        parts = (
            part
            for index in voids
            for part in (_INDEX.pack(index), serialise(self.grid.tiles[index].of(samples)))
        )
        return self._mac(b"void", *parts)

    def shards(self, frame: Frame) -> dict[int, bytes]:
        """Return the shard of every tile that is not void."""
        return self._cut(self._pack(frame), frame.needed, frame.voids)

    def join(self, shards: Mapping[int, bytes]) -> tuple[Frame, frozenset[int]] | None:
        """Put the frame together; None if too few shards belong to it.

        :returns: the frame, and the tiles whose shards are not of this frame,
            though their own tags are good: tiles of another image.
        """
        pools = [sorted(pool & shards.keys()) for pool in self.pools]
        most = min(len(pool) for pool in pools)
        for needed, turns in self._trials(shards, most):
            for turn in range(0, most, max(1, most // turns)):
                packed = self._decode(shards, pools, needed, turn)
                frame = self._unpack(packed, needed)
                if frame is not None:
                    right = self._cut(packed, needed, frame.voids)
                    strange = (i for i, shard in shards.items() if right.get(i) != shard)
                    return frame, frozenset(strange)
        return None

    def _trials(self, shards: Mapping[int, bytes], most: int) -> Iterator[tuple[int, int]]:
        """Yield each k worth trying, with how many choices of shards to try it on."""
        first = shards.get(0)  # the code is systematic: shard 0 starts with the frame's head
        if first is not None and first[0] == VERSION and first[1] < most:
            yield first[1] + 1, TURNS
        for needed in range(1, most + 1):
            yield needed, 4

    def _decode(
        self, shards: Mapping[int, bytes], pools: list[list[int]], needed: int, turn: int
    ) -> bytes:
        parts = []
        for group, pool in enumerate(pools):
            at = turn % len(pool)
            chosen = sorted([*pool[at:], *pool[:at]][:needed])
            decoder = zfec.Decoder(needed, len(self.pools[group]))
            ids = [index // len(pools) for index in chosen]
            parts += decoder.decode([shards[index] for index in chosen], ids)
        return b"".join(parts)

    def _cut(self, packed: bytes, needed: int, voids: Sequence[int]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for group, pool in enumerate(self.pools):
            start = group * needed * self.size
            blocks = [
                packed[start + i * self.size : start + (i + 1) * self.size] for i in range(needed)
            ]
            live = sorted(pool.difference(voids))
            ids = [index // len(self.pools) for index in live]
            encoder = zfec.Encoder(needed, len(pool))
            found.update(zip(live, encoder.encode(blocks, ids), strict=True))
        return found

    def _pack(self, frame: Frame) -> bytes:
        head = _HEAD.pack(VERSION, frame.needed - 1, len(frame.payload), len(frame.voids))
        holes = b""
        if frame.voids:
            bits = sum(1 << index for index in frame.voids)
            holes = bits.to_bytes(-(-self.count // 8), "little") + frame.void_tag
        body = head + holes + frame.payload
        packed = body + self._mac(b"frame", body)
        return packed.ljust(frame.needed * len(self.pools) * self.size, b"\0")

    def _unpack(self, packed: bytes, needed: int) -> Frame | None:
        """Read a frame strictly; None if it is not exactly what ``_pack`` makes."""
        if len(packed) < _HEAD.size:
            return None
        version, less, length, count = _HEAD.unpack_from(packed)
        if version != VERSION or less + 1 != needed or count >= max(self.count, 1):
            return None
        rest = packed[_HEAD.size :]
        voids: tuple[int, ...] = ()
        tag = b""
        if count:
            width = -(-self.count // 8)
            bits = int.from_bytes(rest[:width], "little")
            voids = tuple(i for i in range(8 * width) if bits >> i & 1)
            tag = rest[width : width + TAG_BYTES]
            rest = rest[width + TAG_BYTES :]
        frame = Frame(needed, voids, tag, rest[:length])
        return frame if hmac.compare_digest(self._pack(frame), packed) else None

    def _mac(self, label: bytes, *parts: bytes) -> bytes:
        """HMAC-SHA256, cut to 8 bytes; each label has one layout of parts."""
        message = b"".join((b"tiles-1 ", label, b"\0", self._about, *parts))
        return hmac.digest(self._key, message, hashlib.sha256)[:TAG_BYTES]


def serialise(samples: NDArray[np.int32]) -> bytes:
    """Return a letter for the width and the samples, little endian, in the least width."""
    least, most = int(samples.min()), int(samples.max())
    if least >= -(1 << 15) and most < 1 << 15:
        return b"h" + samples.astype("<i2").tobytes()
    if least >= 0 and most < 1 << 16:
        return b"H" + samples.astype("<u2").tobytes()
    return b"i" + samples.astype("<i4").tobytes()
