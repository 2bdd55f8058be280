"""The frame around a payload, and its shards: any k of them give it back.

Format: docs/formats/mark-v1.md, sections 7 and 8.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zfec

from node.mark.settings import TAG_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from node.mark.digests import Digests
    from node.mark.tiles import Grid

VERSION = 1
SHARES = 256
"""Shards that one GF(2^8) code can have; more tiles make more groups."""

TURNS = 64
"""Choices of k shards that are tried, as some may not belong together; fewer if k is guessed."""

GUESSES = 4

_HEAD = struct.Struct(">BBI")  # version, k - 1, then flag and length in one
_VOIDS = 1 << 31
_GEOMETRY = struct.Struct(">IIIII")  # rows, columns, frame rows, tiles, shard length
_INDEX = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What formats that share frames, tiles and tags differ in.

    :param name: the wire name, ASCII; begins every text that is authenticated.
    :param place: how tile and header are packed in a tag.
    """

    name: bytes
    place: struct.Struct

    @property
    def digest(self) -> bytes:
        """The label of the digests."""
        return self.name + b" digest\0"


TILES_1 = Dialect(b"tiles-1", struct.Struct(">IH"))


@dataclass(frozen=True, slots=True)
class Frame:
    """What the tiles carry together.

    :param needed: k, how many tiles of each group give the frame back.
    :param voids: tiles that carry nothing, ascending.
    :param void_proof: one tag over all their samples, then a mark of one byte
        for each; empty without voids.
    """

    needed: int
    voids: tuple[int, ...]
    void_proof: bytes
    payload: bytes


def groups(count: int) -> int:
    """Return into how many codes so many tiles are dealt out."""
    return -(-count // SHARES)


def overhead(count: int, voids: int) -> int:
    """Return how many bytes a frame has beside its payload."""
    return _HEAD.size + TAG_BYTES + (-(-count // 8) + TAG_BYTES + voids if voids else 0)


def needed(count: int, voids: int, length: int, size: int) -> int:
    """Return k: how many shards of ``size`` bytes a group needs for a payload of ``length``."""
    return -(-(length + overhead(count, voids)) // (size * groups(count)))


class Framer:
    """Frames payloads and tags tiles for one grid, shard length and key.

    :param key: 32 bytes.
    """

    def __init__(self, grid: Grid, size: int, key: bytes, dialect: Dialect = TILES_1) -> None:
        self.grid = grid
        self._dialect = dialect
        self.size = size
        self._key = key
        self._about = _GEOMETRY.pack(*grid.shape, grid.frame_rows, len(grid.tiles), size)
        self.count = len(grid.tiles)
        #: Tiles by share: each group counts its shares from the middle of the image on.
        middle = grid.middle()
        order = [(middle + place) % self.count for place in range(self.count)]
        self._pools = [order[group :: groups(self.count)] for group in range(groups(self.count))]

    def tags(self, tiles: Iterable[tuple[int, int, bytes]], originals: Digests) -> Iterator[bytes]:
        """Yield the tag of each tile: of its place, header, shard and original samples.

        :param tiles: place, header and shard of each.
        """
        start, place, digest = self._start(b"tile"), self._dialect.place.pack, originals.of
        for index, header, shard in tiles:
            yield self._digest(b"".join((start, place(index, header), shard, digest(index))))

    def void_proof(self, samples: Digests, voids: Sequence[int]) -> bytes:
        """Return what proves the tiles that carry nothing; empty if there are none."""
        if not voids:
            return b""
        parts = [_INDEX.pack(index) + samples.of(index) for index in voids]
        marks = (self._mac(b"void", part)[:1] for part in parts)
        return self._mac(b"voids", *parts) + b"".join(marks)

    def doubted(self, samples: Digests, frame: Frame) -> tuple[frozenset[int], bool]:
        """Return the void tiles that changed, and whether some changed that cannot be named.

        A changed tile hides behind its mark with a chance of one in 256; that
        something changed shows in any case.
        """
        proof = self.void_proof(samples, frame.voids)
        if proof[:TAG_BYTES] == frame.void_proof[:TAG_BYTES]:
            return frozenset(), False
        marks = zip(frame.voids, proof[TAG_BYTES:], frame.void_proof[TAG_BYTES:], strict=True)
        named = frozenset(index for index, now, then in marks if now != then)
        return named, not named

    def losable(self, voids: AbstractSet[int], k: int, spare: int) -> int:
        """Return the most tiles that may become void too; less than 0 if too many are.

        :param k: how many each group needs.
        :param spare: live tiles in a thousand that a reader may lose, even then.
        """
        least = -(-1000 * k // (1000 - spare))
        left = [sum(index not in voids for index in pool) - least for pool in self._pools]
        return sum(left) if min(left) >= 0 else -1

    def shards(self, frame: Frame) -> dict[int, bytes]:
        """Return the shard of every tile that is not void."""
        return self._cut(self._pack(frame), frame.needed, frame.voids)

    def join(self, shards: Mapping[int, bytes]) -> tuple[Frame, frozenset[int]] | None:
        """Put the frame together; None if too few shards belong to it.

        :returns: the frame, and the tiles whose shards are not of this frame,
            though their own tags are good: tiles of another image.
        """
        for needed, turn in self._trials(shards):
            packed = self._decode(shards, needed, turn)
            frame = self._unpack(packed, needed)
            if frame is not None:
                right = self._cut(packed, needed, frame.voids)
                return frame, frozenset(i for i, shard in shards.items() if right.get(i) != shard)
        return None

    def _trials(self, shards: Mapping[int, bytes]) -> Iterator[tuple[int, int]]:
        """Yield each k worth trying, and at which of the shards at hand to begin."""
        most = min(sum(1 for index in pool if index in shards) for pool in self._pools)
        # The code is systematic: the first share begins with the head of the frame.
        first = shards.get(self._pools[0][0])
        if first is not None and first[0] == VERSION and first[1] < most:
            for turn in range(0, most, max(1, most // TURNS)):
                yield first[1] + 1, turn
        for turn in range(0, most, max(1, most // GUESSES)):
            for needed in range(1, most + 1):
                yield needed, turn

    def _decode(self, shards: Mapping[int, bytes], needed: int, turn: int) -> bytes:
        """Return the frame if it has this k; empty if it shows at once that it has not."""
        parts: list[bytes] = []
        for pool in self._pools:
            shares = [share for share, index in enumerate(pool) if index in shards]
            chosen = sorted([*shares[turn:], *shares[:turn]][:needed])
            decoder = zfec.Decoder(needed, len(pool))
            parts += decoder.decode([shards[pool[share]] for share in chosen], chosen)
            if parts[0][0] != VERSION or parts[0][1] != needed - 1:
                return b""
        return b"".join(parts)

    def _cut(self, packed: bytes, needed: int, voids: Sequence[int]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for group, pool in enumerate(self._pools):
            start = group * needed * self.size
            blocks = [
                packed[start + i * self.size : start + (i + 1) * self.size] for i in range(needed)
            ]
            shares = [share for share, index in enumerate(pool) if index not in voids]
            encoder = zfec.Encoder(needed, len(pool))
            live = (pool[share] for share in shares)
            found.update(zip(live, encoder.encode(blocks, shares), strict=True))
        return found

    def _pack(self, frame: Frame) -> bytes:
        body = _HEAD.pack(
            VERSION, frame.needed - 1, len(frame.payload) | (_VOIDS if frame.voids else 0)
        )
        if frame.voids:
            bits = sum(1 << index for index in frame.voids)
            body += bits.to_bytes(-(-self.count // 8), "little") + frame.void_proof
        body += frame.payload
        packed = body + self._mac(b"frame", body)
        return packed.ljust(frame.needed * len(self._pools) * self.size, b"\0")

    def _unpack(self, packed: bytes, needed: int) -> Frame | None:
        """Read a frame strictly; None if it is not exactly what ``_pack`` makes."""
        if len(packed) < _HEAD.size:
            return None
        _, _, length = _HEAD.unpack_from(packed)
        rest = packed[_HEAD.size :]
        voids: tuple[int, ...] = ()
        proof = b""
        if length & _VOIDS:
            length ^= _VOIDS
            width = -(-self.count // 8)
            bits = int.from_bytes(rest[:width], "little")
            voids = tuple(index for index in range(self.count) if bits >> index & 1)
            proof = rest[width : width + TAG_BYTES + len(voids)]
            rest = rest[width + len(proof) :]
        frame = Frame(needed, voids, proof, rest[:length])
        return frame if hmac.compare_digest(self._pack(frame), packed) else None

    def _mac(self, label: bytes, *parts: bytes) -> bytes:
        """HMAC-SHA256, cut to 8 bytes; each label has one layout of parts."""
        return self._digest(b"".join((self._start(label), *parts)))

    def _start(self, label: bytes) -> bytes:
        return self._dialect.name + b" " + label + b"\0" + self._about

    def _digest(self, message: bytes) -> bytes:
        return hmac.digest(self._key, message, "sha256")[:TAG_BYTES]
