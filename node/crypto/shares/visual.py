"""The field's two visual schemes: shares that are pictures, for people and for comparison.

``vc22``: (2,2) visual cryptography with 2x2 pixels in six states (Naor and
Shamir 1994). One picture says nothing; both, laid over each other, show the
image to the eye.

``keymatrix``: each pixel goes to one of n pictures, as a random matrix says,
and is white (255) in the others. SECURITY: this protects nothing: each picture
shows one n-th of the pixels in clear. It is here since others use it.

Source: docs/formats/share-v1.md, section 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.errors import DamagedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Random = Callable[[int], bytes]
    Bits = NDArray[np.bool_]
    Pixels = NDArray[np.uint8]

WHITE = 255
MAX_PICTURES = 32

# Which two of the four subpixels are black: upper left and right, lower left and right.
STATES = ((1, 1, 0, 0), (0, 0, 1, 1), (1, 0, 1, 0), (0, 1, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0))
_SIDE = 2


def split_visual(black: Bits, random: Random) -> tuple[Bits, Bits]:
    """Return two pictures, each twice as high and wide, of which each alone is random.

    A white pixel has the same state in both, a black one complementary states.

    :param black: shape (rows, columns), True where the image is black.
    """
    rows, columns = black.shape
    states = np.array(STATES, np.bool_)[uniform(rows * columns, len(STATES), random)]
    first = states.reshape(rows, columns, _SIDE, _SIDE)
    second = first ^ black[:, :, None, None]
    return _woven(first), _woven(second)


def overlay(first: Bits, second: Bits) -> Bits:
    """Return what the eye sees when one lies on the other: black where either is."""
    _check_same([first, second])
    return first | second


def join_visual(first: Bits, second: Bits) -> Bits:
    """Return the image, exactly: XOR tells black from white.

    :raises DamagedError: they are no two pictures of one image.
    """
    _check_same([first, second])
    rows, columns = first.shape
    if rows % _SIDE or columns % _SIDE:
        raise DamagedError("a picture of odd size is no visual share")
    pair = [one.reshape(rows // _SIDE, _SIDE, columns // _SIDE, _SIDE) for one in (first, second)]
    differ = (pair[0] ^ pair[1]).sum(axis=(1, 3))
    halves = all((one.sum(axis=(1, 3)) == _SIDE).all() for one in pair)
    if not halves or not np.isin(differ, (0, _SIDE * _SIDE)).all():
        raise DamagedError("the two pictures do not belong together, or were changed")
    black: Bits = np.greater(differ, 0)
    return black


def split_pixels(image: Pixels, n: int, random: Random) -> list[Pixels]:
    """Return n pictures, each with its random share of the pixels, white elsewhere.

    :param image: uint8, shape (rows, columns) or (rows, columns, 3).
    :raises UsageError: ``n`` is not 2 to 32.
    """
    if not 2 <= n <= MAX_PICTURES:  # noqa: PLR2004 - one picture would be the image
        raise UsageError(f"n must be 2 to {MAX_PICTURES}, not {n}")
    rows, columns = image.shape[:2]
    matrix = uniform(rows * columns, n, random).reshape(rows, columns)
    shares = []
    for number in range(n):
        share = np.full_like(image, WHITE)
        here = matrix == number
        share[here] = image[here]
        shares.append(share)
    return shares


def join_pixels(shares: Sequence[Pixels]) -> Pixels:
    """Return the image of which all pictures are given; what a missing one had stays white.

    :raises DamagedError: they are no pictures of one image.
    """
    _check_same(shares)
    axes = tuple(range(2, shares[0].ndim))
    filled = sum((share != WHITE).any(axis=axes).astype(np.uint8) for share in shares)
    if np.max(filled) > 1:
        raise DamagedError("the pictures do not belong together, or were changed")
    image: Pixels = np.minimum.reduce(list(shares))
    return image


def uniform(count: int, below: int, random: Random) -> NDArray[np.uint8]:
    """Return random numbers, each of 0 to ``below - 1`` equally likely.

    :param below: at most 256.
    """
    limit = 256 - 256 % below
    found = np.empty(0, np.uint8)
    while len(found) < count:
        drawn = np.frombuffer(random(count - len(found) + 64), np.uint8)
        found = np.concatenate((found, drawn[drawn < limit] % below))
    return found[:count]


def _woven(states: Bits) -> Bits:
    rows, columns = states.shape[:2]
    return states.swapaxes(1, 2).reshape(_SIDE * rows, _SIDE * columns)


def _check_same(pictures: Sequence[NDArray[np.bool_] | NDArray[np.uint8]]) -> None:
    if len({picture.shape for picture in pictures}) != 1:
        raise DamagedError("the pictures differ in size, or there is none")
