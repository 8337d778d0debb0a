"""``tf.contrib.layers.variance_scaling_initializer``, of both GANs."""

import math

import tensorflow as tf

FANS = {
    "FAN_IN": lambda fan_in, fan_out: fan_in,
    "FAN_OUT": lambda fan_in, fan_out: fan_out,
    "FAN_AVG": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
}


def variance_scaling_initializer(
    factor=2.0, mode="FAN_IN", uniform=False, seed=None, dtype=tf.float32
):
    """Random weights of variance ``factor / fan`` (He et al., 2015, by default).

    Not ``tf.variance_scaling_initializer``: this one truncates a normal of variance 1.3 times
    ``factor / fan``, that one of 1.29 times, and their defaults differ.

    :param factor: of the variance
    :param mode: ``FAN_IN``, ``FAN_OUT`` or ``FAN_AVG``: which connections ``fan`` counts
    :param uniform: uniform in place of a truncated normal distribution
    :param seed: of the operation
    :param dtype: of the weights, floating
    :return: function(shape, dtype, partition_info) -> tensor
    :raises TypeError: another mode or dtype
    """
    if mode not in FANS:
        raise TypeError(
            f"variance_scaling_initializer: unknown mode {mode}, expected one of {', '.join(FANS)}"
        )
    if not dtype.is_floating:
        raise TypeError(f"variance_scaling_initializer: dtype must be floating, got {dtype.name}")

    def initialise(shape, dtype=dtype, partition_info=None):
        field = math.prod(shape[:-2])
        fan_in, fan_out = shape[-2:] if len(shape) > 1 else (shape[0], shape[0])
        variance = factor / FANS[mode](fan_in * field, fan_out * field)
        if uniform:
            limit = math.sqrt(3.0 * variance)
            return tf.random_uniform(shape, -limit, limit, dtype, seed=seed)
        return tf.truncated_normal(shape, 0.0, math.sqrt(1.3 * variance), dtype, seed=seed)

    return initialise
