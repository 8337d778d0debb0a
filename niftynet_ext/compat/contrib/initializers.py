"""``tf.contrib.layers.variance_scaling_initializer``, of both GANs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

FANS: dict[str, Callable[[float, float], float]] = {
    "FAN_IN": lambda fan_in, fan_out: fan_in,
    "FAN_OUT": lambda fan_in, fan_out: fan_out,
    "FAN_AVG": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
}


def variance_scaling_initializer(
    factor: float = 2.0,
    mode: str = "FAN_IN",
    uniform: bool = False,
    seed: int | None = None,
    dtype: Any = tf.float32,
) -> Callable[..., tf.Tensor]:
    """Make an initialiser with variance ``factor / fan`` (He et al., 2015, by default).

    It differs from ``tf.variance_scaling_initializer`` in its defaults, and in the normal
    distribution that it truncates: of variance 1.3 times ``factor / fan``, not 1.29 times.

    :param factor: of the variance
    :param mode: ``FAN_IN``, ``FAN_OUT`` or ``FAN_AVG``: which connections ``fan`` counts
    :param uniform: True for a uniform instead of a truncated normal distribution
    :param seed: of the operation
    :param dtype: of the weights, floating
    :return: function(shape, dtype, partition_info) -> tensor
    :raises TypeError: unknown mode, or a dtype that is not floating
    """
    if mode not in FANS:
        raise TypeError(
            f"variance_scaling_initializer: unknown mode {mode}, expected one of {', '.join(FANS)}"
        )
    if not dtype.is_floating:
        raise TypeError(f"variance_scaling_initializer: dtype must be floating, got {dtype.name}")

    def initialise(
        shape: Sequence[int], dtype: Any = dtype, partition_info: Any = None
    ) -> tf.Tensor:
        field = math.prod(shape[:-2])
        fan_in, fan_out = shape[-2:] if len(shape) > 1 else (shape[0], shape[0])
        variance = factor / FANS[mode](fan_in * field, fan_out * field)
        if uniform:
            limit = math.sqrt(3.0 * variance)
            return tf.random_uniform(shape, -limit, limit, dtype, seed=seed)
        return tf.truncated_normal(shape, 0.0, math.sqrt(1.3 * variance), dtype, seed=seed)

    return initialise
