"""The search of the finer mark ends soon, also where models promise what does not fit."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest

from node.mark.fine.embedder import FineEmbedder
from node.mark.fine.kernel import FineKernel
from node.mark.fine.plain import PlainEngine
from node.types import Carrier

MOST = 250
"""Trials; a search once made 14,000 of such a picture."""


def counting(trials):
    """Return an embedder that notes every trial to write a tile."""
    kind = PlainEngine
    if find_spec("numba"):
        from node.mark.fine.fast import NumbaEngine as kind  # noqa: N813, PLC0415 - an extra

    class Counting(kind):
        def write(self, sheet, model, bits):
            trials.append(model)
            return super().write(sheet, model, bits)

    class Embedder(FineEmbedder):
        def _choose(self, _kernel):
            return partial(FineKernel, engine=engine)

    engine = Counting()
    return Embedder(whole=True)


@pytest.mark.parametrize("seed", range(3))
def test_in_flat_patches_with_edges_it_is_soon_known_how_much_fits(seed):
    patches = 2 * np.random.default_rng(seed).integers(0, 6, (20, 12))
    samples = np.kron(patches, np.ones((5, 7), np.int64)).astype(np.int32)
    carrier = Carrier(samples, np.int32([[0]]), np.int32([[4095]]), 100)
    trials = []
    assert counting(trials).capacity(carrier) > 0
    assert 0 < len(trials) < MOST
