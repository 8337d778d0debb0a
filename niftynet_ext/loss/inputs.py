"""What the losses share: labels and weights as flat float32 vectors, checked."""

from __future__ import annotations

import tensorflow as tf


def foreground_target(prediction: tf.Tensor, ground_truth: tf.Tensor, loss_name: str) -> tf.Tensor:
    """Return the labels as a flat vector, and check that there are two classes.

    :param prediction: (voxels, classes); only its number of classes is used
    :param ground_truth: (voxels,) or (voxels, 1) labels
    :param loss_name: ini name of the loss, for the message
    :return: (voxels,) float32, 1 in the foreground
    :raises ValueError: not two classes
    """
    classes = prediction.shape.as_list()[-1]
    if classes != 2:
        raise ValueError(
            f"loss_type {loss_name} is for background and one tumour class, got num_classes = "
            f"{classes}: set num_classes = 2, or use one of NiftyNet's own losses, e.g. Dice"
        )
    return tf.cast(tf.reshape(ground_truth, [-1]) > 0, tf.float32)


def voxel_weights(weight_map: tf.Tensor | None, like: tf.Tensor) -> tf.Tensor:
    """Return the weights as a flat vector.

    :param weight_map: (voxels,) or (voxels, 1) weights >= 0, or None for weights of 1
    :param like: (voxels,) tensor
    :return: (voxels,) float32
    """
    if weight_map is None:
        return tf.ones_like(like)
    return tf.cast(tf.reshape(weight_map, [-1]), tf.float32)
