"""Functions of TensorFlow 1 whose namesakes in TensorFlow 2 are stricter, or gone."""

import functools

import numpy as np

from niftynet_ext.compat.lazy import LazyModule

LEGACY_LAYERS = "tensorflow.python.keras.legacy_tf_layers"
LAYERS = {
    "core": ("dense", "dropout", "flatten"),
    "convolutional": (
        "conv1d",
        "conv2d",
        "conv2d_transpose",
        "conv3d",
        "conv3d_transpose",
        "separable_conv1d",
        "separable_conv2d",
    ),
    "pooling": (
        "average_pooling1d",
        "average_pooling2d",
        "average_pooling3d",
        "max_pooling1d",
        "max_pooling2d",
        "max_pooling3d",
    ),
}


def cast_outputs(py_func):
    """``tf.py_func`` whose results are cast to the declared types.

    NumPy 2 gives ``int32 array * int64 scalar`` the type int64, where NumPy 1 kept int32. NiftyNet
    computes window coordinates that way and declares int32, which TensorFlow then refuses:
    "1-th value returned by pyfunc_0 is int64, but expects int32".

    :param py_func: ``tf.compat.v1.py_func``
    :return: a function with the same parameters
    """

    @functools.wraps(py_func)
    def wrapper(func, inp, Tout, *args, **kwargs):  # noqa: N803  (TensorFlow's name)
        single = not isinstance(Tout, (list, tuple))
        types_ = [Tout] if single else list(Tout)

        def cast(value, dtype):
            value = np.asarray(value)
            wanted = dtype.as_numpy_dtype
            # only between integer types: any other difference is the caller's mistake
            if value.dtype.kind in "iu" and np.dtype(wanted).kind in "iu":
                value = value.astype(wanted, copy=False)
            return value

        @functools.wraps(func)
        def cast_func(*values):
            out = func(*values)
            if single or not isinstance(out, (list, tuple)):
                return cast(out, types_[0]) if types_ else out
            return [cast(value, dtype) for value, dtype in zip(out, types_, strict=True)]

        return py_func(cast_func, inp, Tout, *args, **kwargs)

    return wrapper


def whole_number(size):
    """
    :param size: one size of a shape
    :return: an int in the place of a float that is a whole number, else as given
    """
    return int(size) if isinstance(size, float) and size.is_integer() else size


def accept_whole_floats(get_variable):
    """``tf.get_variable(shape=[16, 4.0])``: a float that is a whole number, as in TensorFlow 1.

    The result of a plain ``/`` in Python 3: NiftyNet's ``ChannelSELayer`` (hence ``se_resnet``)
    divides its channels so.

    :param get_variable: ``tf.compat.v1.get_variable``
    :return: a function with the same parameters
    """

    @functools.wraps(get_variable)
    def wrapper(name, shape=None, *args, **kwargs):
        if isinstance(shape, (list, tuple)):
            shape = [whole_number(size) for size in shape]
        return get_variable(name, shape, *args, **kwargs)

    return wrapper


def regularise_at_once(get_variable, tf):
    """``tf.get_variable`` that computes a variable's penalty there and then, as in TensorFlow 1.

    TensorFlow 2 collects a promise of it, which is computed again at each use and has no name, so
    that ``tf.get_collection(key, scope)`` and NiftyNet's ``layer.regularizer_loss()`` find none.
    (A regulariser of a variable scope is left to TensorFlow: NiftyNet gives none.)

    :param get_variable: ``tf.compat.v1.get_variable``
    :param tf: the module that stands for ``tensorflow``
    :return: a function with the same parameters
    """

    @functools.wraps(get_variable)
    def wrapper(name, shape=None, dtype=None, initializer=None, regularizer=None, *args, **kwargs):
        def collect(variable):
            """:return: None: TensorFlow has nothing left to collect"""
            graph, name = variable.graph, variable.op.name
            with (
                graph.colocate_with(variable.op),
                tf.name_scope(name + "/Regularizer/"),
                tf.init_scope(),
            ):  # not part of a loop around the layer
                penalty = regularizer(variable)
            if penalty is not None:
                tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, penalty)

        return get_variable(
            name, shape, dtype, initializer, regularizer and collect, *args, **kwargs
        )

    return wrapper


def map_as_written(map_fn, do_not_convert):
    """``tf.map_fn`` that calls its function as it stands, as in TensorFlow 1.

    TensorFlow 2 first rewrites it and all it calls by AutoGraph, for which NiftyNet's losses were
    not written: a fifth of a second for a loss, and a file left in the temporary folder.

    :param map_fn: ``tf.compat.v1.map_fn``
    :param do_not_convert: ``tf.autograph.experimental.do_not_convert``
    :return: a function with the same parameters
    """

    @functools.wraps(map_fn)
    def wrapper(fn, *args, **kwargs):
        return map_fn(do_not_convert(fn), *args, **kwargs)

    return wrapper


def legacy_layers():
    """``tf.layers``, which Keras 3 (TensorFlow 2.16 and later) no longer brings along.

    TensorFlow still holds its functions, all but ``batch_normalization``, for itself.

    :return: module
    """
    parts = {
        function: f"{LEGACY_LAYERS}.{module}"
        for module, functions in LAYERS.items()
        for function in functions
    }
    return LazyModule("tensorflow.layers", parts, "tf.layers ended with TensorFlow 2.15")


def install(tf, version):
    """
    :param tf: the module that stands for ``tensorflow``
    :param version: of TensorFlow, (major, minor)
    """
    tf.py_func = cast_outputs(tf.py_func)
    tf.get_variable = regularise_at_once(accept_whole_floats(tf.get_variable), tf)
    tf.map_fn = map_as_written(tf.map_fn, tf.autograph.experimental.do_not_convert)
    if version >= (2, 16):
        tf.layers = legacy_layers()
