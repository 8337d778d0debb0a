"""Group normalisation with the activation after it, and the convolution before both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from niftynet.layer.activation import ActiLayer
from niftynet.layer.base_layer import TrainableLayer

from niftynet_ext.layer.convolution import ConvLayer
from niftynet_ext.layer.group_norm_kernels import group_norm

if TYPE_CHECKING:
    from collections.abc import Callable

N_GROUPS = 4  # the release's `group_size = 4`, which NiftyNet's GNLayer reads as 4 groups


class GroupNormLayer(TrainableLayer):
    """Group normalisation (Wu and He, 2018; paper 3.2): NiftyNet's GNLayer with fewer operations.

    Same variables, same numbers; see :mod:`niftynet_ext.layer.group_norm_kernels`.

    :param regularizer: regulariser of gamma and beta, or None
    :param n_groups: number of groups of consecutive channels
    :param name: scope name
    """

    def __init__(
        self,
        regularizer: Callable[..., Any] | None = None,
        n_groups: int = N_GROUPS,
        name: str = "gn",
    ) -> None:
        super().__init__(name=name)
        self.n_groups = n_groups
        self.initializers = {
            "beta": tf.constant_initializer(0.0),
            "gamma": tf.constant_initializer(1.0),
        }
        self.regularizers = {"beta": regularizer, "gamma": regularizer}

    def layer_op(
        self, inputs: tf.Tensor, alpha: tf.Tensor | None = None, cell: int = 1
    ) -> tf.Tensor:
        """Normalise each group of each image to mean 0 and variance 1; then gamma, beta and PReLU.

        :param inputs: (batch, X, Y, Z, channels * cell)
        :param alpha: (channels,) slopes of a PReLU after the norm, None for no PReLU
        :param cell: consecutive channels that share their parameters: the voxels of a DDC's cell
        :return: same shape
        :raises ValueError: channels is not a multiple of the number of groups
        """
        channels = inputs.shape.as_list()[-1] // cell
        if channels % self.n_groups:
            raise ValueError(
                f"group normalisation of {channels} channels in {self.n_groups} groups: "
                f"the number of channels must be a multiple of the number of groups"
            )
        beta, gamma = (
            tf.get_variable(
                name,
                shape=[1, 1, 1, 1, channels],
                initializer=self.initializers[name],
                regularizer=self.regularizers[name],
            )
            for name in ("beta", "gamma")
        )
        slopes = tf.ones(channels) if alpha is None else alpha
        if cell > 1:
            gamma, beta, slopes = (
                tf.reshape(
                    tf.tile(tf.reshape(parameter, [channels, 1]), [1, cell]),
                    parameter.shape.as_list()[:-1] + [channels * cell],
                )
                for parameter in (gamma, beta, slopes)
            )
        return group_norm(inputs, gamma, beta, slopes, self.n_groups)


class PReLUSlopeLayer(TrainableLayer):
    """The variable of NiftyNet's ``ActiLayer('prelu')``, for a layer that applies it itself.

    :param regularizer: regulariser of alpha, or None
    :param name: scope name; ``prelu_`` is put before it as NiftyNet does
    """

    def __init__(
        self, regularizer: Callable[..., Any] | None = None, name: str = "activation"
    ) -> None:
        super().__init__(name="prelu_" + name)
        self.initializers = {"alpha": tf.constant_initializer(0.0)}
        self.regularizers = {"alpha": regularizer}

    def layer_op(self, channels: int) -> tf.Tensor:
        """Create the slopes.

        :param channels: number of channels
        :return: (channels,) a slope for each channel
        """
        return tf.get_variable(
            "alpha",
            channels,
            initializer=self.initializers["alpha"],
            regularizer=self.regularizers["alpha"],
        )


def norm_and_activate(
    inputs: tf.Tensor,
    acti_func: str | None,
    regularizer: Callable[..., Any] | None,
    suffix: int | str,
    cell: int = 1,
) -> tf.Tensor:
    """Apply group norm ``gn_<suffix>``, then the activation ``acti_<suffix>``.

    :param inputs: (batch, X, Y, Z, channels * cell)
    :param acti_func: NiftyNet's name of the activation, or None for none
    :param regularizer: regulariser of all variables, or None
    :param suffix: end of the scope names
    :param cell: as for :class:`GroupNormLayer`; PReLU shares slopes too
    :return: same shape
    """
    norm = GroupNormLayer(regularizer, name=f"gn_{suffix}")
    if acti_func and acti_func.lower() == "prelu":
        slope = PReLUSlopeLayer(regularizer, name=f"acti_{suffix}")
        return norm(inputs, slope(inputs.shape.as_list()[-1] // cell), cell)
    flow = norm(inputs, cell=cell)
    return ActiLayer(acti_func, regularizer, name=f"acti_{suffix}")(flow) if acti_func else flow


class ConvGNLayer(TrainableLayer):
    """Convolution without bias, group normalisation, activation: NiftyNet's ConvolutionalLayer.

    With a factor, DDC is part of it. That gives the same numbers as DDC after it, because norm and
    activation work on each channel separately.

    :param n_output_chns: channels out, before DDC
    :param kernel_size: side of the cubic kernel, padding SAME
    :param acti_func: NiftyNet's name of the activation, or None for none
    :param ddc_factor: down-sampling factor of a DDC, 1 for none
    :param w_initializer: initialiser of the kernel, None for NiftyNet's
    :param w_regularizer: regulariser of all variables, or None
    :param name: scope name; ``_gn`` and the activation's name are appended as NiftyNet does
    """

    def __init__(
        self,
        n_output_chns: int,
        kernel_size: int,
        acti_func: str | None = None,
        ddc_factor: int = 1,
        w_initializer: Callable[..., Any] | None = None,
        w_regularizer: Callable[..., Any] | None = None,
        name: str = "conv",
    ) -> None:
        super().__init__(name="_".join(filter(None, (name, "gn", acti_func))))
        self.n_output_chns = n_output_chns
        self.kernel_size = kernel_size
        self.ddc_factor = ddc_factor
        self.acti_func = acti_func
        self.initializers = {"w": w_initializer}
        self.regularizers = {"w": w_regularizer}

    def layer_op(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve, normalise and activate.

        :param inputs: (batch, X, Y, Z, channels)
        :return: (batch, X/r, Y/r, Z/r, n_output_chns * r^3), r the factor of the DDC
        """
        regularizer = self.regularizers["w"]
        flow = ConvLayer(
            self.n_output_chns,
            self.kernel_size,
            ddc_factor=self.ddc_factor,
            w_initializer=self.initializers["w"],
            w_regularizer=regularizer,
            name="conv_",
        )(inputs)
        return norm_and_activate(
            flow, self.acti_func, regularizer, suffix="", cell=self.ddc_factor**3
        )
