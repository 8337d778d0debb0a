"""Overlapping windows: their weighted mean, by hand and for functions it must not change."""

import numpy as np
import pytest

from niftynet_ext.inference.blending import Blend, gaussian


def test_weights_are_a_gaussian_of_an_eighth_of_the_window():
    weights = gaussian((16, 8, 24))
    assert weights.shape == (16, 8, 24) and weights.max() == 1
    # half a voxel and one and a half from the middle, deviation 2
    assert weights[9, 4, 12] / weights[8, 4, 12] == pytest.approx(
        np.exp(-(1.5**2 - 0.5**2) / (2 * 2**2)), rel=1e-6
    )
    assert np.array_equal(weights, weights[::-1, ::-1, ::-1]) and weights.min() >= 1e-3


def test_two_windows_by_hand():
    blend = Blend((6, 1, 1), 1)
    blend.add(np.full((4, 1, 1, 1), 1.0), (0, 0, 0))
    blend.add(np.full((4, 1, 1, 1), 3.0), (2, 0, 0))
    side = gaussian((4, 1, 1))[:, 0, 0]
    shared = [
        (side[2] + 3 * side[0]) / (side[2] + side[0]),
        (side[3] + 3 * side[1]) / (side[3] + side[1]),
    ]
    assert blend.result()[:, 0, 0, 0] == pytest.approx([1, 1, *shared, 3, 3])
    assert 1 < shared[0] < 2 < shared[1] < 3


def test_what_lies_beyond_the_volume_is_left_out():
    blend = Blend((3, 2, 2), 2)
    window = np.random.default_rng(0).random((8, 8, 8, 2))
    blend.add(window, (0, 0, 0))
    assert blend.result() == pytest.approx(window[:3, :2, :2])
