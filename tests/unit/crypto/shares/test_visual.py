"""The two visual schemes: exact, and as secret as they claim, which is not the same for both."""

from __future__ import annotations

import os

import numpy as np
import pytest

from node.crypto.shares import visual
from node.errors import DamagedError, UsageError

BLACK = np.random.default_rng(1).random((50, 70)) < 0.3
GREY = np.random.default_rng(2).integers(0, 256, (40, 30), np.uint8)


def blocks(share: np.ndarray) -> np.ndarray:
    rows, columns = share.shape
    return share.reshape(rows // 2, 2, columns // 2, 2).swapaxes(1, 2).reshape(-1, 4)


def test_xor_gives_the_image_exactly():
    first, second = visual.split_visual(BLACK, os.urandom)
    assert first.shape == (100, 140)
    assert (visual.join_visual(first, second) == BLACK).all()


def test_the_eye_sees_black_as_black_and_white_as_half():
    seen = blocks(visual.overlay(*visual.split_visual(BLACK, os.urandom))).sum(axis=1)
    assert (seen[BLACK.reshape(-1)] == 4).all()
    assert (seen[~BLACK.reshape(-1)] == 2).all()


def test_each_picture_alone_has_all_six_states_equally_often_wherever_the_image_is_black():
    black = np.zeros((200, 300), np.bool_)
    black[:, 150:] = True
    for share in visual.split_visual(black, os.urandom):
        for half in (share[:, :300], share[:, 300:]):
            _, counts = np.unique(blocks(half), axis=0, return_counts=True)
            assert len(counts) == 6
            # 30,000 pixels, 5,000 of each state; chi-square of 5 degrees, p about 1e-7
            assert ((counts - 5000) ** 2 / 5000).sum() < 42


def test_pictures_that_do_not_belong_together_are_refused():
    first, _ = visual.split_visual(BLACK, os.urandom)
    _, second = visual.split_visual(BLACK, os.urandom)
    with pytest.raises(DamagedError):
        visual.join_visual(first, second)
    with pytest.raises(DamagedError):
        visual.join_visual(first, second[:, :-2])
    with pytest.raises(DamagedError):
        visual.join_visual(first[1:], second[1:])


def test_a_changed_subpixel_is_noticed():
    first, second = visual.split_visual(BLACK, os.urandom)
    second[7, 9] ^= True
    with pytest.raises(DamagedError):
        visual.join_visual(first, second)


@pytest.mark.parametrize("n", [2, 3, 5, 32])
@pytest.mark.parametrize("image", [GREY, np.stack([GREY, GREY, GREY], 2)])
def test_all_pixel_shares_give_the_image_exactly(image, n):
    shares = visual.split_pixels(image, n, os.urandom)
    assert (visual.join_pixels(shares) == image).all()


def test_each_pixel_share_shows_one_nth_in_clear():
    """The leak that the manual speaks of: it is real."""
    image = np.full((100, 100), 77, np.uint8)
    shares = visual.split_pixels(image, 4, os.urandom)
    for share in shares:
        assert set(np.unique(share)) == {77, 255}
        assert 2200 < (share == 77).sum() < 2800


def test_pixel_shares_of_two_images_are_refused():
    one = visual.split_pixels(np.zeros((9, 9), np.uint8), 2, os.urandom)
    with pytest.raises(DamagedError):
        visual.join_pixels([one[0], np.zeros((9, 9), np.uint8)])


@pytest.mark.parametrize("n", [0, 1, 33])
def test_a_number_of_pictures_that_makes_no_sense_is_refused(n):
    with pytest.raises(UsageError):
        visual.split_pixels(GREY, n, os.urandom)


def test_uniform_numbers_leave_out_what_would_favour_some():
    drawn = bytes([252, 253, 254, 255, *range(12)])
    assert visual.uniform(12, 6, lambda _: drawn).tolist() == [0, 1, 2, 3, 4, 5] * 2
