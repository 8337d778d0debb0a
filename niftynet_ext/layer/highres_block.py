"""Residual block with hybrid dilated convolution."""

import tensorflow as tf
from niftynet.layer.base_layer import TrainableLayer

from niftynet_ext.layer.convolution import ConvLayer
from niftynet_ext.layer.group_norm import norm_and_activate


class HighResBlock(TrainableLayer):
    """Pre-activation residual block: (GN, activation, conv 3x3x3 dilated) for each dilation.

    NiftyNet's HighResBlock with group norm in the place of batch norm, and with a dilation for
    each convolution: unequal, they avoid gridding (hybrid dilated convolution, paper 3.2).
    The shortcut is zero-padded where the block widens, projected 1x1x1 where it narrows.

    :param n_output_chns: channels out of every convolution
    :param dilations: one dilation factor per convolution
    :param acti_func: NiftyNet's name of the activation
    :param name: scope name
    """

    def __init__(
        self,
        n_output_chns,
        dilations,
        acti_func="prelu",
        w_initializer=None,
        w_regularizer=None,
        name="HighResBlock",
    ):
        super().__init__(name=name)
        self.n_output_chns = n_output_chns
        self.dilations = dilations
        self.acti_func = acti_func
        self.initializers = {"w": w_initializer}
        self.regularizers = {"w": w_regularizer}

    def layer_op(self, inputs):
        """
        :param inputs: (batch, X, Y, Z, C)
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

    def __init__(self, name="residual_sum"):
        super().__init__(name=name)

    def layer_op(self, flow, shortcut):
        """
        :param flow: (batch, X, Y, Z, C)
        :param shortcut: (batch, X, Y, Z, D); zero channels are put around it where D < C (half
            before, rounded down), it is projected 1x1x1 where D > C
        :return: (batch, X, Y, Z, C)
        """
        missing = flow.shape.as_list()[-1] - shortcut.shape.as_list()[-1]
        if missing < 0:
            shortcut = ConvLayer(flow.shape.as_list()[-1], 1, name="proj")(shortcut)
        elif missing > 0:
            before = missing // 2
            shortcut = tf.pad(shortcut, [[0, 0]] * 4 + [[before, missing - before]])
        return flow + shortcut
