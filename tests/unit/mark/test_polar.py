"""The error-correcting code of the robust layer."""

from __future__ import annotations

import numpy as np

from node.mark.polar import PolarCode

CODE = PolarCode(512, 128)


def noisy(word, deviation, seed):
    signal = 1.0 - 2.0 * word
    return signal + deviation * np.random.default_rng(seed).standard_normal(word.size)


def test_a_message_is_read_through_noise_as_strong_as_the_signal():
    for seed in range(10):
        bits = np.random.default_rng(seed).integers(0, 2, 128).astype(np.uint8)
        found = CODE.decode(noisy(CODE.encode(bits), 1.0, seed), 16)
        assert any(np.array_equal(bits, other) for other in found)


def test_a_message_is_read_when_half_of_its_symbols_are_gone():
    bits = np.random.default_rng(5).integers(0, 2, 128).astype(np.uint8)
    soft = noisy(CODE.encode(bits), 0.3, 5)
    soft[np.random.default_rng(6).permutation(512)[:256]] = 0.0
    assert np.array_equal(CODE.decode(soft, 16)[0], bits)


def test_the_code_is_linear_and_its_words_are_far_apart():
    rows = np.array([CODE.encode(row) for row in np.eye(128, dtype=np.uint8)])
    assert rows.sum(axis=1).min() >= 16  # weight of the lightest row of the generator
    bits = np.random.default_rng(7).integers(0, 2, 128).astype(np.uint8)
    assert np.array_equal(CODE.encode(bits), bits @ rows % 2)


def test_a_wider_list_never_loses_the_path_of_a_clean_word():
    bits = np.random.default_rng(8).integers(0, 2, 128).astype(np.uint8)
    clean = 1.0 - 2.0 * CODE.encode(bits)
    for width in (1, 4, 32):
        assert np.array_equal(CODE.decode(clean, width)[0], bits)
