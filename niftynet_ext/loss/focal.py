"""Focal losses: the paper's eq. 3, and the variant of the authors' release.

Both names contain ``xent``: NiftyNet's LossFunction then hands over the logits, not their
softmax, so that log-probabilities stay exact and finite where a probability rounds to 0 or 1.
"""

import tensorflow as tf

from niftynet_ext.core.paper import FOCAL_ALPHA as ALPHA
from niftynet_ext.core.paper import FOCAL_GAMMA as GAMMA
from niftynet_ext.loss.inputs import foreground_target, voxel_weights


def _weighted_mean(values, weight_map):
    """Mean over voxels; with weights, ``sum(w v) / sum(w)``, and 0 where all weights are 0."""
    weights = voxel_weights(weight_map, values)
    return tf.div_no_nan(tf.reduce_sum(weights * values), tf.reduce_sum(weights))


def focal_xent(prediction, ground_truth, weight_map=None):
    """``L_FC = -(alpha/N) sum((1 - q)^gamma log q)`` over one window (ini: ``Focal``).

    q is the softmax probability of the true class (eq. 2); alpha is the same for both classes.

    :param prediction: (voxels, 2) logits
    :param ground_truth: (voxels,) or (voxels, 1) labels, 0 or 1
    :param weight_map: (voxels,) or (voxels, 1) weights of the mean, or None
    :return: scalar float32 >= 0
    :raises ValueError: not two classes
    """
    target = foreground_target(prediction, ground_truth, "Focal")
    logits = tf.cast(prediction, tf.float32)
    # two classes: the log-odds of the true class say all, and softplus keeps both tails exact
    odds = (2.0 * target - 1.0) * (logits[:, 1] - logits[:, 0])
    return ALPHA * _weighted_mean(
        tf.pow(tf.nn.sigmoid(-odds), GAMMA) * tf.nn.softplus(-odds), weight_map
    )


def focal_released_xent(prediction, ground_truth, weight_map=None):
    """Focal loss of the authors' release (ini: ``FocalReleased``).

    q is the **sigmoid** of the true class's logit; alpha is 0.75 for foreground voxels and
    0.25 for background voxels. (Inference uses softmax all the same.)

    :param prediction: (voxels, 2) logits
    :param ground_truth: (voxels,) or (voxels, 1) labels, 0 or 1
    :param weight_map: (voxels,) or (voxels, 1) weights of the mean, or None
    :return: scalar float32 >= 0
    :raises ValueError: not two classes
    """
    target = foreground_target(prediction, ground_truth, "FocalReleased")
    logits = tf.cast(prediction, tf.float32)
    logit = tf.where(target > 0.5, logits[:, 1], logits[:, 0])
    alpha = tf.where(target > 0.5, ALPHA * tf.ones_like(target), (1 - ALPHA) * tf.ones_like(target))
    return _weighted_mean(
        alpha * tf.pow(tf.nn.sigmoid(-logit), GAMMA) * tf.nn.softplus(-logit), weight_map
    )
