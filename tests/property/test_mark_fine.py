"""The laws of the finer mark, on the carriers that the laws of the mark are tried on."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from property.test_mark import COMPILED, TILES, WHOLE, check_tiles, check_whole

from node.mark.fine.embedder import FineEmbedder
from node.mark.fine.kernel import FineKernel
from node.mark.fine.plain import PlainEngine

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=2_000)
WIDE = settings(QUICK, max_examples=300)


def kernels():
    engines = [PlainEngine()]
    if COMPILED:
        from node.mark.fine.fast import NumbaEngine  # noqa: PLC0415 - an extra that may be absent

        engines.append(NumbaEngine())
    return [partial(FineKernel, engine=engine) for engine in engines]


@QUICK
@given(*TILES)
def test_a_tile_gives_back_data_and_original_whatever_the_engine(carrier, cuts, amplitude, size):
    check_tiles(carrier, cuts, amplitude, size, kernels)


@pytest.mark.slow
@LONG
@given(*TILES)
def test_two_thousand_tiles_give_back_data_and_original(carrier, cuts, amplitude, size):
    check_tiles(carrier, cuts, amplitude, size, kernels)


@QUICK
@given(*WHOLE)
def test_a_carrier_gives_back_payload_and_original(carrier, length, seed):
    check_whole(carrier, length, seed, FineEmbedder(amplitude=2))


@pytest.mark.slow
@WIDE
@given(*WHOLE)
def test_three_hundred_carriers_give_back_payload_and_original(carrier, length, seed):
    check_whole(carrier, length, seed, FineEmbedder(whole=True))
