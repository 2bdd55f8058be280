"""A picture at other sizes: without new extremes, as darkest and brightest places say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from node.mark.pattern import FINEST, half_edge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.mark.pattern import Floats

RATIOS = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 4 / 3, 3 / 2, 2, 3, 4)
"""By which people resize whole pictures."""

USUAL = (256, 320, 384, 512, 640, 768, 1024, 2048)
"""Samples along the shorter side of many images."""

SIZES = len(RATIOS) + len(USUAL)
SHORTEST, LONGEST = 64, 4096


def resized(
    picture: Floats, shape: tuple[int, int], part: tuple[float, float] | None = None
) -> Floats:
    """Return the picture at another size; what overshoots beside edges is cut off.

    :param shape: rows, columns.
    :param part: rows and columns of the picture to take, from its first on; all without.
    """
    rows, columns = part or picture.shape
    image = Image.fromarray(picture.astype(np.float32))
    image = image.resize(shape[::-1], Image.Resampling.LANCZOS, box=(0, 0, columns, rows))
    return np.asarray(image, np.float64).clip(picture.min(), picture.max())


def guesses(picture: Floats) -> Iterator[tuple[float, Floats]]:
    """Yield the picture as if it had been marked whole at another size: (edge of a cell, picture).

    The edge is in pixels of the picture; in what is yielded it is twice ``FINEST``.
    """
    side = min(picture.shape)
    for other in dict.fromkeys([*(round(side * ratio) for ratio in RATIOS), *USUAL]):
        if other == side or not SHORTEST <= other <= LONGEST:
            continue
        cell = 2 * half_edge(other, other)
        edge = cell * side / other
        rows, columns = (round(length * other / side) // cell for length in picture.shape)
        part = min(rows * edge, picture.shape[0]), min(columns * edge, picture.shape[1])
        yield edge, resized(picture, (rows * 2 * FINEST, columns * 2 * FINEST), part)
