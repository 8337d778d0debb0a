"""The arithmetic of group normalisation and PReLU, forwards and backwards.

``y = gamma * (x - mean) / sqrt(variance + eps) + beta`` per image and group of channels, then
``max(y, 0) + alpha * min(y, 0)``. Forwards: two sums over space and one pass that writes. Backwards,
by a gradient of its own: three sums in one go and one pass; ``y`` is computed again, not kept, so a
layer keeps its input alone. Each pass is one compiled loop on a processor
(:mod:`niftynet_ext.layer.kernels`). Sums and coefficients are float32 whatever the input is.
"""
import tensorflow as tf

from niftynet_ext.layer.kernels import compiled, compiles

EPSILON = 1e-5
# A sum over space whose terms are computed on the fly is not vectorised by XLA. A sum of this many
# slabs, term by term, is; and the plain sum of what is left of it.
N_SLABS = 8


def slabs(tensor):
    """Cut the space of each image into slabs.

    :param tensor: (batch, X, Y, Z, C)
    :return: list of float32 (batch, M, C)
    """
    _, x, y, z, channels = tensor.shape.as_list()
    known = None not in (x, y, z)
    n = N_SLABS if compiles() and known and x * y * z % N_SLABS == 0 else 1
    parts = tf.reshape(tensor, [tf.shape(tensor)[0], n, -1, channels])
    return [tf.cast(parts[:, i], tf.float32) for i in range(n)]


def per_channel(values):
    """:return: values per image and channel, (batch, 1, 1, 1, C), in the form of a slab"""
    return values[:, 0, 0]


@compiled
def sum_slabs(*partial):
    """:return: sums over M of (batch, M, C) each, as (batch, 1, 1, 1, C)"""
    return [tf.reduce_sum(part, axis=1)[:, tf.newaxis, tf.newaxis, tf.newaxis]
            for part in partial]


@compiled
def sum_of(x):
    """:return: sum of x over space, (batch, 1, 1, 1, C)"""
    return tf.reduce_sum(tf.cast(x, tf.float32), axis=[1, 2, 3], keepdims=True)


@compiled
def squares(x, mean):
    """:return: squared distance from the mean, summed over the slabs: (batch, M, C)"""
    mean = per_channel(mean)
    return sum(tf.squared_difference(part, mean) for part in slabs(x))


@compiled
def apply(x, mean, scale, beta, alpha):
    """:return: (x - mean) * scale + beta, then PReLU, in the type of x"""
    y = (tf.cast(x, tf.float32) - mean) * scale + beta
    if alpha is not None:
        y = tf.maximum(y, 0.0) + alpha * tf.minimum(y, 0.0)
    return tf.cast(y, x.dtype)


@compiled
def gradient_sums(x, dz, mean, scale, beta, alpha):
    """Sums that the gradients are made of, each (batch, M, C).

    :return: of dy; of dy * (x - mean); with PReLU also of dz * min(y, 0)
    """
    mean, scale, beta = per_channel(mean), per_channel(scale), beta[0, 0]
    alpha = None if alpha is None else alpha[0, 0]
    sums = 0.0, 0.0, 0.0
    for part, dz_part in zip(slabs(x), slabs(dz)):  # noqa: B905  (Python 3.7 has no `strict`)
        centred, dy, slope = part - mean, dz_part, 0.0
        if alpha is not None:
            y = centred * scale + beta
            dy = tf.where(y > 0.0, dz_part, alpha * dz_part)
            slope = dz_part * tf.minimum(y, 0.0)
        terms = dy, dy * centred, slope
        sums = [total + term for total, term in zip(sums, terms)]  # noqa: B905
    return list(sums) if alpha is not None else list(sums)[:2]


@compiled
def gradient_apply(x, dz, mean, scale, beta, alpha, slope, offset):
    """:return: dy * scale + (x - mean) * slope + offset, in the type of x"""
    centred, dy = tf.cast(x, tf.float32) - mean, tf.cast(dz, tf.float32)
    if alpha is not None:
        dy = tf.where(centred * scale + beta > 0.0, dy, alpha * dy)
    return tf.cast(dy * scale + centred * slope + offset, x.dtype)


def group_norm(inputs, gamma, beta, alpha, n_groups):
    """
    :param inputs: (batch, X, Y, Z, C)
    :param gamma: (1, 1, 1, 1, C)
    :param beta: (1, 1, 1, 1, C)
    :param alpha: (C,) slopes of a PReLU behind the norm, None for none
    :param n_groups: groups of consecutive channels; C is a multiple of it
    :return: (batch, X, Y, Z, C)
    """
    channels = inputs.shape.as_list()[-1]
    size = channels // n_groups

    def over_group(values):
        """Sum over the channels of a group, back at each of them: (batch, 1, 1, 1, C)."""
        groups = tf.reduce_sum(tf.reshape(values, [-1, n_groups, size]), axis=2, keepdims=True)
        return tf.reshape(tf.tile(groups, [1, 1, size]), [-1, 1, 1, 1, channels])

    def over_batch(values):
        return tf.reduce_sum(values, axis=0, keepdims=True)

    @tf.custom_gradient
    def normalise(x, gamma, beta, *alpha):
        alpha = alpha[0] if alpha else None
        count = tf.cast(tf.reduce_prod(tf.shape(x)[1:4]) * size, tf.float32)
        mean = over_group(sum_of(x)) / count
        variance = over_group(sum_slabs(squares(x, mean))[0]) / count
        inverse = tf.rsqrt(variance + EPSILON)
        scale = gamma * inverse

        def gradient(dz):
            sums = sum_slabs(*gradient_sums(x, dz, mean, scale, beta, alpha))
            dy_sum, dy_x = sums[0], sums[1] * inverse  # of dy, of dy * normalised x
            slope = -over_group(gamma * dy_x) * tf.square(inverse) / count
            offset = -over_group(gamma * dy_sum) * inverse / count
            dx = gradient_apply(x, dz, mean, scale, beta, alpha, slope, offset)
            return (dx, *(over_batch(one) for one in (dy_x, dy_sum, *sums[2:])))

        return apply(x, mean, scale, beta, alpha), gradient

    if alpha is None:
        return normalise(inputs, gamma, beta)
    return normalise(inputs, gamma, beta, tf.reshape(alpha, [1, 1, 1, 1, channels]))
