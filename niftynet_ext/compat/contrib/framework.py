"""``tf.contrib.framework``: checkpoints (ModelRestorer) and local variables (the CRF layer)."""

import tensorflow as tf

list_variables = tf.train.list_variables
load_variable = tf.train.load_variable


def local_variable(initial_value, validate_shape=True, name=None, use_resource=None):
    """A variable of the process, which no checkpoint holds.

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
