"""``tf.contrib.layers.python.layers.regularizers``: every application's ``reg_type``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Penalty = Callable[[Any], Any]
"""Function of weights -> scalar, or None for no penalty."""


def _regularizer(
    name: str, scale: float, scope: str | None, penalty: Callable[[tf.Tensor], tf.Tensor]
) -> Penalty:
    """Make a regulariser.

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

    def apply(weights: tf.Tensor) -> tf.Tensor:
        with tf.name_scope(scope, name) as full_name:
            factor = tf.constant(scale, weights.dtype.base_dtype)
            return tf.multiply(factor, penalty(weights), name=full_name)

    return apply


def l1_regularizer(scale: float, scope: str | None = None) -> Penalty:
    """Return a function of weights -> ``scale * sum |w|``.

    :param scale: factor of the penalty, >= 0; 0 means none at all
    :param scope: scope name, or None
    :return: function of weights -> scalar or None
    :raises ValueError: a negative scale
    """
    return _regularizer(
        "l1_regularizer", scale, scope, lambda weights: tf.reduce_sum(tf.abs(weights))
    )


def l2_regularizer(scale: float, scope: str | None = None) -> Penalty:
    """Return a function of weights -> ``scale * sum w^2 / 2``.

    :param scale: factor of the penalty, >= 0; 0 means none at all
    :param scope: scope name, or None
    :return: function of weights -> scalar or None
    :raises ValueError: a negative scale
    """
    return _regularizer("l2_regularizer", scale, scope, tf.nn.l2_loss)
