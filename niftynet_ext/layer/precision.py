"""``mixed_precision`` in [NETWORK]: the type that the project's networks compute in.

With bfloat16 images, kernels and what flows between layers have 16 bits, as Tensor Cores want it;
variables, sums of group norm, logits, loss and optimiser stay float32. bfloat16 has float32's
range, so no loss scaling is needed. For NVIDIA cards since Ampere (A100, H100).
"""

import tensorflow as tf

from niftynet_ext.core.choices import BFLOAT16, OFF

_chosen = {"type": OFF}


def choose(name):
    """
    :param name: one of :data:`niftynet_ext.core.choices.PRECISIONS`, for networks built from now on
    """
    _chosen["type"] = name


def lower(images):
    """:return: what goes into a network, in the type it computes in"""
    return tf.cast(images, tf.bfloat16) if _chosen["type"] == BFLOAT16 else images


def raised(logits):
    """:return: what comes out of a network, as float32"""
    return tf.cast(logits, tf.float32)
