"""Properties that define the cubic B-spline, and that its other forms equal it."""

import numpy as np
import pytest

from data_prep.core import resample
from niftynet_ext.core.spline import spline_weights
from niftynet_ext.sampler.interpolation import weights_at


def test_spline_weights_interpolate_smoothly():
    weights = spline_weights(np.arange(5) / 5)
    assert weights.sum(axis=0) == pytest.approx(np.ones(5))  # a constant field stays as it is
    assert weights[:, 0] == pytest.approx([1 / 6, 4 / 6, 1 / 6, 0])  # at a knot
    knots = np.arange(-1, 3)
    assert knots @ weights == pytest.approx(np.arange(5) / 5)  # a ramp stays a ramp


def test_the_compiled_sampler_has_the_same_basis():
    u = np.linspace(0, 1, 41)
    compiled = np.transpose([weights_at(np.float32(value)) for value in u])
    np.testing.assert_allclose(compiled, spline_weights(u), atol=2e-7)


def test_resampling_of_images_has_the_same_basis():
    """The matrix fits the samples and evaluates the basis: without the fit, the basis is left."""
    old, new, ratio = 24, 9, 2.5
    fit = np.zeros((old, old))
    before, at, after, _ = spline_weights(np.zeros(1))[:, 0]
    for row in range(old):
        for offset, weight in ((-1, before), (0, at), (1, after)):
            fit[row, abs(row + offset) if row + offset < old else old - 2] += weight
    basis = resample._spline_weights(old, new, ratio).astype(float) @ fit
    for row, centre in enumerate(ratio * np.arange(new) + (ratio - 1) / 2):
        below = int(centre)
        if 1 <= below < old - 2:
            expected = spline_weights(np.array([centre - below]))[:, 0]
            np.testing.assert_allclose(basis[row, below - 1 : below + 3], expected, atol=1e-6)
