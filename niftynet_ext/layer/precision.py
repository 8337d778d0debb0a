"""``mixed_precision`` in [NETWORK]: the type that the project's networks compute in.

With bfloat16, images, kernels and what flows between layers have 16 bits, as Tensor Cores need it;
variables, sums of group norm, logits, loss and optimiser stay float32. bfloat16 has float32's
range, so no loss scaling is needed. For NVIDIA cards since Ampere (A100, H100).
"""

from __future__ import annotations

import tensorflow as tf

from niftynet_ext.core.choices import BFLOAT16, OFF

_chosen = {"type": OFF}


def choose(name: str) -> None:
    """Choose the type for all networks that are built from now on.

    :param name: a value of :data:`niftynet_ext.core.choices.PRECISIONS`
    """
    _chosen["type"] = name


def to_chosen_type(images: tf.Tensor) -> tf.Tensor:
    """Cast the input of a network to the type that it computes in.

    :param images: (batch, X, Y, Z, channels) float32
    :return: same shape, bfloat16 or float32
    """
    return tf.cast(images, tf.bfloat16) if _chosen["type"] == BFLOAT16 else images


def to_float32(logits: tf.Tensor) -> tf.Tensor:
    """Cast the output of a network to float32.

    :param logits: (batch, X, Y, Z, classes)
    :return: same shape, float32
    """
    return tf.cast(logits, tf.float32)
