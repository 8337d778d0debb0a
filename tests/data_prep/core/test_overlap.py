"""Dice by hand."""

import numpy as np
import pytest

from data_prep.core.overlap import dice


def cube(start, side=4, shape=(12, 12, 12)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(start, start + side) for _ in shape)] = True
    return mask


def test_shifted_cubes():
    for shift in range(5):
        assert dice(cube(2), cube(2 + shift)) == pytest.approx((4 - shift) ** 3 / 4**3)


def test_different_sizes():
    assert dice(cube(2, 4), cube(2, 2)) == pytest.approx(2 * 8 / (64 + 8))


def test_empty_masks_are_scored():
    empty = np.zeros((12, 12, 12), bool)
    assert dice(empty, cube(2)) == dice(cube(2), empty) == 0.0
    assert dice(empty, empty) == 1.0


def test_bad_input():
    with pytest.raises(ValueError, match="prediction must be boolean, got uint8"):
        dice(cube(2).astype(np.uint8), cube(2))
    with pytest.raises(ValueError, match="one grid"):
        dice(cube(2), cube(2, shape=(12, 12, 11)))
