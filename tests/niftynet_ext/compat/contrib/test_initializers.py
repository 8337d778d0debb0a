"""Variance of the weights against its formula."""

import numpy as np
import pytest


@pytest.mark.parametrize(
    "mode, fan", [("FAN_IN", 27 * 8), ("FAN_OUT", 27 * 24), ("FAN_AVG", 27 * 16)]
)
@pytest.mark.parametrize("uniform", [True, False])
def test_variance(tf, evaluate, mode, fan, uniform):
    initializer = tf.contrib.layers.variance_scaling_initializer(2.0, mode, uniform, seed=1)
    kernel = evaluate(tf.get_variable("w", (3, 3, 3, 8, 24), initializer=initializer))
    largest = np.sqrt(3 * 2 / fan) if uniform else 2 * np.sqrt(1.3 * 2 / fan)
    # a normal distribution cut at two sigma keeps 0.7737 of its variance: 1.3 makes up for it
    variance = 2 / fan * (1 if uniform else 1.3 * 0.77374)
    assert kernel.var() == pytest.approx(variance, rel=0.05)
    assert 0.9 * largest < np.abs(kernel).max() <= largest


def test_bad_arguments(tf):
    with pytest.raises(TypeError, match="unknown mode FAN.*FAN_IN, FAN_OUT, FAN_AVG"):
        tf.contrib.layers.variance_scaling_initializer(mode="FAN")
    with pytest.raises(TypeError, match="floating, got int32"):
        tf.contrib.layers.variance_scaling_initializer(dtype=tf.int32)
