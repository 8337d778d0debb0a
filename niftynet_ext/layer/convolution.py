"""Convolution without bias, dilated or not, in the form that is fast on this machine."""

import tensorflow as tf
from niftynet.layer import convolution as niftynet_convolution
from niftynet.layer.base_layer import TrainableLayer

from niftynet_ext.layer.compilation import has_onednn
from niftynet_ext.layer.ddc import DDCLayer, dims
from niftynet_ext.layer.winograd import winograd, winograd_pays


def convolve(inputs, kernel, dilation):
    """Convolution of padding SAME and stride 1.

    :param inputs: (batch, X, Y, Z, channels)
    :param kernel: (side, side, side, channels, channels out)
    :param dilation: distance of the kernel's taps, in voxels
    :return: (batch, X, Y, Z, channels out)
    """
    if has_onednn() and winograd_pays(inputs, kernel, dilation):
        return winograd(inputs, kernel, dilation)
    if has_onednn() and dilation > 1:
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


def dilated(inputs, kernel, dilation):
    """:func:`convolve` for oneDNN: native dilation for output and gradient by the input, sub-grids
    for the gradient by the kernel, whose native form is three times slower."""
    dilations = [1, dilation, dilation, dilation, 1]
    options = {"strides": [1] * 5, "padding": "SAME"}

    @tf.custom_gradient
    def convolution(x, w):
        def sub_grids(images):
            """Every ``dilation``-th voxel as an image of its own; zeros at the ends add nothing."""
            missing = [-size % dilation for size in dims(x)[1:4]]
            return tf.space_to_batch_nd(images, [dilation] * 3, [[0, one] for one in missing])

        def gradient(dy):
            dx = tf.raw_ops.Conv3DBackpropInputV2(
                input_sizes=tf.shape(x), filter=w, out_backprop=dy, dilations=dilations, **options
            )
            dw = tf.raw_ops.Conv3DBackpropFilterV2(
                input=sub_grids(x), filter_sizes=tf.shape(w), out_backprop=sub_grids(dy), **options
            )
            return dx, dw

        return tf.raw_ops.Conv3D(input=x, filter=w, dilations=dilations, **options), gradient

    return convolution(inputs, kernel)


def half_fills_vectors(inputs, kernel):
    """:return: whether 8 channels out leave half of each vector of 16 empty, and pairs fill it"""
    depth = inputs.shape.as_list()[3]
    return kernel.shape.as_list()[-1] == 8 and depth is not None and depth % 2 == 0


def paired(inputs, kernel):
    """:func:`convolve` with 3 x 3 x 3 kernels for oneDNN: two neighbours along z at once.

    A kernel of depth 4 and stride 2 gives both their outputs as channels, in the order of memory.
    """
    wide = {"strides": [1, 1, 1, 2, 1], "padding": "SAME"}
    n_out = kernel.shape.as_list()[-1]

    @tf.custom_gradient
    def convolution(x, w):
        batch, width, height, depth, _ = dims(x)
        lower, upper = ([[0, 0], [0, 0], pad, [0, 0], [0, 0]] for pad in ([0, 1], [1, 0]))
        pair = tf.concat([tf.pad(w, lower), tf.pad(w, upper)], axis=-1)

        def gradient(dy):
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


def convolve_in_cells(inputs, kernel, factor):
    """:func:`convolve`, then DDC: each step of a larger kernel computes the voxels of one cell.

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
    """NiftyNet's ConvLayer without bias, of padding SAME and stride 1; see :func:`convolve`.

    :param n_output_chns: channels out
    :param kernel_size: side of the cubic kernel
    :param dilation: distance of the kernel's taps, in voxels
    :param ddc_factor: down-sampling factor of a DDC behind it (undilated), 1 for none
    :param name: scope name
    """

    def __init__(
        self,
        n_output_chns,
        kernel_size,
        dilation=1,
        ddc_factor=1,
        w_initializer=None,
        w_regularizer=None,
        name="conv",
    ):
        super().__init__(name=name)
        self.n_output_chns = n_output_chns
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.ddc_factor = ddc_factor
        self.initializers = {"w": w_initializer or niftynet_convolution.default_w_initializer()}
        self.regularizers = {"w": w_regularizer}

    def layer_op(self, inputs):
        """
        :param inputs: (batch, X, Y, Z, C)
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
