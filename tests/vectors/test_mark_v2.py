"""The published vectors of mark v2: what is read from them, and what our encoder writes."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from vectors.test_mark_v1 import load

from node.errors import UnmarkedError
from node.mark.embedder import TiledEmbedder
from node.mark.fine.embedder import FineEmbedder
from node.mark.fine.model import PRICES
from node.types import Region

FOLDER = Path(__file__).parent / "mark-v2"
KERNELS = ["numpy", "numba"] if find_spec("numba") else ["numpy"]
PRICE_LIST = FOLDER / "prices.txt"
VECTORS = {path.stem: load(path) for path in sorted(FOLDER.glob("*.txt")) if path != PRICE_LIST}
MARKED = [name for name, vector in VECTORS.items() if "samples" in vector.arrays]
FOUND = [name for name, vector in VECTORS.items() if vector.one("expect") == "found"]
UNMARKED = [name for name, vector in VECTORS.items() if vector.one("expect") == "unmarked"]


def test_the_vectors_are_all_there():
    assert len(MARKED) == 13
    assert len(FOUND) == 17
    assert len(UNMARKED) == 2


def test_prices_are_those_of_the_page():
    assert tuple(map(int, PRICE_LIST.read_text().split())) == PRICES


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", FOUND)
def test_a_vector_is_read_as_it_says(name, kernel):
    vector = VECTORS[name]
    found = FineEmbedder(kernel=kernel).extract(vector.carrier("marked"), vector.key)

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
        FineEmbedder(kernel=kernel).extract(vector.carrier("marked"), vector.key)


@pytest.mark.parametrize("name", FOUND)
def test_the_older_reader_takes_it_for_unmarked(name):
    vector = VECTORS[name]
    with pytest.raises(UnmarkedError):
        TiledEmbedder().extract(vector.carrier("marked"), vector.key)


@pytest.mark.parametrize("kernel", KERNELS[-1:])
@pytest.mark.parametrize("name", MARKED)
def test_our_encoder_writes_the_vector(name, kernel):
    vector = VECTORS[name]
    clean = vector.carrier("samples")
    embedder = FineEmbedder(
        kernel=kernel, amplitude=int(vector.one("amplitude")), whole=name == "whole"
    )
    marked = embedder.embed(clean, bytes.fromhex(vector.one("payload")), vector.key)

    assert np.array_equal(marked, vector.arrays["marked"])
    assert abs(marked - clean.samples).max() == int(vector.one("change"))
