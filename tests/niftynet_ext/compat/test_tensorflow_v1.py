"""The TensorFlow 1 interface that NiftyNet and its users' plugins see."""
import numpy as np
import pytest


def test_names_of_tensorflow_1(tf):
    for name in ("get_variable", "log", "Session", "placeholder", "to_float", "py_func"):
        assert callable(getattr(tf, name))
    assert tf.__version__.startswith("2.")
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        tf.no_such_name  # noqa: B018


def test_import_of_submodules_and_contrib(tf):
    from tensorflow.contrib.framework import list_variables
    from tensorflow.contrib.layers.python.layers import regularizers
    from tensorflow.python.framework import ops
    assert list_variables is tf.train.list_variables
    assert regularizers.l2_regularizer is tf.contrib.layers.l2_regularizer
    assert ops.Graph is tf.Graph


def test_what_contrib_lacks_is_named(tf):
    with pytest.raises(AttributeError, match=r"tensorflow\.contrib\.slim.*1\.15"):
        tf.contrib.slim  # noqa: B018


def test_regularizers_closed_form(tf, evaluate):
    weights = tf.constant([[1.0, -2.0], [3.0, 0.5]])
    l1 = tf.contrib.layers.l1_regularizer(0.1)(weights)
    l2 = tf.contrib.layers.l2_regularizer(0.1)(weights)
    assert evaluate([l1, l2]) == pytest.approx([0.65, 0.1 * 14.25 / 2])
    assert tf.contrib.layers.l2_regularizer(0)(weights) is None
    with pytest.raises(ValueError, match="scale must be >= 0"):
        tf.contrib.layers.l2_regularizer(-1.0)


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
