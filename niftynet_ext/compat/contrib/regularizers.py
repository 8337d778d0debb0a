"""``tf.contrib.layers.python.layers.regularizers``: every application's ``reg_type``."""

import tensorflow as tf


def _regularizer(name, scale, scope, penalty):
    """
    :param name: name of the function, for the message and the scope
    :param scale: factor of the penalty, >= 0; 0 means none at all
    :param scope: scope name, or None
    :param penalty: function of weights -> scalar
    :return: function of weights -> scalar or None
    :raises ValueError: a negative scale
    """
    if scale < 0:
        raise ValueError(f"{name}: scale must be >= 0, got {scale}")
    if scale == 0:
        return lambda _: None

    def apply(weights):
        with tf.name_scope(scope, name) as full_name:
            factor = tf.constant(scale, weights.dtype.base_dtype)
            return tf.multiply(factor, penalty(weights), name=full_name)

    return apply


def l1_regularizer(scale, scope=None):
    """:return: function of weights -> ``scale * sum |w|``; see :func:`_regularizer`."""
    return _regularizer(
        "l1_regularizer", scale, scope, lambda weights: tf.reduce_sum(tf.abs(weights))
    )


def l2_regularizer(scale, scope=None):
    """:return: function of weights -> ``scale * sum w^2 / 2``; see :func:`_regularizer`."""
    return _regularizer("l2_regularizer", scale, scope, tf.nn.l2_loss)
