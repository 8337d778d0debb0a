"""Functions of TensorFlow 1 whose namesakes in TensorFlow 2 are stricter, or missing."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from niftynet_ext.compat.lazy import LazyModule

Function = Callable[..., Any]
"""A function of TensorFlow, which is untyped."""

LEGACY_LAYERS = "tensorflow.python.keras.legacy_tf_layers"
LEGACY_FUNCTIONS = {
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
"""Module below :data:`LEGACY_LAYERS` -> functions of ``tf.layers`` that it defines."""


def cast_outputs(py_func: Function) -> Function:
    """Wrap ``tf.py_func`` so that results are cast to the declared types.

    NumPy 2 gives ``int32 array * int64 scalar`` the type int64, where NumPy 1 kept int32. NiftyNet
    computes window coordinates that way and declares int32, which TensorFlow then refuses:
    "1-th value returned by pyfunc_0 is int64, but expects int32".

    :param py_func: ``tf.compat.v1.py_func``
    :return: a function with the same parameters
    """

    @functools.wraps(py_func)
    def wrapper(
        func: Function,
        inp: Any,
        Tout: Any,  # noqa: N803  (TensorFlow's name)
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        single = not isinstance(Tout, (list, tuple))
        types_ = [Tout] if single else list(Tout)

        def cast(value: Any, dtype: Any) -> np.ndarray:
            value = np.asarray(value)
            wanted = dtype.as_numpy_dtype
            # only between integer types: any other difference is a mistake of the caller
            if value.dtype.kind in "iu" and np.dtype(wanted).kind in "iu":
                value = value.astype(wanted, copy=False)
            return value

        @functools.wraps(func)
        def cast_func(*values: Any) -> Any:
            out = func(*values)
            if single or not isinstance(out, (list, tuple)):
                return cast(out, types_[0]) if types_ else out
            return [cast(value, dtype) for value, dtype in zip(out, types_, strict=True)]

        return py_func(cast_func, inp, Tout, *args, **kwargs)

    return wrapper


def whole_number(size: Any) -> Any:
    """Return an int for a float that is a whole number, and anything else as given.

    :param size: a size of a shape
    :return: the size
    """
    return int(size) if isinstance(size, float) and size.is_integer() else size


def accept_whole_floats(get_variable: Function) -> Function:
    """Wrap ``tf.get_variable`` so that sizes may be floats that are whole numbers.

    TensorFlow 1 took ``tf.get_variable(shape=[16, 4.0])``. Such a size is the result of a plain
    ``/`` in Python 3: NiftyNet's ``ChannelSELayer`` (hence ``se_resnet``) divides its channels so.

    :param get_variable: ``tf.compat.v1.get_variable``
    :return: a function with the same parameters
    """

    @functools.wraps(get_variable)
    def wrapper(name: str, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(shape, (list, tuple)):
            shape = [whole_number(size) for size in shape]
        return get_variable(name, shape, *args, **kwargs)

    return wrapper


def regularise_at_once(get_variable: Function, tf: Any) -> Function:
    """Wrap ``tf.get_variable`` so that it computes a variable's penalty at once, as TensorFlow 1.

    TensorFlow 2 collects a function instead, which is computed again at each use and has no name,
    so that ``tf.get_collection(key, scope)`` and NiftyNet's ``layer.regularizer_loss()`` find none.
    (A regulariser of a variable scope is left to TensorFlow: NiftyNet sets none.)

    :param get_variable: ``tf.compat.v1.get_variable``
    :param tf: the module that stands for ``tensorflow``
    :return: a function with the same parameters
    """

    @functools.wraps(get_variable)
    def wrapper(
        name: str,
        shape: Any = None,
        dtype: Any = None,
        initializer: Any = None,
        regularizer: Function | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        def collect(variable: Any) -> None:
            """Collect the penalty; returning None leaves TensorFlow nothing to collect."""
            assert regularizer is not None
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


def map_as_written(map_fn: Function, do_not_convert: Function) -> Function:
    """Wrap ``tf.map_fn`` so that it calls its function unchanged, as TensorFlow 1.

    TensorFlow 2 first rewrites the function and all that it calls by AutoGraph, for which
    NiftyNet's losses were not written: a fifth of a second for a loss, and a file left in the
    temporary folder.

    :param map_fn: ``tf.compat.v1.map_fn``
    :param do_not_convert: ``tf.autograph.experimental.do_not_convert``
    :return: a function with the same parameters
    """

    @functools.wraps(map_fn)
    def wrapper(fn: Function, *args: Any, **kwargs: Any) -> Any:
        return map_fn(do_not_convert(fn), *args, **kwargs)

    return wrapper


def legacy_layers() -> LazyModule:
    """Make ``tf.layers``, which Keras 3 (TensorFlow 2.16 and later) no longer contains.

    TensorFlow still has all its functions but ``batch_normalization``, for internal use.

    :return: module
    """
    parts = {
        function: f"{LEGACY_LAYERS}.{module}"
        for module, functions in LEGACY_FUNCTIONS.items()
        for function in functions
    }
    return LazyModule("tensorflow.layers", parts, "tf.layers ended with TensorFlow 2.15")


def install(tf: Any, version: tuple[int, int]) -> None:
    """Put all of the above into the facade.

    :param tf: the module that stands for ``tensorflow``
    :param version: of TensorFlow, (major, minor)
    """
    tf.py_func = cast_outputs(tf.py_func)
    tf.get_variable = regularise_at_once(accept_whole_floats(tf.get_variable), tf)
    tf.map_fn = map_as_written(tf.map_fn, tf.autograph.experimental.do_not_convert)
    if version >= (2, 16):
        tf.layers = legacy_layers()
