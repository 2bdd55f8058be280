"""Find where the robust mark lies in a picture of any size, turn and crop.

The evidence around every pixel is transformed, its spectrum read where a tile
of some size and turn has its lines, and multiplied with what a tile says: one
small inverse transform then tells how well each shift fits. Sizes and turns
are tried in steps so fine that the cells at the border of the picture come to
lie half a cell wrong at most. Not part of the format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from node.mark.dense import evidence
from node.mark.pattern import DETAILS, EDGE, TINY, layout
from node.mark.scaling import resized

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from node.mark.pattern import Floats

    Spectra = NDArray[np.complex64]

RESOLUTION = 4
"""Shifts tried per cell, each way."""

GRID = EDGE * RESOLUTION

SIDES = (720, 360, 180)
"""Shorter side of the picture, in pixels, at which cells of 6 to 12 pixels are looked for."""

BANDS = ((4, 7.0, 9.0), (3, 6.0, 7.0), (5, 9.0, 11.0), (6, 11.0, 12.0))
"""Half edge of a cell, and the edges that it stands for: from, to. The likeliest first: an image
has 85 cells along its shorter side."""

TURN = math.radians(6.0)
"""Beside quarter turns; pictures turned by more are not found."""

ROOM = 1.5
"""Edge of the transform, in edges of the picture."""

LINES = (3, 2 * EDGE)
"""Lines of a tile's spectrum that are used, from, to, in cycles per tile."""

FINER = 3
"""How often the steps are halved around what was found."""

ORIENTATIONS = tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4))
SHAPES = np.array([[[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]], np.float64)
"""The details of a cell of 2 x 2 pixels, in the order of pywt."""

_ROWS, _COLUMNS = np.meshgrid(
    np.fft.fftfreq(GRID, 1 / GRID), np.arange(GRID // 2 + 1), indexing="ij"
)
_USED = (np.hypot(_ROWS, _COLUMNS) > LINES[0]) & (np.hypot(_ROWS, _COLUMNS) <= LINES[1])
_CYCLES = np.stack([_ROWS[_USED], _COLUMNS[_USED]])


@dataclass(frozen=True, slots=True)
class Place:
    """Where tiles may lie.

    :param score: deviations by which this shift stands out among all.
    :param band: what it was found in.
    :param cell: edge of a cell, in pixels of that picture.
    :param turn: radians; it comes after the orientation.
    :param orientation: index in :data:`ORIENTATIONS`.
    :param shift: of a tile's first cell from the middle of the picture, in cells.
    """

    score: float
    band: Band
    cell: float
    turn: float
    orientation: int
    shift: tuple[float, float]

    def moved(self, way: int, cells: float) -> Place:
        """Return the place moved down (0), right (1), grown (2) or turned (3).

        :param cells: how far, where the picture ends.
        """
        row, column = self.shift
        part = 2 * cells * self.cell / self.band.longer
        if way == 0:
            return replace(self, shift=(row + cells, column))
        if way == 1:
            return replace(self, shift=(row, column + cells))
        if way == 2:  # noqa: PLR2004 - the third of four ways
            return replace(self, cell=self.cell * (1 + part))
        return replace(self, turn=self.turn + part)

    def straighten(self) -> Floats:
        """Return the picture as it was marked: from the first cell of a tile on.

        Its cells are ``2 * band.half`` pixels; what lies outside is dark.
        """
        level, half = self.band.level, self.band.half
        rows, columns = level.shape
        turn = self.cell * _rotation(self.turn)
        matrix = turn @ _orientation(*ORIENTATIONS[self.orientation])
        center = np.full(2, EDGE / 2)
        offset = turn @ (center + self.shift) - matrix @ center + (rows // 2, columns // 2)
        corners = np.array([[0, 0], [rows, 0], [0, columns], [rows, columns]])
        found = np.linalg.solve(matrix, (corners - offset).T).T
        first = np.floor(found.min(axis=0) / EDGE) * EDGE
        height, width = (np.ceil(found.max(axis=0) - first) * 2 * half).astype(int)
        step = matrix / (2 * half)
        start = matrix @ first + offset
        # Pillow wants columns first.
        affine = (step[1, 1], step[1, 0], start[1], step[0, 1], step[0, 0], start[0])
        image = Image.fromarray(level.astype(np.float32)).transform(
            (int(width), int(height)),
            Image.Transform.AFFINE,
            affine,
            Image.Resampling.BICUBIC,
            fillcolor=float(level.min()),
        )
        return np.asarray(image, np.float64).clip(level.min(), level.max())


def template(message: bytes) -> Spectra:
    """Return the conjugate spectrum of a tile in each orientation.

    :param message: as for ``Layout.signs``.
    :returns: shape (8, DETAILS, lines that are used).
    """
    plan = layout()
    signs = plan.signs(message)[plan.group]
    tiles = np.zeros((len(ORIENTATIONS), DETAILS, GRID, GRID))
    middle = slice(RESOLUTION // 2, None, RESOLUTION)
    for index, (turns, mirrored) in enumerate(ORIENTATIONS):
        for detail, shape in enumerate(SHAPES):
            seen = _oriented(shape, turns, mirrored=mirrored)
            alike = np.tensordot(SHAPES, seen) / seen.size
            other = int(np.abs(alike).argmax())
            said = _oriented(signs[..., detail], turns, mirrored=mirrored)
            tiles[index, other, middle, middle] = alike[other] * said
    return np.fft.rfft2(tiles)[..., _USED].conj().astype(np.complex64)


class Band:
    """A picture at one size, its evidence transformed for cells of about one size.

    :param level: brightness, 0 to 255.
    """

    def __init__(self, level: Floats, half: int) -> None:
        self.level, self.half = level, half
        self.longer = max(level.shape)
        rows, columns = level.shape
        self._size = _smooth(math.ceil(self.longer * ROOM))
        padded = np.zeros((DETAILS, self._size, self._size), np.float32)
        padded[:, : rows + 1, : columns + 1] = evidence(level, half)
        padded = np.roll(padded, (-(rows // 2), -(columns // 2)), axis=(1, 2))
        self._spectra = np.fft.fft2(padded).astype(np.complex64)

    def best(self, cell: float, turn: float, wanted: Spectra) -> Place:
        """Return the best place of a tile of one size and turn."""
        products = (wanted * self._lines(cell, turn)).sum(axis=1)
        spread = np.zeros((len(wanted), *_USED.shape), np.complex64)
        spread[:, _USED] = products
        fits = np.abs(np.fft.irfft2(spread, s=(GRID, GRID))).reshape(len(wanted), -1)
        scores = fits.max(axis=1) / np.sqrt(np.mean(fits**2, axis=1) + TINY)
        index = int(scores.argmax())
        row, column = divmod(int(fits[index].argmax()), GRID)
        shift = row / RESOLUTION, column / RESOLUTION
        return Place(float(scores[index]), self, cell, turn, index, shift)

    def refine(self, place: Place, wanted: Spectra) -> Place:
        """Return the best place close by, its shift finer than the grid."""
        step = place.cell / self.longer / 2
        for _ in range(FINER):
            near = (
                self.best(place.cell * (1 + i * step), place.turn + j * step, wanted)
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            )
            place = max([place, *near], key=lambda found: found.score)
            step /= 2
        products = wanted[place.orientation] * self._lines(place.cell, place.turn)
        fine = np.linspace(-0.5, 0.5, 2 * RESOLUTION + 1) / RESOLUTION * 2
        waves = [
            np.exp(2j * np.pi / EDGE * np.outer(start + fine, cycles))
            for start, cycles in zip(place.shift, _CYCLES, strict=True)
        ]
        fits = np.abs((waves[0] * products.sum(axis=0)) @ waves[1].T)
        row, column = np.unravel_index(fits.argmax(), fits.shape)
        shift = place.shift[0] + float(fine[row]), place.shift[1] + float(fine[column])
        return replace(place, shift=shift)

    def _lines(self, cell: float, turn: float) -> Spectra:
        """Return the evidence's spectrum where a tile of this size and turn has its lines."""
        places = _rotation(turn) @ _CYCLES * (self._size / (EDGE * cell))
        rows, columns = np.rint(places).astype(np.intp) % self._size
        return self._spectra[:, rows, columns]


def places(
    picture: Floats, wanted: Sequence[Spectra], *, turned: bool
) -> Iterator[tuple[int, Place]]:
    """Yield the best place for each template in each band of sizes: (index, place).

    :param turned: try small turns, too. That takes longer.
    """
    if picture.min() == picture.max():
        return
    for side in SIDES:
        scale = side / min(picture.shape)
        rows, columns = (max(1, round(length * scale)) for length in picture.shape)
        level = resized(picture, (rows, columns))
        for half, least, most in BANDS:
            if max(level.shape) < least * EDGE / 2:
                continue
            band = Band(level, half)
            step = least / band.longer
            count = math.ceil(TURN / step) if turned else 0
            cells = least * np.exp(np.arange(0, math.log(most / least), step))
            tried = [(float(c), t * step) for c in cells for t in range(-count, count + 1)]
            for index, spectra in enumerate(wanted):
                found = (band.best(cell, turn, spectra) for cell, turn in tried)
                best = max(found, key=lambda place: place.score)
                yield index, band.refine(best, spectra)


def _oriented(values: Floats, turns: int, *, mirrored: bool) -> Floats:
    turned = np.rot90(values, turns)
    return turned[:, ::-1] if mirrored else turned


def _orientation(turns: int, mirrored: bool) -> Floats:  # noqa: FBT001 - one of ORIENTATIONS
    """Return the matrix that takes places (row, column) in a tile to where they are seen."""
    quarter = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), turns)
    seen: Floats = np.diag([1.0, -1.0 if mirrored else 1.0]) @ quarter
    return seen


def _rotation(angle: float) -> Floats:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _smooth(size: int) -> int:
    """Return the next size without a prime factor above 5: transforms of it are fast."""
    rest = size
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    return size if rest == 1 else _smooth(size + 1)
