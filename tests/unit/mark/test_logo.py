"""The logo: small, the same every time, and strict when it is read."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from node.errors import ConfigError, UnreadableError
from node.mark import logo


def png(size=(200, 120), mode="RGBA") -> bytes:
    picture = Image.new(mode, size)
    ImageDraw.Draw(picture).rectangle((size[0] // 3, 0, 2 * size[0] // 3, size[1]), fill="navy")
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def test_a_big_picture_becomes_a_small_bitmap_that_keeps_its_shape():
    ink = logo.decode(logo.pack(png()))

    assert ink.shape == (38, 64)
    assert ink[:, 30].all()
    assert not ink[:, 2].any()


def test_a_simple_logo_takes_less_than_200_bytes_and_always_the_same():
    assert logo.pack(png()) == logo.pack(png())
    assert len(logo.pack(png())) < 200


@given(arrays(np.bool_, st.tuples(st.integers(1, 64), st.integers(1, 64))))
def test_every_bitmap_comes_back(ink):
    assert np.array_equal(logo.decode(logo.encode(ink)), ink)


@given(st.binary(max_size=64))
def test_what_is_no_logo_is_refused_or_read_and_never_crashes(packed):
    try:
        ink = logo.decode(packed)
    except UnreadableError:
        return
    assert np.array_equal(logo.decode(logo.encode(ink)), ink)


@pytest.mark.parametrize("data", [b"", b"not a png", png()[:60]])
def test_what_is_no_png_is_a_mistake_of_the_configuration(data):
    with pytest.raises(ConfigError):
        logo.pack(data)


def test_a_picture_without_ink_is_a_mistake_of_the_configuration():
    out = BytesIO()
    Image.new("L", (20, 20), 255).save(out, "PNG")

    with pytest.raises(ConfigError):
        logo.pack(out.getvalue())


def test_it_can_be_looked_at():
    with Image.open(BytesIO(logo.unpack(logo.pack(png())))) as shown:
        assert shown.size == (256, 152)
