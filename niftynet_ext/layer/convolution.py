"""Convolution without bias, dilated or not, in the form that is fast on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from niftynet.layer import convolution as niftynet_convolution
from niftynet.layer.base_layer import TrainableLayer

from niftynet_ext.layer.compilation import has_onednn, knows_dilation
from niftynet_ext.layer.ddc import DDCLayer, dims
from niftynet_ext.layer.winograd import winograd, winograd_pays

if TYPE_CHECKING:
    from collections.abc import Callable


def convolve(inputs: tf.Tensor, kernel: tf.Tensor, dilation: int) -> tf.Tensor:
    """Convolve with padding SAME and stride 1.

    :param inputs: (batch, X, Y, Z, channels)
    :param kernel: (side, side, side, channels, channels out)
    :param dilation: distance between the taps of the kernel, in voxels
    :return: (batch, X, Y, Z, channels out)
    """
    if has_onednn() and winograd_pays(inputs, kernel, dilation):
        return winograd(inputs, kernel, dilation)
    if dilation > 1 and knows_dilation(inputs.dtype):
        return dilated(inputs, kernel, dilation)
    if (
        has_onednn()
        and kernel.shape.as_list()[:3] == [3, 3, 3]
        and half_fills_vectors(inputs, kernel)
    ):
        return paired(inputs, kernel)
    # TensorFlow dilates by convolving sub-grids (space to batch): plain conv3d for cuDNN
    return tf.nn.convolution(
        input=inputs, filter=kernel, dilation_rate=[dilation] * 3, padding="SAME", name="conv"
    )


def dilated(inputs: tf.Tensor, kernel: tf.Tensor, dilation: int) -> tf.Tensor:
    """Compute :func:`convolve` on oneDNN with a dilation above 1.

    The output and the gradient by the input use the native dilation. The gradient by the kernel
    uses sub-grids: its native form is three times slower.

    :param inputs: (batch, X, Y, Z, channels)
    :param kernel: (side, side, side, channels, channels out)
    :param dilation: distance between the taps of the kernel, in voxels
    :return: (batch, X, Y, Z, channels out)
    """
    dilations = [1, dilation, dilation, dilation, 1]
    options: dict[str, Any] = {"strides": [1] * 5, "padding": "SAME"}

    @tf.custom_gradient
    def convolution(x: tf.Tensor, w: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        def sub_grids(images: tf.Tensor) -> tf.Tensor:
            """Make every ``dilation``-th voxel a separate image; zeros at the ends add nothing."""
            missing = [-size % dilation for size in dims(x)[1:4]]
            return tf.space_to_batch_nd(images, [dilation] * 3, [[0, after] for after in missing])

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            dx = tf.raw_ops.Conv3DBackpropInputV2(
                input_sizes=tf.shape(x), filter=w, out_backprop=dy, dilations=dilations, **options
            )
            dw = tf.raw_ops.Conv3DBackpropFilterV2(
                input=sub_grids(x), filter_sizes=tf.shape(w), out_backprop=sub_grids(dy), **options
            )
            return dx, dw

        return tf.raw_ops.Conv3D(input=x, filter=w, dilations=dilations, **options), gradient

    return convolution(inputs, kernel)


def half_fills_vectors(inputs: tf.Tensor, kernel: tf.Tensor) -> bool:
    """Return whether 8 channels out leave half of each vector of 16 empty, and pairs fill it.

    :param inputs: (batch, X, Y, Z, channels)
    :param kernel: (side, side, side, channels, channels out)
    :return: True where :func:`paired` is possible and faster
    """
    depth = inputs.shape.as_list()[3]
    return kernel.shape.as_list()[-1] == 8 and depth is not None and depth % 2 == 0


def paired(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Compute :func:`convolve` on oneDNN for two neighbours along z at once.

    A kernel of depth 4 and stride 2 gives both their outputs as channels, in the order of memory.

    :param inputs: (batch, X, Y, Z, channels); Z even
    :param kernel: (3, 3, 3, channels, channels out)
    :return: (batch, X, Y, Z, channels out)
    """
    wide: dict[str, Any] = {"strides": [1, 1, 1, 2, 1], "padding": "SAME"}
    n_out = kernel.shape.as_list()[-1]

    @tf.custom_gradient
    def convolution(x: tf.Tensor, w: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        batch, width, height, depth, _ = dims(x)
        lower, upper = ([[0, 0], [0, 0], pad, [0, 0], [0, 0]] for pad in ([0, 1], [1, 0]))
        pair = tf.concat([tf.pad(w, lower), tf.pad(w, upper)], axis=-1)

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            dx = tf.raw_ops.Conv3DBackpropInputV2(
                input_sizes=tf.shape(x), filter=w, out_backprop=dy, strides=[1] * 5, padding="SAME"
            )
            dpair = tf.raw_ops.Conv3DBackpropFilterV2(
                input=x,
                filter_sizes=tf.shape(pair),
                out_backprop=tf.reshape(dy, [batch, width, height, depth // 2, 2 * n_out]),
                **wide,
            )
            return dx, dpair[:, :, :3, :, :n_out] + dpair[:, :, 1:, :, n_out:]

        pairs = tf.raw_ops.Conv3D(input=x, filter=pair, **wide)
        return tf.reshape(pairs, [batch, width, height, depth, n_out]), gradient

    return convolution(inputs, kernel)


def convolve_in_cells(inputs: tf.Tensor, kernel: tf.Tensor, factor: int) -> tf.Tensor:
    """Compute :func:`convolve` and then DDC in one convolution.

    Each step of a larger kernel computes the voxels of one cell.

    :param inputs: (batch, X, Y, Z, channels); X, Y, Z divisible by ``factor``
    :param kernel: (side, side, side, channels, C); an odd side
    :param factor: side of a cell, in voxels
    :return: (batch, X/factor, Y/factor, Z/factor, C*factor^3), in the order of
        :class:`~niftynet_ext.layer.ddc.DDCLayer`
    """
    if not has_onednn():
        return DDCLayer(factor)(convolve(inputs, kernel, dilation=1))
    before = [[offset, factor - 1 - offset] for offset in range(factor)]
    shifted = tf.stack(
        [tf.pad(kernel, [x, y, z, [0, 0], [0, 0]]) for z in before for y in before for x in before],
        axis=-1,
    )
    side, _, _, channels, n_out, n_voxels = shifted.shape.as_list()
    wide = tf.reshape(shifted, [side, side, side, channels, n_out * n_voxels])
    return tf.nn.conv3d(inputs, wide, [1, factor, factor, factor, 1], "SAME")


class ConvLayer(TrainableLayer):
    """NiftyNet's ConvLayer without bias, with padding SAME and stride 1; see :func:`convolve`.

    :param n_output_chns: channels out
    :param kernel_size: side of the cubic kernel
    :param dilation: distance between the taps of the kernel, in voxels
    :param ddc_factor: down-sampling factor of a DDC after an undilated convolution, 1 for none
    :param w_initializer: initialiser of the kernel, None for NiftyNet's
    :param w_regularizer: regulariser of the kernel, or None
    :param name: scope name
    """

    def __init__(
        self,
        n_output_chns: int,
        kernel_size: int,
        dilation: int = 1,
        ddc_factor: int = 1,
        w_initializer: Callable[..., Any] | None = None,
        w_regularizer: Callable[..., Any] | None = None,
        name: str = "conv",
    ) -> None:
        super().__init__(name=name)
        self.n_output_chns = n_output_chns
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.ddc_factor = ddc_factor
        self.initializers = {"w": w_initializer or niftynet_convolution.default_w_initializer()}
        self.regularizers = {"w": w_regularizer}

    def layer_op(self, inputs: tf.Tensor) -> tf.Tensor:
        """Create the kernel and convolve.

        :param inputs: (batch, X, Y, Z, channels)
        :return: (batch, X/r, Y/r, Z/r, n_output_chns * r^3), r the factor of the DDC
        """
        shape = [self.kernel_size] * 3 + [inputs.shape.as_list()[-1], self.n_output_chns]
        kernel = tf.get_variable(
            "w", shape, initializer=self.initializers["w"], regularizer=self.regularizers["w"]
        )
        kernel = tf.cast(kernel, inputs.dtype)
        if self.ddc_factor > 1:
            return convolve_in_cells(inputs, kernel, self.ddc_factor)
        return convolve(inputs, kernel, self.dilation)
