"""Residual block with hybrid dilated convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from niftynet.layer.base_layer import TrainableLayer

from niftynet_ext.layer.convolution import ConvLayer
from niftynet_ext.layer.group_norm import norm_and_activate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class HighResBlock(TrainableLayer):
    """Pre-activation residual block: (GN, activation, conv 3x3x3 dilated) for each dilation.

    NiftyNet's HighResBlock with group norm instead of batch norm, and with a dilation for each
    convolution: unequal dilations avoid gridding (hybrid dilated convolution, paper 3.2).
    The shortcut is zero-padded where the block widens, projected 1x1x1 where it narrows.

    :param n_output_chns: channels out of every convolution
    :param dilations: a dilation factor for each convolution
    :param acti_func: NiftyNet's name of the activation
    :param w_initializer: initialiser of the kernels, None for NiftyNet's
    :param w_regularizer: regulariser of all variables but the projection's, or None
    :param name: scope name
    """

    def __init__(
        self,
        n_output_chns: int,
        dilations: Sequence[int],
        acti_func: str = "prelu",
        w_initializer: Callable[..., Any] | None = None,
        w_regularizer: Callable[..., Any] | None = None,
        name: str = "HighResBlock",
    ) -> None:
        super().__init__(name=name)
        self.n_output_chns = n_output_chns
        self.dilations = dilations
        self.acti_func = acti_func
        self.initializers = {"w": w_initializer}
        self.regularizers = {"w": w_regularizer}

    def layer_op(self, inputs: tf.Tensor) -> tf.Tensor:
        """Apply the block.

        :param inputs: (batch, X, Y, Z, channels)
        :return: (batch, X, Y, Z, n_output_chns)
        """
        regularizer = self.regularizers["w"]
        flow = inputs
        for i, dilation in enumerate(self.dilations):
            flow = norm_and_activate(flow, self.acti_func, regularizer, suffix=i)
            flow = ConvLayer(
                self.n_output_chns,
                kernel_size=3,
                dilation=dilation,
                w_initializer=self.initializers["w"],
                w_regularizer=regularizer,
                name=f"conv_{i}",
            )(flow)
        return ResidualSumLayer()(flow, inputs)


class ResidualSumLayer(TrainableLayer):
    """NiftyNet's ElementwiseLayer('SUM') in any float type; its projection is not regularised.

    :param name: scope name; the projection's kernel is ``<name>/proj/w``
    """

    def __init__(self, name: str = "residual_sum") -> None:
        super().__init__(name=name)

    def layer_op(self, flow: tf.Tensor, shortcut: tf.Tensor) -> tf.Tensor:
        """Add the shortcut.

        :param flow: (batch, X, Y, Z, C)
        :param shortcut: (batch, X, Y, Z, D); where D < C, zero channels are put around it (half
            before, rounded down); where D > C, it is projected 1x1x1
        :return: (batch, X, Y, Z, C)
        """
        missing = flow.shape.as_list()[-1] - shortcut.shape.as_list()[-1]
        if missing < 0:
            shortcut = ConvLayer(flow.shape.as_list()[-1], 1, name="proj")(shortcut)
        elif missing > 0:
            before = missing // 2
            shortcut = tf.pad(shortcut, [[0, 0]] * 4 + [[before, missing - before]])
        return flow + shortcut
