"""Convolution by 3 x 3 x 3 with half the multiplications: Winograd's F(4, 3) along x.

Four neighbouring rows of output take six multiplications for each tap in y and z, not twelve
(Lavin and Gray, 2016, section 4; the matrices are theirs). With dilation d the neighbours are d
voxels apart. Six rows are mixed (:func:`mix`), each mixture is convolved with a mixed kernel of
1 x 3 x 3, and the products give four rows back (:func:`unmix`).
"""

import numpy as np
import tensorflow as tf

from niftynet_ext.layer.compilation import compiled

N_OUT, N_IN = 4, 6
ROWS = np.array(
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
KERNEL = (
    np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], np.float32)
    / 24
)
PRODUCTS = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32
)


def winograd_pays(inputs, kernel, dilation):
    """:return: whether this form is possible, exact enough, and the faster one"""
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


def mixtures(matrix, tensors):
    """:return: for each row of the matrix, the sum of the tensors with its weights"""
    weights = {one: tf.constant(one) for one in np.unique(matrix) if one not in (0, 1)}
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


def blocks(images, dilation):
    """Cut x into blocks of four rows, ``dilation`` apart, filled up with zeros.

    :param images: (batch, X, Y, Z, C)
    :return: (batch, blocks, 4, dilation * Y * Z * C)
    """
    batch, x = images.shape.as_list()[:2]
    side = N_OUT * dilation
    missing = -x % side
    if missing:
        images = tf.pad(images, [[0, 0], [0, missing], [0, 0], [0, 0], [0, 0]])
    return tf.reshape(images, [batch, (x + missing) // side, N_OUT, -1])


def like_images(rows, images, dilation):
    """:return: the inverse of :func:`blocks` for tensors of one row of four:
    (batch, blocks * dilation, Y, Z, C) each"""
    batch, _, *yz = images.shape.as_list()[:-1]
    return [tf.reshape(one, [batch, one.shape[1] * dilation, *yz, -1]) for one in rows]


def sub_grids(images, dilation):
    """Every ``dilation``-th voxel of y and z as an image of its own, filled up with zeros.

    :param images: (batch, X, Y, Z, C)
    :return: (dilation^2 * batch, X, ceil(Y / dilation), ceil(Z / dilation), C)
    """
    if dilation == 1:
        return images
    missing = [-size % dilation for size in images.shape.as_list()[2:4]]
    return tf.space_to_batch_nd(
        images, [1, dilation, dilation], [[0, 0], *([0, one] for one in missing)]
    )


@compiled
def mix(images, dilation, grid):
    """
    :param images: (batch, X, Y, Z, C)
    :param grid: dilation of the :func:`sub_grids` to return
    :return: six mixtures of rows, (batch, ceil(X / 4 dilation) * dilation, Y, Z, C) each
    """
    images = sub_grids(images, grid)
    own = tf.unstack(blocks(images, dilation), axis=2)
    edge = tf.zeros_like(own[0][:, :1])
    rows = [tf.concat([edge, own[-1][:, :-1]], 1), *own, tf.concat([own[0][:, 1:], edge], 1)]
    return like_images(mixtures(ROWS, rows), images, dilation)


@compiled
def unmix(x, dilation, *products):
    """
    :param x: rows of the output, X
    :param products: six, as :func:`mix` returns
    :return: (batch, X, Y, Z, C)
    """
    batch, rows, *yz = products[0].shape.as_list()[:-1]
    flat = [tf.reshape(one, [batch, rows // dilation, -1]) for one in products]
    together = tf.stack(mixtures(PRODUCTS, flat), axis=2)
    return tf.reshape(together, [batch, rows * N_OUT, *yz, -1])[:, :x]


@compiled
def unmix_gradient(dy, dilation):
    """:return: gradients by the six products, in sub-grids"""
    dy = sub_grids(dy, dilation)
    rows = tf.unstack(blocks(dy, dilation), axis=2)
    return like_images(mixtures(PRODUCTS.T, rows), dy, dilation)


def mix_kernel(kernel):
    """:return: six kernels (1, 3, 3, C, C out) of one of (3, 3, 3, C, C out)"""
    mixed = tf.matmul(KERNEL, tf.reshape(kernel, [3, -1]))
    return tf.unstack(tf.reshape(mixed, [N_IN, 1, *kernel.shape.as_list()[1:]]))


def forward(x, w, dilation):
    """Without a gradient; as :func:`winograd`."""
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


def kernel_gradient(x, dy, shape, dilation):
    """:return: gradient by the kernel; on sub-grids, for native dilation is slow here"""
    shape_of_one = tf.constant([1, *shape[1:]])
    mixed = [
        tf.raw_ops.Conv3DBackpropFilterV2(
            input=rows,
            filter_sizes=shape_of_one,
            out_backprop=by_product,
            strides=[1] * 5,
            padding="SAME",
        )
        for rows, by_product in zip(mix(x, dilation, dilation), unmix_gradient(dy, dilation))
    ]
    flat = tf.reshape(tf.stack(mixed), [N_IN, -1])
    return tf.reshape(tf.matmul(KERNEL, flat, transpose_a=True), shape)


def winograd(inputs, kernel, dilation):
    """
    :param inputs: (batch, X, Y, Z, C), a known shape
    :param kernel: (3, 3, 3, C, C out)
    :param dilation: distance of the kernel's taps, in voxels
    :return: (batch, X, Y, Z, C out)
    """

    @tf.custom_gradient
    def convolution(x, w):
        def gradient(dy):
            turned = tf.transpose(tf.reverse(w, [0, 1, 2]), [0, 1, 2, 4, 3])
            return (
                forward(dy, turned, dilation),
                kernel_gradient(x, dy, w.shape.as_list(), dilation),
            )

        return forward(x, w, dilation), gradient

    return convolution(inputs, kernel)
