"""Convolution by 3 x 3 x 3 with half the multiplications: Winograd's F(4, 3) along x.

Four neighbouring rows of output take six multiplications for each tap in y and z, not twelve
(Lavin and Gray, 2016, section 4, where the matrices come from). With dilation d the neighbours are
d voxels apart. Six rows are mixed (:func:`mix`), each mixture is convolved with a mixed kernel of
1 x 3 x 3, and the products give four rows back (:func:`unmix`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from niftynet_ext.layer.compilation import xla_compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

N_OUT, N_IN = 4, 6  # rows of output of a block, and rows of input that they depend on
INPUT_TRANSFORM = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
"""Mixtures of six rows of input: the paper's transposed B."""
KERNEL_TRANSFORM = (
    np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], np.float32)
    / 24
)
"""Mixtures of the three taps along x: the paper's G."""
OUTPUT_TRANSFORM = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32
)
"""Mixtures of six products that give four rows of output: the paper's transposed A."""


def winograd_pays(inputs: tf.Tensor, kernel: tf.Tensor, dilation: int) -> bool:
    """Return whether this form is possible, exact enough, and the fastest.

    :param inputs: (batch, X, Y, Z, channels)
    :param kernel: (side, side, side, channels, channels out)
    :param dilation: distance between the taps of the kernel, in voxels
    :return: True where :func:`winograd` should be used
    """
    *taps, channels, n_out = kernel.shape.as_list()
    if (
        taps != [3, 3, 3]
        or min(channels, n_out) < 16  # vectors of 16
        or inputs.dtype != tf.float32
        or None in inputs.shape.as_list()
    ):
        return False
    x = inputs.shape.as_list()[1]
    return -x % (N_OUT * dilation) <= x / 4  # rows that only fill the last block up


def mixtures(matrix: np.ndarray, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return, for each row of the matrix, the sum of the tensors with its weights.

    :param matrix: (mixtures, tensors) weights
    :param tensors: tensors of the same shape
    :return: mixtures of that shape
    """
    weights = {weight: tf.constant(weight) for weight in np.unique(matrix) if weight not in (0, 1)}
    return [
        tf.add_n(
            [
                tensor if weight == 1 else weights[weight] * tensor
                for weight, tensor in zip(row, tensors)
                if weight
            ]
        )
        for row in matrix
    ]


def blocks(images: tf.Tensor, dilation: int) -> tf.Tensor:
    """Cut x into blocks of four rows, ``dilation`` apart, padded with zeros.

    :param images: (batch, X, Y, Z, channels)
    :param dilation: distance between the rows of a block, in voxels
    :return: (batch, blocks, 4, dilation * Y * Z * channels)
    """
    batch, x = images.shape.as_list()[:2]
    side = N_OUT * dilation
    missing = -x % side
    if missing:
        images = tf.pad(images, [[0, 0], [0, missing], [0, 0], [0, 0], [0, 0]])
    return tf.reshape(images, [batch, (x + missing) // side, N_OUT, -1])


def like_images(rows: Sequence[tf.Tensor], images: tf.Tensor, dilation: int) -> list[tf.Tensor]:
    """Invert :func:`blocks` for tensors that hold one row of each block of four.

    :param rows: (batch, blocks, dilation * Y * Z * channels) each
    :param images: (batch, X, Y, Z, channels), for its sizes
    :param dilation: as for :func:`blocks`
    :return: (batch, blocks * dilation, Y, Z, channels) each
    """
    batch, _, *yz = images.shape.as_list()[:-1]
    return [tf.reshape(row, [batch, row.shape[1] * dilation, *yz, -1]) for row in rows]


def sub_grids(images: tf.Tensor, dilation: int) -> tf.Tensor:
    """Make every ``dilation``-th voxel of y and z a separate image, padded with zeros.

    :param images: (batch, X, Y, Z, channels)
    :param dilation: distance between the voxels of a sub-grid
    :return: (dilation^2 * batch, X, ceil(Y / dilation), ceil(Z / dilation), channels)
    """
    if dilation == 1:
        return images
    missing = [-size % dilation for size in images.shape.as_list()[2:4]]
    return tf.space_to_batch_nd(
        images, [1, dilation, dilation], [[0, 0], *([0, after] for after in missing)]
    )


@xla_compiled
def mix(images: tf.Tensor, dilation: int, grid: int) -> list[tf.Tensor]:
    """Mix each six rows of input that four rows of output depend on.

    :param images: (batch, X, Y, Z, channels)
    :param dilation: distance between the rows, in voxels
    :param grid: dilation of the :func:`sub_grids` to return
    :return: six mixtures of rows, (batch, ceil(X / 4 dilation) * dilation, Y, Z, channels) each
    """
    images = sub_grids(images, grid)
    own = tf.unstack(blocks(images, dilation), axis=2)
    edge = tf.zeros_like(own[0][:, :1])
    rows = [tf.concat([edge, own[-1][:, :-1]], 1), *own, tf.concat([own[0][:, 1:], edge], 1)]
    return like_images(mixtures(INPUT_TRANSFORM, rows), images, dilation)


@xla_compiled
def unmix(x: int, dilation: int, *products: tf.Tensor) -> tf.Tensor:
    """Turn the six products back into rows of output.

    :param x: number of rows of the output, X
    :param dilation: as for :func:`mix`
    :param products: six tensors, in the shape that :func:`mix` returns
    :return: (batch, X, Y, Z, channels)
    """
    batch, rows, *yz = products[0].shape.as_list()[:-1]
    flat = [tf.reshape(product, [batch, rows // dilation, -1]) for product in products]
    together = tf.stack(mixtures(OUTPUT_TRANSFORM, flat), axis=2)
    return tf.reshape(together, [batch, rows * N_OUT, *yz, -1])[:, :x]


@xla_compiled
def unmix_gradient(dy: tf.Tensor, dilation: int) -> list[tf.Tensor]:
    """Return the gradients by the six products, in sub-grids.

    :param dy: gradient by the output of :func:`unmix`, (batch, X, Y, Z, channels)
    :param dilation: as for :func:`mix`, and of the sub-grids
    :return: six tensors, in the shape that :func:`mix` returns
    """
    dy = sub_grids(dy, dilation)
    rows = tf.unstack(blocks(dy, dilation), axis=2)
    return like_images(mixtures(OUTPUT_TRANSFORM.T, rows), dy, dilation)


def mix_kernel(kernel: tf.Tensor) -> list[tf.Tensor]:
    """Mix the three taps along x.

    :param kernel: (3, 3, 3, channels, channels out)
    :return: six kernels (1, 3, 3, channels, channels out)
    """
    mixed = tf.matmul(KERNEL_TRANSFORM, tf.reshape(kernel, [3, -1]))
    return tf.unstack(tf.reshape(mixed, [N_IN, 1, *kernel.shape.as_list()[1:]]))


def without_gradient(x: tf.Tensor, w: tf.Tensor, dilation: int) -> tf.Tensor:
    """Compute :func:`winograd` without its gradient."""
    products = [
        tf.raw_ops.Conv3D(
            input=rows,
            filter=kernel,
            strides=[1] * 5,
            padding="SAME",
            dilations=[1, 1, dilation, dilation, 1],
        )
        for rows, kernel in zip(mix(x, dilation, 1), mix_kernel(w))
    ]
    output = unmix(x.shape.as_list()[1], dilation, *products)
    output.set_shape(x.shape.as_list()[:-1] + w.shape.as_list()[-1:])
    return output


def kernel_gradient(x: tf.Tensor, dy: tf.Tensor, shape: Sequence[int], dilation: int) -> tf.Tensor:
    """Return the gradient by the kernel; on sub-grids, because native dilation is slow here.

    :param x: input of :func:`winograd`
    :param dy: gradient by its output
    :param shape: shape of the kernel
    :param dilation: as for :func:`winograd`
    :return: tensor of that shape
    """
    mixed_shape = tf.constant([1, *shape[1:]])
    mixed = [
        tf.raw_ops.Conv3DBackpropFilterV2(
            input=rows,
            filter_sizes=mixed_shape,
            out_backprop=by_product,
            strides=[1] * 5,
            padding="SAME",
        )
        for rows, by_product in zip(mix(x, dilation, dilation), unmix_gradient(dy, dilation))
    ]
    flat = tf.reshape(tf.stack(mixed), [N_IN, -1])
    return tf.reshape(tf.matmul(KERNEL_TRANSFORM, flat, transpose_a=True), shape)


def winograd(inputs: tf.Tensor, kernel: tf.Tensor, dilation: int) -> tf.Tensor:
    """Convolve with padding SAME and stride 1, with half the multiplications.

    :param inputs: (batch, X, Y, Z, channels), a known shape
    :param kernel: (3, 3, 3, channels, channels out)
    :param dilation: distance between the taps of the kernel, in voxels
    :return: (batch, X, Y, Z, channels out)
    """

    @tf.custom_gradient
    def convolution(
        x: tf.Tensor, w: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            turned = tf.transpose(tf.reverse(w, [0, 1, 2]), [0, 1, 2, 4, 3])
            return (
                without_gradient(dy, turned, dilation),
                kernel_gradient(x, dy, w.shape.as_list(), dilation),
            )

        return without_gradient(x, w, dilation), gradient

    return convolution(inputs, kernel)
