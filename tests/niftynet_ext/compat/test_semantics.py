"""Functions of TensorFlow 1 that have become stricter, or are gone."""
import numpy as np
import pytest


def test_py_func_casts_integers_only(tf, evaluate):
    wide = tf.py_func(lambda: np.arange(3, dtype=np.int64), [], tf.int32)
    pair = tf.py_func(lambda x: (x, np.ones(2, np.int64)), [tf.constant(2.0)],
                      [tf.float32, tf.int32])
    values, (same, ones) = evaluate([wide, pair])
    assert values.dtype == np.int32 and values.tolist() == [0, 1, 2]
    assert same == 2.0 and ones.dtype == np.int32
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
