"""Group normalisation, and the convolution that goes with it."""
import tensorflow as tf
from niftynet.layer.activation import ActiLayer
from niftynet.layer.base_layer import TrainableLayer
from niftynet.layer.convolution import ConvLayer

N_GROUPS = 4  # the release's `group_size = 4`, which NiftyNet's GNLayer reads as 4 groups
EPSILON = 1e-5


def group_norm(inputs, gamma, beta, n_groups):
    """``gamma * (x - mean) / sqrt(variance + eps) + beta``, per image and group of channels.

    Forward: two reductions and a multiply-add. Backward, by its own gradient: two reductions and
    two multiply-adds, where TensorFlow's would write some ten more arrays of the window's size.

    :param inputs: (batch, X, Y, Z, C)
    :param gamma: (1, 1, 1, 1, C)
    :param beta: (1, 1, 1, 1, C)
    :param n_groups: groups of consecutive channels; C is a multiple of it
    :return: (batch, X, Y, Z, C)
    """
    channels = inputs.shape.as_list()[-1]
    size = channels // n_groups

    def per_channel(values):
        """Sum over space: (batch, X, Y, Z, C) to (batch, 1, 1, 1, C)."""
        return tf.reduce_sum(values, axis=[1, 2, 3], keepdims=True)

    def over_group(values):
        """Sum over the channels of a group, back at each of them: (batch, 1, 1, 1, C)."""
        groups = tf.reduce_sum(tf.reshape(values, [-1, n_groups, size]), axis=2, keepdims=True)
        return tf.reshape(tf.tile(groups, [1, 1, size]), [-1, 1, 1, 1, channels])

    @tf.custom_gradient
    def normalise(x, gamma, beta):
        count = tf.cast(tf.reduce_prod(tf.shape(x)[1:4]) * size, x.dtype)
        mean = over_group(per_channel(x)) / count
        variance = over_group(per_channel(tf.squared_difference(x, mean))) / count
        inverse = tf.rsqrt(variance + EPSILON)
        scale = gamma * inverse

        def gradient(dy):
            dy_sum = per_channel(dy)
            dy_x = (per_channel(dy * x) - mean * dy_sum) * inverse  # sum of dy * normalised x
            slope = -over_group(gamma * dy_x) * tf.square(inverse) / count
            offset = -over_group(gamma * dy_sum) * inverse / count - slope * mean
            return (dy * scale + (x * slope + offset),
                    tf.reduce_sum(dy_x, axis=0, keepdims=True),
                    tf.reduce_sum(dy_sum, axis=0, keepdims=True))

        return x * scale + (beta - mean * scale), gradient

    return normalise(inputs, gamma, beta)


class GroupNormLayer(TrainableLayer):
    """Group normalisation (Wu and He, 2018; paper 3.2): NiftyNet's GNLayer, computed leaner.

    Same variables, same numbers; see :func:`group_norm`.

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
        return group_norm(inputs, gamma, beta, self.n_groups)


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
