"""Group normalisation, and the convolution that goes with it."""
import tensorflow as tf
from niftynet.layer.activation import ActiLayer
from niftynet.layer.base_layer import TrainableLayer
from niftynet.layer.convolution import ConvLayer

N_GROUPS = 4  # the release's `group_size = 4`, which NiftyNet's GNLayer reads as 4 groups
EPSILON = 1e-5


class GroupNormLayer(TrainableLayer):
    """Group normalisation (Wu and He, 2018; paper 3.2): NiftyNet's GNLayer, computed leaner.

    Same variables, same numbers. GNLayer normalises a 6-dimensional view of the window; here two
    reductions per channel are combined into groups, and one multiply-add does the rest.

    :param regularizer: regulariser of gamma and beta
    :param n_groups: number of groups of consecutive channels
    :param name: scope name
    """

    def __init__(self, regularizer=None, n_groups=N_GROUPS, name="gn"):
        super().__init__(name=name)
        self.n_groups = n_groups
        self.initializers = {"beta": tf.constant_initializer(0.0),
                             "gamma": tf.constant_initializer(1.0)}
        self.regularizers = {"beta": regularizer, "gamma": regularizer}

    def layer_op(self, inputs):
        """
        :param inputs: (batch, X, Y, Z, C) float32
        :return: same shape; mean 0 and variance 1 per image and group, then gamma and beta
        :raises ValueError: C is not a multiple of the number of groups
        """
        channels = inputs.shape.as_list()[-1]
        if channels % self.n_groups:
            raise ValueError(f"group normalisation of {channels} channels in {self.n_groups} "
                             f"groups: channels must be a multiple of groups")
        beta, gamma = (
            tf.get_variable(name, shape=[1, 1, 1, 1, channels],
                            initializer=self.initializers[name],
                            regularizer=self.regularizers[name])
            for name in ("beta", "gamma"))
        mean = self._group_mean(inputs, channels)
        variance = self._group_mean(tf.squared_difference(inputs, mean), channels)
        scale = gamma * tf.rsqrt(variance + EPSILON)
        return inputs * scale + (beta - mean * scale)

    def _group_mean(self, values, channels):
        """Mean over space and over the channels of a group, at every channel of that group.

        :param values: (batch, X, Y, Z, C)
        :return: (batch, 1, 1, 1, C)
        """
        means = tf.reduce_mean(values, axis=[1, 2, 3])
        size = channels // self.n_groups
        groups = tf.reduce_mean(tf.reshape(means, [-1, self.n_groups, size]), axis=2)
        groups = tf.reshape(groups, [-1, self.n_groups, 1])
        return tf.reshape(tf.tile(groups, [1, 1, size]), [-1, 1, 1, 1, channels])


class ConvGNLayer(TrainableLayer):
    """Convolution without bias, group normalisation, activation: NiftyNet's ConvolutionalLayer.

    :param n_output_chns: channels out
    :param kernel_size: side of the cubic kernel, padding SAME
    :param acti_func: NiftyNet's name of the activation, or None for none
    :param name: scope name; ``_gn`` and the activation's name are appended as NiftyNet does
    """

    def __init__(self, n_output_chns, kernel_size, acti_func=None,
                 w_initializer=None, w_regularizer=None, name="conv"):
        super().__init__(name="_".join(filter(None, (name, "gn", acti_func))))
        self.n_output_chns = n_output_chns
        self.kernel_size = kernel_size
        self.acti_func = acti_func
        self.initializers = {"w": w_initializer}
        self.regularizers = {"w": w_regularizer}

    def layer_op(self, inputs):
        """
        :param inputs: (batch, X, Y, Z, C)
        :return: (batch, X, Y, Z, n_output_chns)
        """
        regularizer = self.regularizers["w"]
        flow = ConvLayer(self.n_output_chns, self.kernel_size,
                         w_initializer=self.initializers["w"], w_regularizer=regularizer,
                         name="conv_")(inputs)
        flow = GroupNormLayer(regularizer, name="gn_")(flow)
        if self.acti_func:
            flow = ActiLayer(self.acti_func, regularizer, name="acti_")(flow)
        return flow
