"""The baselines that the mark is measured beside give payload and picture back, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from bench.baselines import ni, planes, sachnev
from bench.baselines.container import NoRoomError

PAYLOAD = bytes(range(40))


def smooth(seed=0, low=40, high=220):
    """A picture with flat and with busy parts, so that every method has room."""
    down, right = np.mgrid[0:96, 0:128]
    values = 128 + 60 * np.sin(down / 25) + 50 * np.cos(right / 30)
    values[:48] += np.random.default_rng(seed).normal(0, 1.5, (48, 128))
    return np.clip(np.rint(values), low, high).astype(np.uint8)


def full():
    """One that reaches both ends of the range, where moving overflows."""
    picture = smooth(low=0, high=255)
    picture[60:80, 20:60] = 255
    picture[60:80, 70:110] = 0
    picture[61:79:2, 21:110:2] ^= 1
    return picture


@pytest.mark.parametrize("method", [sachnev, ni, planes], ids=lambda method: method.NAME)
@pytest.mark.parametrize("picture", [smooth(), full()], ids=["smooth", "full"])
def test_a_baseline_gives_payload_and_picture_back(method, picture):
    marked = method.embed(picture, PAYLOAD)
    payload, restored = method.extract(marked)
    assert payload == PAYLOAD
    assert np.array_equal(restored, picture)
    assert not np.array_equal(marked, picture)


@pytest.mark.parametrize("method", [sachnev, ni, planes], ids=lambda method: method.NAME)
def test_a_baseline_says_when_there_is_no_room(method):
    noise = np.random.default_rng(1).integers(0, 256, (32, 32), np.uint8)
    with pytest.raises(NoRoomError):
        method.embed(noise, bytes(2000))


def test_the_rhombus_baseline_keeps_a_map_of_what_may_not_move():
    picture = np.zeros((64, 64), np.uint8)
    picture[::3, ::5] = 1
    picture[1::7, ::3] = 255
    marked = sachnev.embed(picture, b"ab")
    payload, restored = sachnev.extract(marked)
    assert payload == b"ab"
    assert np.array_equal(restored, picture)
