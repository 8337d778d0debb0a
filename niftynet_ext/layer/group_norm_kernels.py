"""The arithmetic of group normalisation and PReLU, forwards and backwards.

``y = gamma * (x - mean) / sqrt(variance + eps) + beta`` per image and group of channels, then
``max(y, 0) + alpha * min(y, 0)``. Forwards: one pass for the two sums over space, and one pass that
writes. Backwards, with a hand-written gradient: one pass for three sums, and one that writes; ``y``
is computed again, not kept, so a layer keeps only its input. On a processor each direction is
compiled (:mod:`niftynet_ext.layer.compilation`). Sums and coefficients are float32 whatever the
type of the input.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING

import tensorflow as tf

from niftynet_ext.layer.compilation import uses_xla, xla_compiled
from niftynet_ext.layer.ddc import dims

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VARIANCE_EPSILON = 1e-5  # of NiftyNet's GNLayer
# XLA does not vectorise a sum over space of terms that are computed on the fly. It does vectorise
# the terms' sum over this many slabs, and the plain sum of the slab that is left.
N_SLABS = 8


def slabs(images: tf.Tensor) -> list[tf.Tensor]:
    """Cut the space of each image into slabs.

    :param images: (batch, X, Y, Z, channels)
    :return: float32 (batch, voxels of a slab, channels) each
    """
    batch, *space = dims(images, stop=-1)
    n_voxels = functools.reduce(operator.mul, space)
    known = not tf.is_tensor(n_voxels)
    n = N_SLABS if uses_xla() and known and n_voxels % N_SLABS == 0 else 1
    parts = tf.reshape(images, [batch, n, n_voxels // n, -1])
    return tf.unstack(tf.cast(parts, tf.float32), axis=1)


def flat(*parameters: tf.Tensor) -> list[tf.Tensor]:
    """Return parameters of any shape as (channels,)."""
    return [tf.reshape(parameter, [-1]) for parameter in parameters]


def over_space(values: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the sum over space of slabs, (batch, channels)."""
    return tf.reduce_sum(tf.add_n(values), axis=1)


def in_slab(values: tf.Tensor) -> tf.Tensor:
    """Return (batch, channels) values in a shape that broadcasts with a slab."""
    return tf.expand_dims(values, 1)


def in_image(values: tf.Tensor) -> tf.Tensor:
    """Return (batch, channels) values in a shape that broadcasts with an image."""
    return tf.reshape(values, [*dims(values, stop=-1), 1, 1, 1, -1])


def over_group(values: tf.Tensor, n_groups: int) -> tf.Tensor:
    """Replace each channel by the sum over the channels of its group.

    :param values: (batch, channels)
    :param n_groups: groups of consecutive channels
    :return: (batch, channels)
    """
    batch = dims(values, stop=-1)
    groups = tf.reshape(values, [*batch, n_groups, -1])
    sums = tf.reduce_sum(groups, axis=2, keepdims=True) + tf.zeros_like(groups)
    return tf.reshape(sums, [*batch, -1])


def group_size(images: tf.Tensor, n_groups: int) -> tf.Tensor:
    """Return the number of values in a group of an image, float32."""
    n_images = tf.cast(dims(images, stop=1)[0], tf.float32)
    return tf.cast(tf.size(images, out_type=tf.int64), tf.float32) / (n_images * n_groups)


@xla_compiled
def forward(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, alpha: tf.Tensor, n_groups: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Compute the output of the layer, and the moments that the gradient needs.

    :param x: (batch, X, Y, Z, channels)
    :param gamma: (..., channels), all axes but the last of size 1
    :param beta: likewise
    :param alpha: likewise, slopes of the PReLU
    :param n_groups: groups of consecutive channels; channels is a multiple of it
    :return: the output of the layer in the type of x; mean and 1 / standard deviation
        (batch, channels)
    """
    gamma, beta, alpha = flat(gamma, beta, alpha)
    count, parts, zero = group_size(x, n_groups), slabs(x), tf.constant(0.0)

    def average(values: Sequence[tf.Tensor]) -> tf.Tensor:
        return over_group(over_space(values), n_groups) / count

    # Both moments about the mean of one slab of n, which is part of the whole: the first is at
    # most sqrt(n - 1) standard deviations, so its square takes no digits from the second
    near = average(parts[:1]) * len(parts)
    there = in_slab(near)
    centred = [part - there for part in parts]
    first = average(centred)
    mean = near + first
    variance = average([tf.square(part) for part in centred]) - tf.square(first)
    inverse = tf.rsqrt(variance + VARIANCE_EPSILON)
    y = (tf.cast(x, tf.float32) - in_image(mean)) * in_image(gamma * inverse) + beta
    z = tf.maximum(y, zero) + alpha * tf.minimum(y, zero)
    return tf.cast(z, x.dtype), mean, inverse


@xla_compiled
def backward(
    x: tf.Tensor,
    dz: tf.Tensor,
    mean: tf.Tensor,
    inverse: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    alpha: tf.Tensor,
    n_groups: int,
) -> list[tf.Tensor]:
    """Compute the gradients of :func:`forward`.

    :param x: input of :func:`forward`, (batch, X, Y, Z, channels)
    :param dz: gradient by its output, same shape
    :param mean: from :func:`forward`
    :param inverse: 1 / standard deviation, from :func:`forward`
    :param gamma: as for :func:`forward`
    :param beta: likewise
    :param alpha: likewise
    :param n_groups: likewise
    :return: gradients by x, gamma, beta and alpha
    """
    shapes = [[*dims(parameter, stop=-1), -1] for parameter in (gamma, beta, alpha)]
    gamma, beta, alpha = flat(gamma, beta, alpha)
    scale = gamma * inverse
    zero = tf.constant(0.0)

    def before_activation(
        centred: tf.Tensor, dz: tf.Tensor, scale: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the gradient by y, and min(y, 0)."""
        y = centred * scale + beta
        return tf.where(y > zero, dz, alpha * dz), tf.minimum(y, zero)

    terms = []  # of dy, of dy * (x - mean), of the gradient by alpha
    middle, scale_there = in_slab(mean), in_slab(scale)
    for part, dz_part in zip(slabs(x), slabs(dz)):
        centred = part - middle
        dy, negative = before_activation(centred, dz_part, scale_there)
        terms.append([dy, dy * centred, dz_part * negative])
    dy_sum, dy_x, dalpha = (over_space(parts) for parts in zip(*terms))
    dy_x = dy_x * inverse  # x normalised
    count = group_size(x, n_groups)
    slope = -over_group(gamma * dy_x, n_groups) * tf.square(inverse) / count
    offset = -over_group(gamma * dy_sum, n_groups) * inverse / count
    centred = tf.cast(x, tf.float32) - in_image(mean)
    dy, _ = before_activation(centred, tf.cast(dz, tf.float32), in_image(scale))
    dx = dy * in_image(scale) + (centred * in_image(slope) + in_image(offset))
    return [
        tf.cast(dx, x.dtype),
        *(
            tf.reshape(tf.reduce_sum(values, axis=0), shape)
            for values, shape in zip((dy_x, dy_sum, dalpha), shapes)
        ),
    ]


def group_norm(
    inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, alpha: tf.Tensor, n_groups: int
) -> tf.Tensor:
    """Normalise groups of channels, scale, shift and apply a PReLU, with its gradient.

    :param inputs: (batch, X, Y, Z, channels)
    :param gamma: (..., channels), all axes but the last of size 1
    :param beta: likewise
    :param alpha: likewise, slopes of a PReLU after the norm; slopes of 1 mean no PReLU
    :param n_groups: groups of consecutive channels; channels is a multiple of it
    :return: (batch, X, Y, Z, channels)
    """

    @tf.custom_gradient
    def normalise(
        x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, alpha: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        output, mean, inverse = forward(x, gamma, beta, alpha, n_groups)
        output.set_shape(x.shape)

        def gradient(dz: tf.Tensor) -> list[tf.Tensor]:
            gradients = backward(x, dz, mean, inverse, gamma, beta, alpha, n_groups)
            for by_value, value in zip(gradients, (x, gamma, beta, alpha)):
                by_value.set_shape(value.shape)
            return gradients

        return output, gradient

    return normalise(inputs, gamma, beta, alpha)
