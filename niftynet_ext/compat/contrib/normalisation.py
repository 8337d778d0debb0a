"""``tf.contrib.layers.batch_norm`` (both GANs) and ``instance_norm`` (``InstanceNormLayer``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.python.training import moving_averages


def _parameter(
    name: str, inputs: tf.Tensor, initializer: Callable[..., Any], trainable: bool = True
) -> tf.Variable:
    """Create a value for each channel; in TensorFlow 1's collection of model variables too."""
    return tf.get_variable(
        name,
        shape=[channels(inputs)],
        dtype=inputs.dtype.base_dtype,
        initializer=initializer,
        trainable=trainable,
        collections=[tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.MODEL_VARIABLES],
    )


def channels(inputs: tf.Tensor) -> int:
    """Return the number of channels.

    :param inputs: (batch, ..., channels)
    :return: size of the last axis
    :raises ValueError: the rank or the number of channels is unknown
    """
    if inputs.shape.rank is None or inputs.shape.as_list()[-1] is None:
        raise ValueError(
            f"{inputs.name}: the number of channels must be known, got shape {inputs.shape}"
        )
    size: int = inputs.shape.as_list()[-1]
    return size


def refuse(function: str, others: Mapping[str, Any]) -> None:
    """Refuse arguments of ``tf.contrib.layers`` that this module does not have.

    :param function: name of the function
    :param others: its arguments that this module does not have
    :raises NotImplementedError: an argument is not its default
    """
    given = sorted(name for name, value in others.items() if value not in (None, "NHWC", False))
    if given:
        raise NotImplementedError(
            f"tf.contrib.layers.{function}: niftynet_ext does not provide the argument "
            f"{', '.join(given)}"
        )


def batch_norm(
    inputs: tf.Tensor,
    decay: float = 0.999,
    center: bool = True,
    scale: bool = False,
    epsilon: float = 0.001,
    activation_fn: Callable[[tf.Tensor], tf.Tensor] | None = None,
    param_initializers: Mapping[str, Callable[..., Any]] | None = None,
    is_training: bool = True,
    reuse: bool | None = None,
    trainable: bool = True,
    scope: Any = None,
    **others: Any,
) -> tf.Tensor:
    """Normalise a batch; the updates of the moving averages go into ``UPDATE_OPS``.

    As in TensorFlow 1.15, the moving variance is that of a sample (n - 1) for 2-D images, where
    the fused kernel worked, and that of the population (n) otherwise.

    :param inputs: (batch, ..., channels)
    :param decay: of the moving averages
    :param center: add beta
    :param scale: multiply by gamma
    :param epsilon: added to the variance
    :param activation_fn: of the result
    :param param_initializers: initialisers of beta, gamma, moving_mean, moving_variance
    :param is_training: True to use the batch's statistics, and to update the moving averages
    :param reuse: reuse the variables of the scope
    :param trainable: whether beta and gamma are trained
    :param scope: scope name; ``BatchNorm`` by default
    :param others: other arguments of ``tf.contrib.layers``, at their defaults
    :return: same shape
    :raises NotImplementedError: another argument is not its default
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
    inputs: tf.Tensor,
    center: bool = True,
    scale: bool = True,
    epsilon: float = 1e-6,
    activation_fn: Callable[[tf.Tensor], tf.Tensor] | None = None,
    param_initializers: Mapping[str, Callable[..., Any]] | None = None,
    reuse: bool | None = None,
    trainable: bool = True,
    scope: Any = None,
    **others: Any,
) -> tf.Tensor:
    """Normalise each image and channel to mean 0 and variance 1; then gamma and beta.

    :param inputs: (batch, ..., channels)
    :param center: add beta
    :param scale: multiply by gamma
    :param epsilon: added to the variance
    :param activation_fn: of the result
    :param param_initializers: initialisers of beta and gamma
    :param reuse: reuse the variables of the scope
    :param trainable: whether beta and gamma are trained
    :param scope: scope name; ``InstanceNorm`` by default
    :param others: other arguments of ``tf.contrib.layers``, at their defaults
    :return: same shape
    :raises NotImplementedError: another argument is not its default
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
