"""The laws of the finer mark, on the carriers that the laws of the mark are tried on."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from property.test_mark import TILES, check_tiles

from node.mark.fine.kernel import FineKernel
from node.mark.fine.plain import PlainEngine

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=200)


def kernels():
    return [partial(FineKernel, engine=PlainEngine())]


@QUICK
@given(*TILES)
def test_a_tile_gives_back_data_and_original(carrier, cuts, amplitude, size):
    check_tiles(carrier, cuts, amplitude, size, kernels)


@pytest.mark.slow
@LONG
@given(*TILES)
def test_two_hundred_tiles_give_back_data_and_original(carrier, cuts, amplitude, size):
    check_tiles(carrier, cuts, amplitude, size, kernels)
