"""DenseHighRes3DNet, the network of the paper (section 3.2, figure 3), in its two versions.

A network is its table of layers and :meth:`DenseHighRes3DNet.layer_op`, which reads it.
Version 1 has the structure, the variable names and the shapes of the authors' public release:
checkpoints trained with that code load. Version 2 is a **reconstruction**: the paper shows it in
a figure only, and the table below follows a second public network of the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from niftynet.network.base_net import BaseNet

from niftynet_ext.layer import precision
from niftynet_ext.layer.convolution import ConvLayer
from niftynet_ext.layer.duc import DUCLayer
from niftynet_ext.layer.group_norm import ConvGNLayer
from niftynet_ext.layer.highres_block import HighResBlock
from niftynet_ext.network.decay import Decay
from niftynet_ext.network.window_checks import check_classes, check_window

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLING_FACTOR = 2  # r of DDC and DUC
WINDOW_MULTIPLE = 8  # of every side of the window, see check_window

# Rows 0 to 6 of both versions; the first holds the DDC. The outputs of 'lateral' and 'branch' rows
# meet again at 'concat' (dense lateral connections); the row after a 'branch' row has the same
# input as that row.
TRUNK: tuple[dict[str, Any], ...] = (
    {
        "kind": "conv",
        "name": "conv_00",
        "n_features": 8,
        "kernel_size": 3,
        "ddc_factor": SAMPLING_FACTOR,
    },
    {"kind": "conv", "name": "lat_02", "n_features": 8, "kernel_size": 1, "branch": True},
    {"kind": "res", "name": "res_03", "n_features": 8, "dilations": (1, 1), "lateral": True},
    {"kind": "res", "name": "res_04", "n_features": 16, "dilations": (1, 3), "lateral": True},
    {"kind": "res", "name": "res_05", "n_features": 32, "dilations": (1, 3, 5), "lateral": True},
    {"kind": "concat", "name": "concat"},
    {"kind": "conv", "name": "conv_06", "n_features": 64, "kernel_size": 1},
)
BLOCKS_PER_ROW = 3  # of a 'res' row


class DenseHighRes3DNet(BaseNet):
    """DenseHighRes3DNet-v1 (ini name ``densehighres3dnet_v1``); 303,512 parameters for 2 classes.

    :param num_classes: classes, background included; at least 2
    :param w_initializer: initialiser of the kernels, None for NiftyNet's
    :param w_regularizer: regulariser of all variables but the projections', or None
    :param b_initializer: not used: no layer has a bias
    :param b_regularizer: not used, likewise
    :param acti_func: activation; the paper's is ``prelu``
    :param name: scope name
    :raises ValueError: fewer than two classes
    """

    takes_mixed_precision = True

    def __init__(
        self,
        num_classes: int,
        w_initializer: Callable[..., Any] | None = None,
        w_regularizer: Callable[..., Any] | None = None,
        b_initializer: Callable[..., Any] | None = None,
        b_regularizer: Callable[..., Any] | None = None,
        acti_func: str = "prelu",
        name: str = "DenseHighRes3DNet",
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
        self.layers = self.make_layers(num_classes)

    @staticmethod
    def make_layers(num_classes: int) -> tuple[dict[str, Any], ...]:
        """Return the table of layers, from the input to the logits.

        :param num_classes: classes of the logits
        :return: rows of the table
        """
        return TRUNK + (
            {
                "kind": "conv",
                "name": "conv_07",
                "n_features": num_classes * SAMPLING_FACTOR**3,
                "kernel_size": 1,
                "acti_func": None,
            },
            {"kind": "duc", "name": "duc_08"},
        )

    def layer_op(
        self,
        images: tf.Tensor,
        is_training: bool = True,
        layer_id: int = -1,
        **unused_kwargs: Any,
    ) -> tf.Tensor:
        """Apply the rows of the table.

        :param images: (batch, X, Y, Z, channels); X, Y, Z multiples of 8
        :param is_training: not used: group norm is the same in training and inference
        :param layer_id: row of the table whose output is returned
        :param unused_kwargs: what NiftyNet passes to networks that need it
        :return: logits (batch, X, Y, Z, num_classes), or the output of row ``layer_id``
        :raises ValueError: a side of the window is not a multiple of 8
        """
        flow = precision.to_chosen_type(check_window(type(self).__name__, images, WINDOW_MULTIPLE))
        decay = Decay(self.regularizers["w"])
        outputs: list[tf.Tensor] = []
        laterals: list[tf.Tensor] = []
        for row in self.layers:
            out = (
                tf.concat(laterals, -1)
                if row["kind"] == "concat"
                else self._row(row, flow, decay.collect)
            )
            outputs.append(out)
            if row.get("lateral") or row.get("branch"):
                laterals.append(out)
            if not row.get("branch"):
                flow = out
        decay.register(self.layer_scope().name)
        return precision.to_float32(outputs[layer_id])

    def _row(
        self, row: dict[str, Any], flow: tf.Tensor, regularizer: Callable[..., Any]
    ) -> tf.Tensor:
        """Apply a row of the table to ``flow``; ``regularizer`` is that of its variables."""
        kind, name = row["kind"], row["name"]
        if kind == "duc":
            return DUCLayer(SAMPLING_FACTOR, name=name)(flow)
        options = {
            "acti_func": row.get("acti_func", self.acti_func),
            "w_initializer": self.initializers["w"],
            "w_regularizer": regularizer,
        }
        if kind == "logits":
            options.pop("acti_func")
            return ConvLayer(row["n_features"], row["kernel_size"], name=name, **options)(flow)
        if kind == "conv":
            return ConvGNLayer(
                row["n_features"],
                row["kernel_size"],
                name=name,
                ddc_factor=row.get("ddc_factor", 1),
                **options,
            )(flow)
        for i in range(BLOCKS_PER_ROW):
            flow = HighResBlock(row["n_features"], row["dilations"], name=f"{name}_{i}", **options)(
                flow
            )
        return flow


class DenseHighRes3DNetV2(DenseHighRes3DNet):
    """DenseHighRes3DNet-v2 (ini name ``densehighres3dnet_v2``), a reconstruction.

    The trunk of version 1; then 64 channels return to full resolution as 8, and the logits are
    a plain 1x1x1 convolution there. The parameters are those of :class:`DenseHighRes3DNet`.
    """

    def __init__(
        self,
        num_classes: int,
        w_initializer: Callable[..., Any] | None = None,
        w_regularizer: Callable[..., Any] | None = None,
        b_initializer: Callable[..., Any] | None = None,
        b_regularizer: Callable[..., Any] | None = None,
        acti_func: str = "prelu",
        name: str = "DenseHighRes3DNetV2",
    ) -> None:
        super().__init__(
            num_classes, w_initializer, w_regularizer, b_initializer, b_regularizer, acti_func, name
        )

    @staticmethod
    def make_layers(num_classes: int) -> tuple[dict[str, Any], ...]:
        """Return the table of layers, as in version 1."""
        return TRUNK + (
            {"kind": "duc", "name": "duc"},
            {"kind": "logits", "name": "conv_07", "n_features": num_classes, "kernel_size": 1},
        )
