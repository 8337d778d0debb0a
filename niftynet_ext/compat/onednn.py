"""Workarounds for faults of TensorFlow on CPUs that NiftyNet's layers meet."""

import functools
import importlib
import os
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]
"""A function of TensorFlow, which is untyped."""

SWITCH = "TF_ENABLE_ONEDNN_OPTS"
"""TensorFlow's environment variable: 1 for oneDNN, 0 for its own kernels."""


def switch_on() -> None:
    """Have TensorFlow take oneDNN on every processor, unless the environment says otherwise.

    TensorFlow (2.15 to 2.21) itself takes it on processors with AVX-512 VNNI or AMX only. On one
    with AVX2 (an AMD EPYC) a training step of DenseHighRes3DNet without oneDNN took six times as
    long, and inference four and a half times. Read when TensorFlow is imported.
    """
    os.environ.setdefault(SWITCH, "1")


def thin_out_before_pointwise(
    conv2d_backprop_filter: Function, constant_value: Function
) -> Function:
    """Drop the unused pixels before the kernel gradient of a strided 1 x 1 convolution.

    oneDNN (in TensorFlow 2.21; AVX-512, two threads or more) writes beyond its buffers there if
    there are fewer than 16 channels: the heap is corrupted, and the process crashes some steps
    later. ``HolisticNet`` takes such steps (``UpSampleLayer('CHANNELWISE_DECONV')`` with kernels
    of 1). A 1 x 1 kernel sees only every ``stride``-th pixel, so the result is the same.

    :param conv2d_backprop_filter: of ``tensorflow.python.ops.gen_nn_ops``
    :param constant_value: of ``tensorflow.python.framework.tensor_util``
    :return: a function with the same parameters
    """

    def kernel_size(filter_sizes: Any) -> list[int] | None:
        """Return [height, width], None where the graph does not know them yet."""
        operation = getattr(filter_sizes, "op", None)
        if operation is None:  # numbers
            return list(filter_sizes[:2])
        if operation.type == "ShapeN":  # as the gradient of a convolution asks for it
            shape: list[int] = operation.inputs[filter_sizes.value_index].shape[:2].as_list()
            return shape
        sizes = constant_value(filter_sizes)
        return None if sizes is None else list(sizes[:2])

    @functools.wraps(conv2d_backprop_filter)
    def wrapper(
        input: Any,
        filter_sizes: Any,
        out_backprop: Any,
        strides: Any,
        padding: str | bytes,
        *args: Any,
        **attributes: Any,
    ) -> Any:
        if (
            not args
            and max(strides) > 1
            and kernel_size(filter_sizes) == [1, 1]
            # gradients pass attributes as text or as bytes
            and padding in ("SAME", b"SAME", "VALID", b"VALID")
            and attributes.get("data_format", "NHWC") in ("NHWC", b"NHWC")
        ):
            _, down, across, _ = strides
            input, strides = input[:, ::down, ::across, :], [1, 1, 1, 1]
        return conv2d_backprop_filter(
            input, filter_sizes, out_backprop, strides, padding, *args, **attributes
        )

    return wrapper


def keep_volumes_padded(pad: Function, pad_v2: Function) -> Function:
    """Make ``tf.pad`` of volumes with zeros the operation PadV2, not Pad.

    TensorFlow (2.15 to 2.21, with oneDNN) fuses a Pad with the 3-D convolution after it as if that
    were VALID; where it is SAME, the result is smaller than the graph says, or its values are those
    of other voxels. ``ConvLayer(padding="CONSTANT")`` is such a pair. PadV2 is not fused.

    :param pad: of ``tensorflow.python.ops.gen_array_ops``
    :param pad_v2: likewise
    :return: a function with the parameters of ``pad``
    """

    @functools.wraps(pad)
    def wrapper(input: Any, paddings: Any, name: str | None = None) -> Any:
        if getattr(getattr(input, "shape", None), "rank", None) == 5:  # of a tensor
            return pad_v2(input, paddings, input.dtype.as_numpy_dtype(0), name=name or "Pad")
        return pad(input, paddings, name=name)

    return wrapper


def install() -> None:
    """Replace both functions where ``tf.pad``, and gradients of ``tf.nn.conv2d``, look them up."""
    gen_array_ops: Any = importlib.import_module("tensorflow.python.ops.gen_array_ops")
    gen_array_ops.pad = keep_volumes_padded(gen_array_ops.pad, gen_array_ops.pad_v2)
    gen_nn_ops: Any = importlib.import_module("tensorflow.python.ops.gen_nn_ops")
    tensor_util: Any = importlib.import_module("tensorflow.python.framework.tensor_util")
    gen_nn_ops.conv2d_backprop_filter = thin_out_before_pointwise(
        gen_nn_ops.conv2d_backprop_filter, tensor_util.constant_value
    )
