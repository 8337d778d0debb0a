"""The arithmetic of group normalisation and PReLU, forwards and backwards.

``y = gamma * (x - mean) / sqrt(variance + eps) + beta`` per image and group of channels, then
``max(y, 0) + alpha * min(y, 0)``. Forwards: two sums over space in one go and one pass that writes.
Backwards, by a gradient of its own: three sums in one go and one pass; ``y`` is computed again, not
kept, so a layer keeps its input alone. On a processor each direction is compiled
(:mod:`niftynet_ext.layer.compilation`). Sums and coefficients are float32 whatever the input is.
"""

import functools
import operator

import tensorflow as tf

from niftynet_ext.layer.compilation import compiled, compiles
from niftynet_ext.layer.ddc import dims

EPSILON = 1e-5
# XLA does not vectorise a sum over space of terms that are computed on the fly. It does vectorise
# the terms' sum over this many slabs, and the plain sum of the slab that is left.
N_SLABS = 8


def slabs(images):
    """Cut the space of each image into slabs.

    :param images: (batch, X, Y, Z, C)
    :return: list of float32 (batch, M, C)
    """
    batch, *space = dims(images, stop=-1)
    n_voxels = functools.reduce(operator.mul, space)
    known = not tf.is_tensor(n_voxels)
    n = N_SLABS if compiles() and known and n_voxels % N_SLABS == 0 else 1
    parts = tf.reshape(images, [batch, n, n_voxels // n, -1])
    return tf.unstack(tf.cast(parts, tf.float32), axis=1)


def flat(*parameters):
    """:return: list of parameters of any shape as (C,)"""
    return [tf.reshape(one, [-1]) for one in parameters]


def over_space(values):
    """:return: sum over space of a list of slabs, (batch, C)"""
    return tf.reduce_sum(tf.add_n(values), axis=1)


def in_slab(values):
    """:return: (batch, C) values so that they meet a slab"""
    return tf.expand_dims(values, 1)


def in_image(values):
    """:return: (batch, C) values so that they meet an image"""
    return tf.reshape(values, [*dims(values, stop=-1), 1, 1, 1, -1])


def over_group(values, n_groups):
    """:return: sum over the channels of a group, back at each of them: (batch, C)"""
    batch = dims(values, stop=-1)
    groups = tf.reshape(values, [*batch, n_groups, -1])
    sums = tf.reduce_sum(groups, axis=2, keepdims=True) + tf.zeros_like(groups)
    return tf.reshape(sums, [*batch, -1])


def group_size(images, n_groups):
    """:return: how many values a group of an image has, float32"""
    n_images = tf.cast(dims(images, stop=1)[0], tf.float32)
    return tf.cast(tf.size(images, out_type=tf.int64), tf.float32) / (n_images * n_groups)


@compiled
def forward(x, gamma, beta, alpha, n_groups):
    """
    :param x: (batch, X, Y, Z, C)
    :param gamma: (..., C), all axes but the last of size 1
    :param beta: likewise
    :param alpha: likewise, slopes of the PReLU
    :param n_groups: groups of consecutive channels; C is a multiple of it
    :return: the layer's output in the type of x; mean and 1 / standard deviation (batch, C)
    """
    gamma, beta, alpha = flat(gamma, beta, alpha)
    count, parts, zero = group_size(x, n_groups), slabs(x), tf.constant(0.0)

    def average(values):
        return over_group(over_space(values), n_groups) / count

    # Both moments about the mean of one slab of n, which is part of the whole: the first is at
    # most sqrt(n - 1) standard deviations, so its square takes no digits from the second
    near = average(parts[:1]) * len(parts)
    there = in_slab(near)
    centred = [part - there for part in parts]
    first = average(centred)
    mean = near + first
    variance = average([tf.square(part) for part in centred]) - tf.square(first)
    inverse = tf.rsqrt(variance + EPSILON)
    y = (tf.cast(x, tf.float32) - in_image(mean)) * in_image(gamma * inverse) + beta
    z = tf.maximum(y, zero) + alpha * tf.minimum(y, zero)
    return tf.cast(z, x.dtype), mean, inverse


@compiled
def backward(x, dz, mean, inverse, gamma, beta, alpha, n_groups):
    """
    :param x: input of :func:`forward`
    :param dz: gradient by its output, same shape
    :param mean: from :func:`forward`
    :param inverse: from :func:`forward`
    :return: gradients by x, gamma, beta and alpha
    """
    shapes = [[*dims(one, stop=-1), -1] for one in (gamma, beta, alpha)]
    gamma, beta, alpha = flat(gamma, beta, alpha)
    scale = gamma * inverse
    zero = tf.constant(0.0)

    def before_activation(centred, dz, scale):
        """:return: gradient by y, and min(y, 0)"""
        y = centred * scale + beta
        return tf.where(y > zero, dz, alpha * dz), tf.minimum(y, zero)

    terms = []  # of dy, of dy * (x - mean), of the gradient by alpha
    middle, scale_there = in_slab(mean), in_slab(scale)
    for part, dz_part in zip(slabs(x), slabs(dz)):
        centred = part - middle
        dy, negative = before_activation(centred, dz_part, scale_there)
        terms.append([dy, dy * centred, dz_part * negative])
    dy_sum, dy_x, dalpha = (over_space(one) for one in zip(*terms))
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
            tf.reshape(tf.reduce_sum(one, axis=0), shape)
            for one, shape in zip((dy_x, dy_sum, dalpha), shapes)
        ),
    ]


def group_norm(inputs, gamma, beta, alpha, n_groups):
    """
    :param inputs: (batch, X, Y, Z, C)
    :param gamma: (..., C), all axes but the last of size 1
    :param beta: likewise
    :param alpha: likewise, slopes of a PReLU behind the norm: ones for none
    :param n_groups: groups of consecutive channels; C is a multiple of it
    :return: (batch, X, Y, Z, C)
    """

    @tf.custom_gradient
    def normalise(x, gamma, beta, alpha):
        output, mean, inverse = forward(x, gamma, beta, alpha, n_groups)
        output.set_shape(x.shape)

        def gradient(dz):
            gradients = backward(x, dz, mean, inverse, gamma, beta, alpha, n_groups)
            for one, value in zip(gradients, (x, gamma, beta, alpha)):
                one.set_shape(value.shape)
            return gradients

        return output, gradient

    return normalise(inputs, gamma, beta, alpha)
