"""Batch norm and instance norm against their definitions in NumPy."""

import numpy as np
import pytest

SHAPES = [(3, 5, 4, 2), (3, 5, 4, 3, 2)]


def image(shape):
    return np.random.default_rng(1).normal(3.0, 2.0, shape).astype(np.float32)


def normalised(x, axes, epsilon):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_instance_norm(tf, evaluate, shape):
    x = image(shape)
    inputs = tf.placeholder(tf.float32, (None,) * (len(shape) - 1) + (2,))
    out = tf.contrib.layers.instance_norm(inputs, epsilon=1e-3)
    beta, gamma = tf.trainable_variables()
    assert (beta.op.name, gamma.op.name) == ("InstanceNorm/beta", "InstanceNorm/gamma")
    value = evaluate(out, {inputs: x}, {beta: [0.5, -1.0], gamma: [2.0, 3.0]})
    expected = normalised(x, tuple(range(1, x.ndim - 1)), 1e-3) * [2.0, 3.0] + [0.5, -1.0]
    assert value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_batch_norm_in_training(tf, shape):
    x, axes = image(shape), tuple(range(len(shape) - 1))
    out = tf.contrib.layers.batch_norm(tf.constant(x), decay=0.9)
    assert [v.op.name for v in tf.trainable_variables()] == ["BatchNorm/beta"]
    moving = {v.op.name.rpartition("/")[2]: v for v in tf.global_variables()}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        value, _ = session.run([out, tf.get_collection(tf.GraphKeys.UPDATE_OPS)])
        mean, variance = session.run([moving["moving_mean"], moving["moving_variance"]])
    assert value == pytest.approx(normalised(x, axes, 1e-3), abs=1e-5)
    assert mean == pytest.approx(0.1 * x.mean(axes), rel=1e-5)
    # TensorFlow 1's fused kernel, for 2-D images only, tracked the variance of a sample
    sample = x.var(axes, ddof=1 if len(shape) == 4 else 0)
    assert variance == pytest.approx(0.9 + 0.1 * sample, rel=1e-5)


def test_batch_norm_in_inference_takes_the_moving_averages(tf, evaluate):
    x = image(SHAPES[0])
    out = tf.contrib.layers.batch_norm(tf.constant(x), is_training=False, scale=True)
    named = {v.op.name: v for v in tf.global_variables()}
    value = evaluate(
        out,
        load={
            named["BatchNorm/gamma"]: [2.0, 1.0],
            named["BatchNorm/beta"]: [0.0, 1.0],
            named["BatchNorm/moving_mean"]: [3.0, 2.0],
            named["BatchNorm/moving_variance"]: [4.0, 1.0],
        },
    )
    expected = (x - [3.0, 2.0]) / np.sqrt(np.array([4.0, 1.0]) + 1e-3) * [2.0, 1.0] + [0.0, 1.0]
    assert value == pytest.approx(expected, abs=1e-5)
    assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)


def test_what_is_not_provided_is_named(tf):
    with pytest.raises(NotImplementedError, match="batch_norm.*argument renorm"):
        tf.contrib.layers.batch_norm(tf.ones((1, 2, 2, 1)), renorm=True)
    with pytest.raises(ValueError, match="channels must be known"):
        tf.contrib.layers.instance_norm(tf.placeholder(tf.float32, (1, 2, 2, None)))
