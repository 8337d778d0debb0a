"""The TensorFlow 1 interface that NiftyNet and its users' plugins see."""

import pytest


def test_names_of_tensorflow_1(tf):
    for name in ("get_variable", "log", "Session", "placeholder", "to_float", "py_func"):
        assert callable(getattr(tf, name))
    assert tf.__version__.startswith("2.")
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        tf.no_such_name  # noqa: B018


def test_import_of_submodules(tf):
    from tensorflow.python.framework import ops

    assert ops.Graph is tf.Graph
