"""Focal losses: the paper's eq. 3, and the variant of the authors' release.

Both names contain ``xent``: NiftyNet's LossFunction then passes the logits, not their softmax, so
that log-probabilities stay exact and finite where a probability rounds to 0 or 1.
"""

from __future__ import annotations

import tensorflow as tf

from niftynet_ext.core.paper import FOCAL_ALPHA, FOCAL_GAMMA
from niftynet_ext.loss.inputs import foreground_target, voxel_weights


def _weighted_mean(values: tf.Tensor, weight_map: tf.Tensor | None) -> tf.Tensor:
    """Return the mean over voxels; with weights, ``sum(w v) / sum(w)``, and 0 if all are 0."""
    weights = voxel_weights(weight_map, values)
    return tf.div_no_nan(tf.reduce_sum(weights * values), tf.reduce_sum(weights))


def focal_xent(
    prediction: tf.Tensor, ground_truth: tf.Tensor, weight_map: tf.Tensor | None = None
) -> tf.Tensor:
    """Return ``L_FC = -(alpha/N) sum((1 - q)^gamma log q)`` of a window.

    In the ini file: ``Focal``. q is the softmax probability of the true class (paper, eq. 2);
    alpha is the same for both classes.

    :param prediction: (voxels, 2) logits
    :param ground_truth: (voxels,) or (voxels, 1) labels, 0 or 1
    :param weight_map: (voxels,) or (voxels, 1) weights of the mean, or None
    :return: scalar float32 >= 0
    :raises ValueError: not two classes
    """
    target = foreground_target(prediction, ground_truth, "Focal")
    logits = tf.cast(prediction, tf.float32)
    # with two classes the log-odds of the true class suffice, and softplus keeps both tails exact
    odds = (2.0 * target - 1.0) * (logits[:, 1] - logits[:, 0])
    return FOCAL_ALPHA * _weighted_mean(
        tf.pow(tf.nn.sigmoid(-odds), FOCAL_GAMMA) * tf.nn.softplus(-odds), weight_map
    )


def focal_released_xent(
    prediction: tf.Tensor, ground_truth: tf.Tensor, weight_map: tf.Tensor | None = None
) -> tf.Tensor:
    """Return the focal loss of the authors' release.

    In the ini file: ``FocalReleased``. q is the **sigmoid** of the true class's logit; alpha is
    0.75 for foreground voxels and 0.25 for background voxels. (Inference uses softmax even so.)

    :param prediction: (voxels, 2) logits
    :param ground_truth: (voxels,) or (voxels, 1) labels, 0 or 1
    :param weight_map: (voxels,) or (voxels, 1) weights of the mean, or None
    :return: scalar float32 >= 0
    :raises ValueError: not two classes
    """
    target = foreground_target(prediction, ground_truth, "FocalReleased")
    logits = tf.cast(prediction, tf.float32)
    logit = tf.where(target > 0.5, logits[:, 1], logits[:, 0])
    alpha = tf.where(
        target > 0.5,
        FOCAL_ALPHA * tf.ones_like(target),
        (1 - FOCAL_ALPHA) * tf.ones_like(target),
    )
    return _weighted_mean(
        alpha * tf.pow(tf.nn.sigmoid(-logit), FOCAL_GAMMA) * tf.nn.softplus(-logit), weight_map
    )
