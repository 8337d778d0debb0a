"""Bilinear resampling against SciPy, and its gradients against differences."""

import numpy as np
import pytest
from scipy import ndimage


@pytest.fixture
def data():
    return np.random.default_rng(1).normal(size=(2, 5, 7, 3)).astype(np.float32)


@pytest.fixture
def points():
    """(2, 40, 2) points as (x, y), two pixels beyond the image on every side."""
    return np.random.default_rng(2).uniform(-2.0, [8.0, 6.0], (2, 40, 2)).astype(np.float32)


def expected(data, points):
    """What SciPy gives for the image in a frame of zeros."""
    framed = np.pad(data.astype(np.float64), [(0, 0), (1, 1), (1, 1), (0, 0)])
    return np.stack(
        [
            np.stack(
                [
                    ndimage.map_coordinates(
                        framed[b, ..., c],
                        points[b, :, ::-1].T.astype(np.float64) + 1,
                        order=1,
                        mode="constant",
                    )
                    for c in range(3)
                ],
                -1,
            )
            for b in range(2)
        ]
    )


def test_against_scipy(tf, evaluate, data, points):
    out = evaluate(tf.contrib.resampler.resampler(data, points))
    assert out == pytest.approx(expected(data, points), abs=1e-5)


def test_pixels_are_reproduced_and_beyond_is_zero(tf, evaluate, data):
    y, x = np.mgrid[:5, :7].astype(np.float32)
    points = np.broadcast_to(np.stack([x, y], -1), (2, 5, 7, 2))
    outside = np.float32([[[-1, 0], [7, 0], [0, -1], [0, 5], [1e30, 0], [np.nan, 0]]] * 2)
    same, zero = evaluate(
        [
            tf.contrib.resampler.resampler(data, points),
            tf.contrib.resampler.resampler(data, outside),
        ]
    )
    assert np.array_equal(same, data)
    assert not zero.any()


def test_gradients_against_differences(tf, evaluate, data, points):
    shift = np.random.default_rng(3).normal(size=points.shape)
    change = np.random.default_rng(4).normal(size=data.shape)
    step = 1e-3
    # a point that crosses a pixel's line within the step has no derivative there
    smooth = np.floor(points - step * np.abs(shift)) == np.floor(points + step * np.abs(shift))
    points, shift = points[:, smooth.all((0, 2))], shift[:, smooth.all((0, 2))]
    image, where = tf.constant(data), tf.constant(points)
    by_image, by_point = evaluate(
        tf.gradients(tf.reduce_sum(tf.contrib.resampler.resampler(image, where)), [image, where])
    )
    ahead, behind = (expected(data, points + sign * step * shift).sum() for sign in (1, -1))
    assert (by_point * shift).sum() == pytest.approx((ahead - behind) / (2 * step), rel=1e-2)
    assert (by_image * change).sum() == pytest.approx(expected(change, points).sum(), rel=1e-4)
