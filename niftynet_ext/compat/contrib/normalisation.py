"""``tf.contrib.layers.batch_norm`` (both GANs) and ``instance_norm`` (``InstanceNormLayer``)."""

import tensorflow as tf
from tensorflow.python.training import moving_averages


def _parameter(name, inputs, initializer, trainable=True):
    """One value for each channel; in TensorFlow 1's collection of model variables too."""
    return tf.get_variable(
        name,
        shape=[channels(inputs)],
        dtype=inputs.dtype.base_dtype,
        initializer=initializer,
        trainable=trainable,
        collections=[tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.MODEL_VARIABLES],
    )


def channels(inputs):
    """
    :param inputs: (batch, ..., C)
    :return: C
    :raises ValueError: rank or channels are unknown
    """
    if inputs.shape.rank is None or inputs.shape.as_list()[-1] is None:
        raise ValueError(
            f"{inputs.name}: the number of channels must be known, got shape {inputs.shape}"
        )
    return inputs.shape.as_list()[-1]


def refuse(function, others):
    """
    :param function: name of the function of ``tf.contrib.layers``
    :param others: its arguments that this module does not have
    :raises NotImplementedError: one of them is not its default
    """
    given = sorted(name for name, value in others.items() if value not in (None, "NHWC", False))
    if given:
        raise NotImplementedError(
            f"tf.contrib.layers.{function}: niftynet_ext does not provide "
            f"its argument {', '.join(given)}"
        )


def batch_norm(
    inputs,
    decay=0.999,
    center=True,
    scale=False,
    epsilon=0.001,
    activation_fn=None,
    param_initializers=None,
    is_training=True,
    reuse=None,
    trainable=True,
    scope=None,
    **others,
):
    """Batch normalisation; the updates of the moving averages go into ``UPDATE_OPS``.

    As in TensorFlow 1.15, the moving variance is that of a sample (n - 1) for 2-D images, where
    the fused kernel worked, and that of the population (n) otherwise.

    :param inputs: (batch, ..., C)
    :param decay: of the moving averages
    :param center: add beta
    :param scale: multiply by gamma
    :param epsilon: added to the variance
    :param activation_fn: of the result
    :param param_initializers: dict of beta, gamma, moving_mean, moving_variance
    :param is_training: True to use (and follow) the batch's statistics
    :return: same shape
    """
    refuse("batch_norm", others)
    initial = {
        "beta": tf.zeros_initializer(),
        "gamma": tf.ones_initializer(),
        "moving_mean": tf.zeros_initializer(),
        "moving_variance": tf.ones_initializer(),
        **(param_initializers or {}),
    }
    inputs = tf.convert_to_tensor(inputs)
    with tf.variable_scope(scope, "BatchNorm", [inputs], reuse=reuse):
        gamma = _parameter("gamma", inputs, initial["gamma"], trainable) if scale else None
        beta = _parameter("beta", inputs, initial["beta"], trainable) if center else None
        moving = [
            _parameter(name, inputs, initial[name], trainable=False)
            for name in ("moving_mean", "moving_variance")
        ]
        mean, variance = moving
        if is_training:
            mean, variance = tf.nn.moments(inputs, list(range(inputs.shape.rank - 1)))
            follow = [mean, variance]
            if inputs.shape.rank == 4:
                n = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), inputs.dtype)
                follow[1] = variance * n / tf.maximum(n - 1, 1)
            for average, value in zip(moving, follow, strict=True):
                tf.add_to_collection(
                    tf.GraphKeys.UPDATE_OPS,
                    moving_averages.assign_moving_average(average, value, decay, zero_debias=False),
                )
        outputs = tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, epsilon)
        return activation_fn(outputs) if activation_fn else outputs


def instance_norm(
    inputs,
    center=True,
    scale=True,
    epsilon=1e-6,
    activation_fn=None,
    param_initializers=None,
    reuse=None,
    trainable=True,
    scope=None,
    **others,
):
    """Mean 0 and variance 1 for each image and channel, then gamma and beta.

    :param inputs: (batch, ..., C)
    :param center: add beta
    :param scale: multiply by gamma
    :param epsilon: added to the variance
    :param activation_fn: of the result
    :param param_initializers: dict of beta, gamma
    :return: same shape
    """
    refuse("instance_norm", others)
    initial = {
        "beta": tf.zeros_initializer(),
        "gamma": tf.ones_initializer(),
        **(param_initializers or {}),
    }
    inputs = tf.convert_to_tensor(inputs)
    with tf.variable_scope(scope, "InstanceNorm", [inputs], reuse=reuse):
        beta = _parameter("beta", inputs, initial["beta"], trainable) if center else None
        gamma = _parameter("gamma", inputs, initial["gamma"], trainable) if scale else None
        mean, variance = tf.nn.moments(inputs, list(range(1, inputs.shape.rank - 1)), keepdims=True)
        outputs = tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, epsilon)
        return activation_fn(outputs) if activation_fn else outputs
