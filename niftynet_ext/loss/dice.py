"""Dice loss of the paper, eq. 1."""

from __future__ import annotations

import tensorflow as tf

from niftynet_ext.loss.inputs import foreground_target, voxel_weights

# NiftyNet's; it only matters where both masks are empty, and keeps the loss at 1 there
DICE_EPSILON = 1e-5


def dice_foreground(
    prediction: tf.Tensor, ground_truth: tf.Tensor, weight_map: tf.Tensor | None = None
) -> tf.Tensor:
    """Return ``L_D = 1 - 2 sum(p y) / (sum(p^2) + sum(y^2))`` of a window.

    In the ini file: ``DiceForeground``. NiftyNet calls it for each image of the batch, with softmax
    applied, and takes the mean.

    :param prediction: (voxels, 2) softmax probabilities; p is the second column
    :param ground_truth: (voxels,) or (voxels, 1) labels, 0 or 1
    :param weight_map: (voxels,) or (voxels, 1) weights of the three sums' terms, or None
    :return: scalar float32 in [0, 1]; 1 where neither mask has a foreground
    :raises ValueError: not two classes
    """
    target = foreground_target(prediction, ground_truth, "DiceForeground")
    probability = tf.cast(prediction, tf.float32)[:, 1]
    weights = voxel_weights(weight_map, target)
    overlap = tf.reduce_sum(weights * probability * target)
    sizes = tf.reduce_sum(weights * (tf.square(probability) + tf.square(target)))
    return 1.0 - 2.0 * overlap / (sizes + DICE_EPSILON)
