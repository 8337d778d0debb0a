"""Functions of TensorFlow 1 that have become stricter, or are missing."""

import numpy as np
import pytest


def test_py_func_casts_integers_only(tf, evaluate):
    wide = tf.py_func(lambda: np.arange(3, dtype=np.int64), [], tf.int32)
    pair = tf.py_func(
        lambda x: (x, np.ones(2, np.int64)), [tf.constant(2.0)], [tf.float32, tf.int32]
    )
    values, (same, cast) = evaluate([wide, pair])
    assert values.dtype == np.int32 and values.tolist() == [0, 1, 2]
    assert same == 2.0 and cast.dtype == np.int32
    wrong = tf.py_func(lambda: np.ones(2, np.float64), [], tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="double"):
        evaluate(wrong)


def test_shapes_may_hold_whole_floats(tf):
    assert tf.get_variable("a", [8 / 2, 3]).shape.as_list() == [4, 3]
    assert tf.get_variable("b", shape=(8 / 2,)).shape.as_list() == [4]
    assert tf.get_variable("c", initializer=tf.ones((2, 3))).shape.as_list() == [2, 3]
    with pytest.raises((TypeError, ValueError)):
        tf.get_variable("d", [2.5])


def test_layers(tf, evaluate):
    inputs = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    out = tf.layers.dense(inputs, 3)
    kernel, bias = tf.trainable_variables()
    assert (kernel.op.name, bias.op.name) == ("dense/kernel", "dense/bias")
    weights = np.float32([[1, 2, 3], [4, 5, 6]])
    value = evaluate(out, load={kernel: weights, bias: [0.0, 1.0, 2.0]})
    assert value.tolist() == [[9.0, 13.0, 17.0], [19.0, 27.0, 35.0]]
    assert tf.layers.conv3d(tf.ones((1, 4, 4, 4, 1)), 2, 3).shape.as_list() == [1, 2, 2, 2, 2]


def test_map_fn_leaves_the_function_as_written(tf, evaluate):
    """AutoGraph would turn this `if` on a tensor into a conditional; TensorFlow 1 refuses it."""

    def absolute(value):
        return -value if value < 0 else value

    with pytest.raises(TypeError, match="bool"):
        tf.map_fn(absolute, tf.constant([-1.0, 2.0]))
    assert evaluate(tf.map_fn(tf.abs, tf.constant([-1.0, 2.0]))).tolist() == [1, 2]


def test_penalties_are_computed_and_named_at_once(tf, evaluate):
    """Names as TensorFlow 1.15.5 has them; NiftyNet's `regularizer_loss` looks for them."""
    l2 = tf.contrib.layers.l2_regularizer(0.1)
    with tf.variable_scope("a"):
        tf.get_variable("w", [2], initializer=tf.constant_initializer([1.0, 2.0]), regularizer=l2)
    with tf.variable_scope("b"):
        tf.get_variable("w", [2], regularizer=lambda w: tf.reduce_max(w, name="largest"))
        tf.get_variable("v", [2], regularizer=lambda v: None)
        tf.get_variable("u", [2])
        # name, shape, dtype, initializer, regularizer, trainable
        tf.get_variable("t", [2], tf.float32, None, lambda t: tf.reduce_min(t, name="least"), False)
    with tf.variable_scope("a", reuse=True):
        tf.get_variable("w", [2], regularizer=l2)
    found = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    names = [penalty.name for penalty in found]
    assert names == [
        "a/w/Regularizer/l2_regularizer:0",
        "b/w/Regularizer/largest:0",
        "b/t/Regularizer/least:0",
    ]
    of_a = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES, "a")
    assert of_a == found[:1] and evaluate(of_a) == pytest.approx([0.25])


def test_penalty_of_a_variable_that_is_made_in_a_loop(tf, evaluate):
    def step(value):
        w = tf.get_variable(
            "w",
            [2],
            initializer=tf.constant_initializer(3.0),
            regularizer=tf.contrib.layers.l2_regularizer(0.1),
        )
        return value * tf.reduce_sum(w)

    products = tf.map_fn(step, tf.constant([1.0, 2.0]))
    (penalty,) = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    values = evaluate([products, penalty])
    assert values[0].tolist() == [6, 12] and values[1] == pytest.approx(0.9)


def test_penalties_of_a_network(tf):
    """87 of them and these names, as on TensorFlow 1.15.5."""
    from niftynet.network.highres3dnet_small import HighRes3DNetSmall

    net = HighRes3DNetSmall(
        2, w_regularizer=tf.contrib.layers.l2_regularizer(1e-4), acti_func="prelu"
    )
    net(tf.placeholder(tf.float32, (1, 16, 16, 16, 1)), is_training=True)
    names = [penalty.name for penalty in net.regularizer_loss()]
    assert len(names) == 87 == len(net.trainable_variables())
    assert names[0] == "HighRes3DNetSmall/conv_0_bn_prelu/conv_/w/Regularizer/l2_regularizer:0"
    assert names[-1] == "HighRes3DNetSmall/conv_2_bn/bn_/gamma/Regularizer/l2_regularizer:0"
