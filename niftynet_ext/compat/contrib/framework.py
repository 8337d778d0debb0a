"""``tf.contrib.framework``: checkpoints (ModelRestorer) and local variables (the CRF layer)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

list_variables = tf.train.list_variables
load_variable = tf.train.load_variable


def local_variable(
    initial_value: Any,
    validate_shape: bool = True,
    name: str | None = None,
    use_resource: bool | None = None,
) -> tf.Variable:
    """Create a variable of the process, which no checkpoint holds.

    :param initial_value: tensor
    :param validate_shape: False if assignments may change the shape
    :param name: name of the variable
    :param use_resource: None for TensorFlow 1's kind, which can change its shape
    :return: the variable
    """
    return tf.Variable(
        initial_value,
        trainable=False,
        validate_shape=validate_shape,
        name=name,
        collections=[tf.GraphKeys.LOCAL_VARIABLES],
        use_resource=use_resource,
    )
