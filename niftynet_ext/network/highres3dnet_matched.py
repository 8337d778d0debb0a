"""The paper's baseline: HighRes3DNet with nearly the parameters of DenseHighRes3DNet."""

from niftynet.network.highres3dnet_small import HighRes3DNetSmall

from niftynet_ext.network.window_checks import check_classes, check_window

# paper, footnote 1: "we modify highres3dnet_small ... to have nearly the same parameters"; the
# widths are not published. These give 305,692 parameters, 0.7 % more than DenseHighRes3DNet-v1.
N_FEATURES = {"conv_0": 8, "res_1": 8, "res_2": 16, "res_3": 32, "conv_1": 48}
WINDOW_MULTIPLE = 8


class HighRes3DNetMatched(HighRes3DNetSmall):
    """NiftyNet's HighRes3DNetSmall with the widths above (ini name ``highres3dnet_matched``).

    :param num_classes: classes, background included; at least 2
    :raises ValueError: fewer than two classes
    """

    def __init__(
        self,
        num_classes,
        w_initializer=None,
        w_regularizer=None,
        b_initializer=None,
        b_regularizer=None,
        acti_func="prelu",
        name="HighRes3DNetMatched",
    ):
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

    def layer_op(self, images, is_training=True, layer_id=-1, **unused_kwargs):
        """
        :param images: (batch, X, Y, Z, channels); X, Y, Z multiples of 8
        :param is_training: batch norm uses the window's statistics when True
        :param layer_id: index of the layer whose output is returned
        :return: logits (batch, X, Y, Z, num_classes)
        :raises ValueError: window not divisible by 8
        """
        images = check_window(type(self).__name__, images, WINDOW_MULTIPLE)
        return super().layer_op(images, is_training, layer_id, **unused_kwargs)
