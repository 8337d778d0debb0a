"""``tf.contrib.metrics.confusion_matrix``, of the classification application."""

import tensorflow as tf


def confusion_matrix(
    labels, predictions, num_classes=None, dtype=tf.int32, name=None, weights=None
):
    """``tf.math.confusion_matrix`` with the order of arguments it had in ``tf.contrib``.

    :param labels: (n,) true classes
    :param predictions: (n,) predicted classes
    :return: (num_classes, num_classes); rows are labels
    """
    return tf.math.confusion_matrix(
        labels, predictions, num_classes=num_classes, dtype=dtype, name=name, weights=weights
    )
