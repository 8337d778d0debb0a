"""Which kernels this machine has, and so which form of a layer is the fast one here.

On a CPU with oneDNN (TensorFlow 2 on x86), element-wise work and reductions are compiled by XLA
and dilated convolutions are native. With a graphics card, and on TensorFlow 1, layers are plain
TensorFlow operations: cuDNN wants plain ``conv3d``. The numbers are the same.
"""

import functools

import tensorflow as tf


@functools.lru_cache(None)
def has_gpu():
    """:return: whether TensorFlow sees a graphics card"""
    return tf.test.is_built_with_cuda() and bool(tf.config.list_physical_devices("GPU"))


@functools.lru_cache(None)
def has_onednn():
    """:return: whether convolutions run on oneDNN, whose kernels know dilation in both passes"""
    if tf.__version__.startswith("1.") or has_gpu():
        return False
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


@functools.lru_cache(None)
def compiles():
    """:return: whether XLA compiles functions for the processor"""
    return not (tf.__version__.startswith("1.") or has_gpu())


def compiled(function):
    """Decorator: one loop over the arrays in the place of an operation for each sign.

    A function is traced once for all layers that differ in the number of channels alone, which its
    traces leave open: each operation costs TensorFlow's Python 0.25 ms.

    :param function: of tensors (channels last) and plain Python values, without variables, to
        tensors, whose number of channels the graph may then not know
    :return: the same function, compiled at its first run for each set of shapes where that helps
    """
    traces = {}

    def channels_open(tensor):
        return tf.TensorSpec(tensor.shape.as_list()[:-1] + [None], tensor.dtype)

    @functools.wraps(function)
    def call(*values):
        if not compiles():
            return function(*values)
        key = tuple(channels_open(one) if tf.is_tensor(one) else one for one in values)

        def of_tensors(*tensors):
            left = iter(tensors)
            return function(*(next(left) if isinstance(one, tf.TensorSpec) else one for one in key))

        if key not in traces:
            traces[key] = tf.function(
                of_tensors, jit_compile=True, autograph=False
            ).get_concrete_function(*(one for one in key if isinstance(one, tf.TensorSpec)))
        return traces[key](*filter(tf.is_tensor, values))

    return call
