"""``tf.contrib.metrics.confusion_matrix``, of the classification application."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def confusion_matrix(
    labels: tf.Tensor,
    predictions: tf.Tensor,
    num_classes: int | None = None,
    dtype: Any = tf.int32,
    name: str | None = None,
    weights: tf.Tensor | None = None,
) -> tf.Tensor:
    """Call ``tf.math.confusion_matrix`` with the order of arguments that ``tf.contrib`` had.

    :param labels: (n,) true classes
    :param predictions: (n,) predicted classes
    :param num_classes: None for the largest class and 1
    :param dtype: of the matrix
    :param name: scope name
    :param weights: (n,) weights, or None
    :return: (num_classes, num_classes); rows are labels
    """
    return tf.math.confusion_matrix(
        labels, predictions, num_classes=num_classes, dtype=dtype, name=name, weights=weights
    )
