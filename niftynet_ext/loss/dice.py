"""Dice loss of the paper, eq. 1."""

import tensorflow as tf

from niftynet_ext.loss.inputs import foreground_target, voxel_weights

EPSILON = 1e-5  # NiftyNet's; only matters where both masks are empty, and keeps the loss at 1 there


def dice_foreground(prediction, ground_truth, weight_map=None):
    """``L_D = 1 - 2 sum(p y) / (sum(p^2) + sum(y^2))`` over one window (ini: ``DiceForeground``).

    NiftyNet calls it once per image of the batch, with softmax applied, and takes the mean.

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
    return 1.0 - 2.0 * overlap / (sizes + EPSILON)
