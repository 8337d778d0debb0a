"""The paper's baseline: HighRes3DNet with nearly the parameters of DenseHighRes3DNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from niftynet.network.highres3dnet_small import HighRes3DNetSmall

from niftynet_ext.network.window_checks import check_classes, check_window

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorflow as tf

# paper, footnote 1: "we modify highres3dnet_small ... to have nearly the same parameters"; the
# widths are not published. These give 305,692 parameters, 0.7 % more than DenseHighRes3DNet-v1.
N_FEATURES = {"conv_0": 8, "res_1": 8, "res_2": 16, "res_3": 32, "conv_1": 48}
WINDOW_MULTIPLE = 8  # of every side of the window, see check_window


class HighRes3DNetMatched(HighRes3DNetSmall):
    """NiftyNet's HighRes3DNetSmall with the widths above (ini name ``highres3dnet_matched``).

    :param num_classes: classes, background included; at least 2
    :param w_initializer: initialiser of the kernels, None for NiftyNet's
    :param w_regularizer: regulariser of the kernels, or None
    :param b_initializer: initialiser of the biases, None for NiftyNet's
    :param b_regularizer: regulariser of the biases, or None
    :param acti_func: activation
    :param name: scope name
    :raises ValueError: fewer than two classes
    """

    def __init__(
        self,
        num_classes: int,
        w_initializer: Callable[..., Any] | None = None,
        w_regularizer: Callable[..., Any] | None = None,
        b_initializer: Callable[..., Any] | None = None,
        b_regularizer: Callable[..., Any] | None = None,
        acti_func: str = "prelu",
        name: str = "HighRes3DNetMatched",
    ) -> None:
        check_classes(name, num_classes)
        super().__init__(
            num_classes=num_classes,
            w_initializer=w_initializer,
            w_regularizer=w_regularizer,
            b_initializer=b_initializer,
            b_regularizer=b_regularizer,
            acti_func=acti_func,
            name=name,
        )
        for row in self.layers:
            row["n_features"] = N_FEATURES.get(row["name"], row["n_features"])

    def layer_op(
        self,
        images: tf.Tensor,
        is_training: bool = True,
        layer_id: int = -1,
        **unused_kwargs: Any,
    ) -> tf.Tensor:
        """Apply NiftyNet's layers, after a check of the window.

        :param images: (batch, X, Y, Z, channels); X, Y, Z multiples of 8
        :param is_training: batch norm uses the window's statistics when True
        :param layer_id: index of the layer whose output is returned
        :param unused_kwargs: what NiftyNet passes to networks that need it
        :return: logits (batch, X, Y, Z, num_classes)
        :raises ValueError: a side of the window is not a multiple of 8
        """
        images = check_window(type(self).__name__, images, WINDOW_MULTIPLE)
        return super().layer_op(images, is_training, layer_id, **unused_kwargs)
