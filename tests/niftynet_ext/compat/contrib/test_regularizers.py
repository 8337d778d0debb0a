"""L1 and L2 penalties against their definitions."""

import pytest


def test_closed_form(tf, evaluate):
    weights = tf.constant([[1.0, -2.0], [3.0, 0.5]])
    l1 = tf.contrib.layers.l1_regularizer(0.1)(weights)
    l2 = tf.contrib.layers.l2_regularizer(0.1)(weights)
    assert evaluate([l1, l2]) == pytest.approx([0.65, 0.1 * 14.25 / 2])


def test_scale(tf):
    assert tf.contrib.layers.l2_regularizer(0)(tf.ones(3)) is None
    with pytest.raises(ValueError, match="l2_regularizer: scale must be >= 0, got -1"):
        tf.contrib.layers.l2_regularizer(-1.0)
