"""Which kernels this machine has, and therefore which form of a layer is the fast one here.

On a CPU with oneDNN (TensorFlow 2 on x86), element-wise work and reductions are compiled by XLA
and dilated convolutions are native. With a graphics card, and on TensorFlow 1, layers are plain
TensorFlow operations: cuDNN works best with plain ``conv3d``. The numbers are the same.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


@functools.lru_cache(None)
def has_gpu() -> bool:
    """Return whether TensorFlow sees a graphics card."""
    return tf.test.is_built_with_cuda() and bool(tf.config.list_physical_devices("GPU"))


@functools.lru_cache(None)
def has_onednn() -> bool:
    """Return whether convolutions run on oneDNN, whose kernels know dilation in both passes."""
    if tf.__version__.startswith("1.") or has_gpu():
        return False
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


def knows_dilation(dtype: tf.DType) -> bool:
    """Return whether this machine's convolutions of a type take a dilation above 1.

    TensorFlow's own kernels on a CPU do not, and its oneDNN computes in bfloat16 on processors with
    AVX-512 only.

    :param dtype: of the images
    """
    return has_onednn() and (dtype == tf.float32 or has_avx512())


@functools.lru_cache(None)
def has_avx512() -> bool:
    """Return whether the processor has AVX-512; False where the system does not say."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return "avx512f" in file.read()
    except OSError:
        return False


@functools.lru_cache(None)
def uses_xla() -> bool:
    """Return whether XLA compiles functions for the processor."""
    return not (tf.__version__.startswith("1.") or has_gpu())


def xla_compiled(function: Callable[..., Result]) -> Callable[..., Result]:
    """Compile a function with XLA: one loop over the arrays, not one per arithmetic operation.

    A decorator. A function is traced once for all layers that differ in the number of channels
    only, which its traces leave open: each operation costs TensorFlow's Python 0.25 ms.

    :param function: takes tensors (channels last) and plain Python values, creates no variables and
        returns tensors; the graph may not know the number of channels inside it
    :return: the same function, compiled at its first run for each set of shapes where that helps
    """
    traces: dict[tuple[Any, ...], Callable[..., Result]] = {}

    def with_open_channels(tensor: tf.Tensor) -> tf.TensorSpec:
        return tf.TensorSpec(tensor.shape.as_list()[:-1] + [None], tensor.dtype)

    @functools.wraps(function)
    def call(*values: Any) -> Result:
        if not uses_xla():
            return function(*values)
        key = tuple(with_open_channels(value) if tf.is_tensor(value) else value for value in values)

        def of_tensors(*tensors: tf.Tensor) -> Result:
            remaining = iter(tensors)
            return function(
                *(next(remaining) if isinstance(part, tf.TensorSpec) else part for part in key)
            )

        if key not in traces:
            traces[key] = tf.function(
                of_tensors, jit_compile=True, autograph=False
            ).get_concrete_function(*(part for part in key if isinstance(part, tf.TensorSpec)))
        return traces[key](*filter(tf.is_tensor, values))

    return call
