"""Dense up-sampling convolution (DUC): channels to space."""

import tensorflow as tf
from niftynet.layer.base_layer import Layer

from niftynet_ext.layer.ddc import dims


class DUCLayer(Layer):
    """Spread channels over ``r x r x r`` cells of voxels (Wang et al., 2017; paper 3.2).

    Channel order, which checkpoints depend on: input channel ``((x*r + y)*r + z)*classes + k``
    becomes channel ``k`` of the voxel with offset ``(x, y, z)`` in its cell. (x is the slowest
    here and the fastest in :class:`~niftynet_ext.layer.ddc.DDCLayer`: the released network has
    it so, and its checkpoints need it.)

    :param factor: r, the up-sampling factor of each spatial axis
    :param name: scope name
    """

    def __init__(self, factor=2, name="duc"):
        super().__init__(name=name)
        self.factor = factor

    def layer_op(self, inputs):
        """
        :param inputs: (batch, X, Y, Z, r^3*K)
        :return: (batch, X*r, Y*r, Z*r, K)
        :raises ValueError: the channels are not a multiple of r^3
        """
        r = self.factor
        batch, x, y, z, channels = dims(inputs)
        if channels % r**3:
            raise ValueError(f"DUC by {r} needs a multiple of {r**3} channels, got {channels}")
        out = channels // r**3
        cells = tf.reshape(inputs, [batch, x, y, z, r, r, r, out])
        cells = tf.transpose(cells, [0, 1, 4, 2, 5, 3, 6, 7])
        return tf.reshape(cells, [batch, x * r, y * r, z * r, out])
