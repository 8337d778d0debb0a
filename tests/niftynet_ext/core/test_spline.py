"""Properties that define the cubic B-spline."""

import numpy as np
import pytest

from niftynet_ext.core.spline import spline_weights


def test_spline_weights_interpolate_smoothly():
    weights = spline_weights(np.arange(5) / 5)
    assert weights.sum(axis=0) == pytest.approx(np.ones(5))  # a constant field stays as it is
    assert weights[:, 0] == pytest.approx([1 / 6, 4 / 6, 1 / 6, 0])  # at a knot
    knots = np.arange(-1, 3)
    assert knots @ weights == pytest.approx(np.arange(5) / 5)  # a ramp stays a ramp
