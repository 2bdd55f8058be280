"""The published vectors of mark v1: what is read from them, and what our encoder writes."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from node.errors import UnmarkedError
from node.mark.embedder import TiledEmbedder
from node.types import Carrier, Region

FOLDER = Path(__file__).parent / "mark-v1"
KERNELS = ["numpy", "numba"] if find_spec("numba") else ["numpy"]


@dataclass(frozen=True)
class Vector:
    fields: dict[str, list[str]]
    arrays: dict[str, np.ndarray]

    def one(self, name: str) -> str:
        (value,) = self.fields[name]
        return value

    @property
    def key(self) -> bytes:
        return bytes.fromhex(self.one("key"))

    def carrier(self, name: str) -> Carrier:
        padding = None
        if "padding" in self.fields:
            first, last = self.one("padding").split()
            padding = (int(first), int(last))
        bounds = (
            self.arrays[end] if end in self.arrays else np.array([[int(self.one(end))]], np.int32)
            for end in ("low", "high")
        )
        return Carrier(self.arrays[name], *bounds, int(self.one("frame-rows")), padding)


def load(path: Path) -> Vector:
    head, *sections = path.read_text(encoding="ascii").split("\n[")
    fields: dict[str, list[str]] = {}
    for line in head.splitlines():
        name, value = line.split(": ", 1)
        fields.setdefault(name, []).append(value)
    shape = int(fields["rows"][0]), int(fields["columns"][0])
    arrays = {}
    for section in sections:
        title, body = section.split("]\n", 1)
        name, _, coding = title.partition(": ")
        if coding:
            flat = np.frombuffer(zlib.decompress(base64.b64decode(body)), "<i4")
        else:
            flat = np.array(body.split(), np.int32)
        arrays[name] = flat.reshape(shape).astype(np.int32)
    return Vector(fields, arrays)


VECTORS = {path.stem: load(path) for path in sorted(FOLDER.glob("*.txt"))}
MARKED = [name for name, vector in VECTORS.items() if "samples" in vector.arrays]
FOUND = [name for name, vector in VECTORS.items() if vector.one("expect") == "found"]
UNMARKED = [name for name, vector in VECTORS.items() if vector.one("expect") == "unmarked"]


def test_the_vectors_are_all_there():
    assert len(MARKED) == 12
    assert len(FOUND) == 16
    assert len(UNMARKED) == 2


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", FOUND)
def test_a_vector_is_read_as_it_says(name, kernel):
    vector = VECTORS[name]
    found = TiledEmbedder(kernel=kernel).extract(vector.carrier("marked"), vector.key)

    told = vector.one("payload")
    assert found.payload == (None if told == "lost" else bytes.fromhex(told))
    assert found.tiles == int(vector.one("tiles"))
    assert found.unplaced == (vector.one("unplaced") == "yes")
    regions = tuple(Region(*map(int, line.split())) for line in vector.fields.get("altered", []))
    assert found.altered == regions
    if name in MARKED:
        assert np.array_equal(found.samples, vector.arrays["samples"])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", UNMARKED)
def test_a_vector_without_a_mark_under_its_key_is_unmarked(name, kernel):
    vector = VECTORS[name]
    with pytest.raises(UnmarkedError):
        TiledEmbedder(kernel=kernel).extract(vector.carrier("marked"), vector.key)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", MARKED)
def test_our_encoder_writes_the_vector(name, kernel):
    vector = VECTORS[name]
    clean = vector.carrier("samples")
    embedder = TiledEmbedder(kernel=kernel, amplitude=int(vector.one("amplitude")))
    marked = embedder.embed(clean, bytes.fromhex(vector.one("payload")), vector.key)

    assert np.array_equal(marked, vector.arrays["marked"])
    assert abs(marked - clean.samples).max() == int(vector.one("change"))


@pytest.mark.parametrize("name", MARKED)
def test_one_bit_of_the_key_decides(name):
    vector = VECTORS[name]
    key = bytes([vector.key[0] ^ 1]) + vector.key[1:]
    with pytest.raises(UnmarkedError):
        TiledEmbedder().extract(vector.carrier("marked"), key)


def test_a_vector_that_is_read_twice_is_read_alike():
    vector = VECTORS["grid"]
    again = replace(vector.carrier("marked"), samples=vector.arrays["marked"].copy())
    first = TiledEmbedder().extract(vector.carrier("marked"), vector.key)
    second = TiledEmbedder().extract(again, vector.key)
    assert first.payload == second.payload
