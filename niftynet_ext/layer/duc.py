"""Dense up-sampling convolution (DUC): channels to space."""

from __future__ import annotations

import tensorflow as tf
from niftynet.layer.base_layer import Layer

from niftynet_ext.layer.ddc import dims


class DUCLayer(Layer):
    """Spread channels over ``r x r x r`` cells of voxels (Wang et al., 2017; paper 3.2).

    Channel order, which checkpoints depend on: input channel ``((x*r + y)*r + z)*classes + k``
    becomes channel ``k`` of the voxel with offset ``(x, y, z)`` in its cell. (x varies slowest
    here and fastest in :class:`~niftynet_ext.layer.ddc.DDCLayer`: the released network does it
    that way, and its checkpoints need it.)

    :param factor: r, the up-sampling factor of each spatial axis
    :param name: scope name
    """

    def __init__(self, factor: int = 2, name: str = "duc") -> None:
        super().__init__(name=name)
        self.factor = factor

    def layer_op(self, inputs: tf.Tensor) -> tf.Tensor:
        """Rearrange the voxels.

        :param inputs: (batch, X, Y, Z, r^3 * classes)
        :return: (batch, X*r, Y*r, Z*r, classes)
        :raises ValueError: the channels are not a multiple of r^3
        """
        r = self.factor
        batch, x, y, z, channels = dims(inputs)
        if channels % r**3:
            raise ValueError(f"DUC by {r} needs a multiple of {r**3} channels, got {channels}")
        classes = channels // r**3
        cells = tf.reshape(inputs, [batch, x, y, z, r, r, r, classes])
        cells = tf.transpose(cells, [0, 1, 4, 2, 5, 3, 6, 7])
        return tf.reshape(cells, [batch, x * r, y * r, z * r, classes])
