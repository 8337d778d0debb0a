"""Dense down-sampling convolution (DDC): space to channels."""

from __future__ import annotations

import tensorflow as tf
from niftynet.layer.base_layer import Layer


def dims(tensor: tf.Tensor, stop: int | None = None) -> list[int | tf.Tensor]:
    """Return the shape of a tensor: plain integers where known, scalar tensors where not.

    :param tensor: any tensor of known rank
    :param stop: axis before which to stop; None for none
    :return: sizes of the axes; an unknown size is a scalar int32 tensor
    """
    sizes: list[int | tf.Tensor] = tensor.shape.as_list()[:stop]
    if None not in sizes:
        return sizes
    dynamic = tf.shape(tensor)
    return [dynamic[i] if size is None else size for i, size in enumerate(sizes)]


class DDCLayer(Layer):
    """Move each ``r x r x r`` cell of voxels into channels, without loss (paper 3.2, figure 4).

    Channel order, which checkpoints depend on: input channel ``c`` at the voxel with offset
    ``(x, y, z)`` in its cell becomes output channel ``((c*r + z)*r + y)*r + x``.

    :param factor: r, the down-sampling factor of each spatial axis
    :param name: scope name
    """

    def __init__(self, factor: int = 2, name: str = "ddc") -> None:
        super().__init__(name=name)
        self.factor = factor

    def layer_op(self, inputs: tf.Tensor) -> tf.Tensor:
        """Rearrange the voxels.

        :param inputs: (batch, X, Y, Z, channels); X, Y, Z divisible by r
        :return: (batch, X/r, Y/r, Z/r, channels * r^3)
        """
        r = self.factor
        batch, x, y, z, channels = dims(inputs)
        cells = tf.reshape(inputs, [batch, x // r, r, y // r, r, z // r, r, channels])
        cells = tf.transpose(cells, [0, 1, 3, 5, 7, 6, 4, 2])
        return tf.reshape(cells, [batch, x // r, y // r, z // r, channels * r**3])
