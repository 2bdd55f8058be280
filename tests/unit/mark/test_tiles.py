"""Every sample belongs to one tile, whatever the geometry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.mark.tiles import grids

sides = st.integers(1, 700)


@given(sides, sides, st.integers(1, 6))
def test_every_sample_is_in_one_tile_of_each_grid(frame_rows, columns, frames):
    for grid in grids(frame_rows * frames, columns, frame_rows):
        covered = np.zeros(grid.shape, np.uint8)
        for tile in grid.tiles:
            tile.of(covered)[...] += 1
        assert (covered == 1).all()
        assert 0 <= grid.middle() < len(grid.tiles)
        covered = np.zeros((frames, frame_rows, columns), np.uint8)
        for tile in grid.tiles:
            for r in grid.regions(tile):
                covered[r.frame, r.row : r.row + r.rows, r.column : r.column + r.columns] += 1
        assert (covered == 1).all()


@pytest.mark.parametrize(
    ("geometry", "counts"),
    [
        ((512, 512, 512), [64, 4, 1]),
        ((484, 484, 484), [64, 4, 1]),
        ((128, 128, 128), [1]),
        ((129, 128, 129), [4, 1]),
        ((640, 64, 64), [10, 1]),
        ((6144, 512, 512), [192, 12]),
        ((4096, 2560, 4096), [640, 40]),
        ((10, 2265, 10), [6, 1]),
        ((1, 4095, 1), [1]),
    ],
)
def test_grids_have_as_many_tiles_as_the_page_says(geometry, counts):
    assert [len(grid.tiles) for grid in grids(*geometry)] == counts


def test_tiles_of_a_grid_are_about_equal():
    finest = grids(1955, 1841, 1955)[0]
    assert {tile.rows for tile in finest.tiles} <= {130, 131}
    assert {tile.columns for tile in finest.tiles} <= {131, 132}


@pytest.mark.parametrize("geometry", [(0, 5, 5), (5, 0, 5), (5, 5, 0), (5, 5, 3)])
def test_what_is_not_made_of_whole_frames_is_refused(geometry):
    with pytest.raises(ValueError, match="frame"):
        grids(*geometry)
