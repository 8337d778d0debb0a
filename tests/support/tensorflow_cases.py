"""Every public network, layer and loss of NiftyNet 0.6.0 as a seeded case.

The same code runs under TensorFlow 1.15 on Python 3.7 (``make_fixture.py``) and under TensorFlow 2
(``test_against_tensorflow_1.py``). Inputs and weights are drawn by NumPy from seeds that depend on
their names, and what a layer itself draws in its graph is a fixed pattern: no random generator of
TensorFlow is used.
"""

from __future__ import annotations

import collections
import functools
import importlib
import zlib
from typing import Any, Iterable, NamedTuple, Sequence
from unittest import mock

import numpy as np
import tensorflow as tf


class Case(NamedTuple):
    """A class or function of NiftyNet, and what it is called with."""

    name: str  # dotted, below niftynet
    options: dict[str, Any]  # of the class
    shapes: list[Any]  # of its inputs
    call: dict[str, Any]  # further arguments


class Labels(NamedTuple):
    """An input of whole numbers."""

    shape: tuple[int, ...]
    classes: int


class Unit(NamedTuple):
    """An input of numbers between 0 and 1."""

    shape: tuple[int, ...]


# sums in the same order on every machine
ONE_THREAD = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)

TRAIN = {"is_training": True}
APPLY = {"is_training": False}
CLASSES = {"num_classes": 2}
FLAT, SPACE = (2, 8, 8, 4), (2, 8, 8, 8, 4)


def case_of(
    name: str,
    options: dict[str, Any] | None = None,
    shapes: Iterable[Any] = (FLAT,),
    call: dict[str, Any] | None = None,
) -> Case:
    return Case(name, options or {}, list(shapes), call or {})


def both(
    name: str,
    options: dict[str, Any] | None = None,
    call: dict[str, Any] | None = None,
    shapes: Iterable[Any] = (FLAT, SPACE),
    inputs: int = 1,
) -> list[Case]:
    """Return a case for two dimensions and a case for three."""
    return [case_of(name, options, [shape] * inputs, call) for shape in shapes]


def sides(side: int, channels: int = 1, batch: int = 1) -> list[tuple[int, ...]]:
    """Return the shapes of a square and of a cube."""
    return [(batch,) + (side,) * rank + (channels,) for rank in (2, 3)]


NETWORKS = (
    both("network.deepmedic.DeepMedic", CLASSES, TRAIN, sides(57))
    + both(
        "network.dense_vnet.DenseVNet", CLASSES, {"is_training": False, "keep_prob": 1.0}, sides(16)
    )
    + both("network.highres3dnet.HighRes3DNet", CLASSES, TRAIN, sides(8))
    + both(
        "network.highres3dnet_large.HighRes3DNetLarge",
        CLASSES,
        {"is_training": True, "keep_prob": 1.0},
        sides(8),
    )
    + both("network.highres3dnet_small.HighRes3DNetSmall", CLASSES, TRAIN, sides(8))
    + both("network.holistic_net.HolisticNet", CLASSES, TRAIN, sides(16))
    + both("network.interventional_affine_net.INetAffine", {}, TRAIN, sides(16), inputs=2)
    + both("network.interventional_dense_net.INetDense", {}, TRAIN, sides(16), inputs=2)
    + both(
        "network.interventional_hybrid_net.INetHybridPreWarp",
        {"decay": 1e-6},
        TRAIN,
        sides(16),
        inputs=2,
    )
    + both(
        "network.interventional_hybrid_net.INetHybridTwoStream",
        {"decay": 1e-6},
        TRAIN,
        sides(16),
        inputs=2,
    )
    + both("network.no_new_net.UNet3D", CLASSES, TRAIN, sides(16))
    + both(
        "network.resnet.ResNet",
        {"num_classes": 2, "n_features": [4, 16, 32, 64], "n_blocks_per_resolution": 1},
        TRAIN,
        sides(16)[1:],
    )
    + both("network.scalenet.ScaleNet", CLASSES, TRAIN, sides(16, channels=2))
    + both("network.se_resnet.SE_ResNet", CLASSES, TRAIN, sides(16)[1:])
    + both("network.toynet.ToyNet", CLASSES, TRAIN, sides(8))
    + both("network.unet.UNet3D", CLASSES, TRAIN, sides(96)[:1])
    + both("network.unet_2d.UNet2D", CLASSES, TRAIN, sides(188)[:1])
    + both("network.vae.VAE", {}, TRAIN, sides(16, batch=4))
    + both("network.vnet.VNet", CLASSES, TRAIN, sides(16))
    + [
        case_of("network.simple_gan.SimpleGAN", {}, [(2, 10)] + [shape], TRAIN)
        for shape in sides(16, batch=2)
    ]
)

CONV = "layer.convolution.ConvLayer"
CONVOLUTIONAL = "layer.convolution.ConvolutionalLayer"
LAYERS = (
    [
        case
        for func in (
            "relu",
            "relu6",
            "elu",
            "softplus",
            "softsign",
            "sigmoid",
            "tanh",
            "prelu",
            "selu",
            "leakyrelu",
        )
        for case in both("layer.activation.ActiLayer", {"func": func})
    ]
    + both("layer.additive_upsample.AdditiveUpsampleLayer", {"new_size": 12, "n_splits": 2})
    + both("layer.additive_upsample.ResidualUpsampleLayer", {"n_splits": 2}, TRAIN)
    + both("layer.affine_augmentation.AffineAugmentationLayer", {"scale": 0.3})
    + both(
        "layer.affine_augmentation.AffineAugmentationLayer", {"scale": 0.6, "boundary": "REPLICATE"}
    )
    + both("layer.approximated_smoothing.SmoothingLayer", {"sigma": 1})
    + both("layer.approximated_smoothing.SmoothingLayer", {"sigma": 1, "type_str": "cauchy"})
    + both("layer.bn.BNLayer", {}, TRAIN)
    + both("layer.bn.BNLayer", {}, APPLY)
    + both("layer.bn.InstanceNormLayer")
    + both(CONV, {"n_output_chns": 3, "with_bias": True})
    + both(CONV, {"n_output_chns": 3, "dilation": 2})
    + both(CONV, {"n_output_chns": 3, "stride": 2, "padding": "VALID"})
    + [
        case
        for padding in ("REFLECT", "SYMMETRIC", "CONSTANT")
        for case in both(
            CONV, {"n_output_chns": 3, "padding": padding, "padding_constant": 1.5, "dilation": 2}
        )
    ]
    + [
        case
        for norm in ("batch", "instance", None)
        for case in both(
            CONVOLUTIONAL,
            {"n_output_chns": 4, "feature_normalization": norm, "acti_func": "prelu"},
            TRAIN,
        )
    ]
    + both(
        CONVOLUTIONAL,
        {
            "n_output_chns": 4,
            "feature_normalization": "group",
            "group_size": 2,
            "preactivation": True,
        },
        TRAIN,
    )
    + both(
        "layer.channel_sparse_convolution.ChannelSparseConvolutionalLayer",
        {"n_output_chns": 6},
        TRAIN,
    )
    + both("layer.crf.CRFAsRNNLayer", {"T": 2}, shapes=[(1, 4, 4, 2), (1, 3, 4, 3, 2)], inputs=2)
    + both("layer.crop.CropLayer", {"border": 1})
    + both("layer.deconvolution.DeconvLayer", {"n_output_chns": 3, "stride": 2})
    + both("layer.deconvolution.DeconvolutionalLayer", {"n_output_chns": 3, "stride": 2}, TRAIN)
    + both("layer.downsample.DownSampleLayer", {"func": "MAX"})
    + both("layer.downsample.DownSampleLayer", {"func": "AVG"})
    + both("layer.downsample.DownSampleLayer", {"func": "CONSTANT"})
    + both("layer.downsample_res_block.DownBlock", {"n_output_chns": 8}, TRAIN)
    + [
        case
        for func in ("SUM", "CONCAT")
        for case in both("layer.elementwise.ElementwiseLayer", {"func": func}, inputs=2)
    ]
    + both("layer.fully_connected.FullyConnectedLayer", {"n_output_chns": 3}, TRAIN)
    + both("layer.gn.GNLayer", {"group_size": 2})
    + both("layer.linear_resize.LinearResizeLayer", {"new_size": 5})
    + both("layer.linear_resize.LinearResizeLayer", {"new_size": 13})
    + both("layer.post_processing.PostProcessingLayer", {"func": "SOFTMAX", "num_classes": 4})
    + both("layer.post_processing.PostProcessingLayer", {"func": "ARGMAX", "num_classes": 4})
    + both("layer.residual_unit.ResidualUnit", {"n_output_chns": 6}, TRAIN)
    + both("layer.spatial_gradient.SpatialGradientLayer", {"spatial_axis": 1})
    + [
        case
        for name in ("ChannelSELayer", "ChannelSpatialSELayer")
        for case in both("layer.squeeze_excitation." + name, {"reduction_ratio": 2})
    ]
    + both("layer.squeeze_excitation.SpatialSELayer")
    + both("layer.subpixel.SubPixelLayer", {"upsample_factor": 2}, {"is_training": True})
    + both("layer.upsample.UpSampleLayer", {"func": "REPLICATE", "kernel_size": 2})
    + both("layer.upsample.UpSampleLayer", {"func": "CHANNELWISE_DECONV"})
    + both("layer.upsample_res_block.UpBlock", {"n_output_chns": 2}, TRAIN)
    + [
        case_of(
            "layer.grid_warper.AffineGridWarperLayer",
            {"source_shape": (6, 5), "output_shape": (4, 3)},
            [(2, 6)],
        ),
        case_of(
            "layer.grid_warper.AffineGridWarperLayer",
            {"source_shape": (6, 5, 4), "output_shape": (4, 3, 2)},
            [(2, 12)],
        ),
        case_of(
            "layer.spatial_transformer.ResampledFieldGridWarperLayer",
            {"source_shape": (8, 8, 8), "output_shape": (8, 8, 8), "coeff_shape": (4, 4, 4)},
            [(1, 4, 4, 4, 3)],
        ),
        case_of(
            "layer.spatial_transformer.BSplineFieldImageGridWarperLayer",
            {"source_shape": (8, 8, 8), "output_shape": (8, 8, 8), "knot_spacing": [4, 4, 4]},
            [(1, 5, 5, 5, 3)],
        ),
    ]
    + [
        case_of(
            "layer.resampler.ResamplerLayer",
            {"interpolation": interpolation, "boundary": boundary},
            [(2,) + (6,) * rank + (2,), (2, 7, rank)],
        )
        for interpolation in ("LINEAR", "NEAREST", "IDW", "BSPLINE")
        for boundary in ("ZERO", "REPLICATE", "CIRCULAR", "SYMMETRIC")
        for rank in (2, 3)
        if not (interpolation == "BSPLINE" and (boundary == "ZERO" or rank == 2))
    ]
)

SEGMENTATION = "layer.loss_segmentation.LossFunction"
REGRESSION = "layer.loss_regression.LossFunction"
LOGITS, TRUTH, WEIGHT = (2, 6, 6, 6, 4), Labels((2, 6, 6, 6, 1), 4), Unit((2, 6, 6, 6, 1))
MULTI = "layer.loss_classification_multi."
RATERS = Labels((4, 3), 2)
LOSSES = (
    [
        case_of(SEGMENTATION, {"n_class": 4, "loss_type": loss}, [LOGITS, TRUTH] + weight)
        for loss in (
            "CrossEntropy",
            "Dice",
            "Dice_NS",
            "Tversky",
            "GDSC",
            "DicePlusXEnt",
            "WGDL",
            "SensSpec",
            "VolEnforcement",
        )
        for weight in ([], [WEIGHT])
    ]
    + [
        case_of(SEGMENTATION, {"n_class": 4, "loss_type": loss}, [LOGITS, Unit(LOGITS)])
        for loss in ("CrossEntropy_Dense", "Dice_Dense", "Dice_Dense_NS")
    ]
    + [
        case_of(REGRESSION, {"loss_type": loss}, [SPACE, Unit(SPACE)] + weight)
        for loss in ("L1Loss", "L2Loss", "RMSE", "MAE", "Huber", "SmoothL1")
        for weight in ([], [Unit(SPACE)])
    ]
    + [case_of(REGRESSION, {"loss_type": "Cosine"}, [SPACE, Unit(SPACE)])]
    + [
        case_of(
            "layer.loss_classification.LossFunction", {"n_class": 3}, [(4, 3), Labels((4, 1), 3)]
        ),
        case_of(MULTI + "loss_variability", {}, [RATERS, (4, 3, 2)]),
        case_of(MULTI + "rmse_consistency", {}, [Unit((4, 2)), (4, 3, 2)]),
        case_of(MULTI + "variability", {}, [RATERS]),
        case_of("layer.loss_segmentation.undecided_loss", {}, [LOGITS, Labels(LOGITS, 2)]),
        case_of("layer.loss_segmentation.volume_enforcement_fin", {}, [(50, 3), Labels((50,), 3)]),
        case_of("layer.loss_gan.LossFunction", {}, [(4, 1), (4, 1)]),
        case_of(
            "layer.loss_autoencoder.LossFunction", {}, ["list", (2, 5), (2, 5), SPACE, SPACE, SPACE]
        ),
    ]
)


def title(case: Case) -> str:
    """Return a name of a case that no other case has."""

    def plain(value: Any) -> str:
        return "".join(str(value).split())

    options = ",".join(f"{k}={plain(v)}" for k, v in sorted(case.options.items()))
    inputs = ";".join(plain(tuple(s) if not isinstance(s, str) else s) for s in case.shapes)
    call = ",".join(f"{k}={v}" for k, v in sorted(case.call.items()))
    return f"{case.name}({options})[{inputs}]{call}"


def draw(seed: str, shape: Sequence[int]) -> np.ndarray:
    """Draw float64 from a standard normal distribution, the same for a seed everywhere."""
    return np.random.RandomState(zlib.crc32(seed.encode())).normal(size=shape)


def array(spec: Any, seed: str) -> np.ndarray:
    """Return the value of an input, see :class:`Case`."""
    if isinstance(spec, Labels):
        return np.abs(draw(seed, spec.shape) * 1e4).astype(np.int64) % spec.classes
    if isinstance(spec, Unit):
        return 1.0 / (1.0 + np.exp(-draw(seed, spec.shape)))
    return draw(seed, spec)


def weight(name: str, shape: Sequence[int]) -> np.ndarray:
    """Return the value of a variable: variances and factors near 1, kernels that keep the scale."""
    values = draw(name, shape)
    last = name.rpartition("/")[2]
    if last in ("gamma", "moving_variance"):
        return 1.0 + 0.1 * np.abs(values)
    if len(shape) > 1 and np.prod(shape[:-1]) > 1:
        return values / np.sqrt(np.prod(shape[:-1]))
    return 0.1 * values


def pattern(shape: tf.Tensor) -> tf.Tensor:
    """Return numbers between -1 and 1 that look random; integers are exact everywhere."""
    size = tf.reduce_prod(shape)
    return tf.reshape(tf.cast(tf.range(size) * 37 % 101, tf.float32) / 50.0 - 1.0, shape)


def random_uniform(
    shape: tf.Tensor, minval: float = 0.0, maxval: float = 1.0, **_unused: Any
) -> tf.Tensor:
    """Replace ``tf.random_uniform``."""
    return minval + (maxval - minval) * (pattern(shape) + 1.0) / 2.0


def random_normal(
    shape: tf.Tensor, mean: float = 0.0, stddev: float = 1.0, **_unused: Any
) -> tf.Tensor:
    """Replace ``tf.random_normal``."""
    return mean + stddev * pattern(shape)


def flatten(value: Any) -> list[Any]:
    """List the tensors in nested lists, tuples and dictionaries."""
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in flatten(part)]
    return [value]


def summary(values: Any) -> np.ndarray:
    """Return at most 24 numbers, float64: size, norm, sum, and some values."""
    values = np.asarray(values, np.float64).ravel()
    step = max(1, values.size // 21)
    return np.concatenate(
        [[values.size, np.sqrt(np.sum(values**2)), np.sum(values)], values[::step][:21]]
    )


def compute(case: Case) -> dict[str, Any]:
    """Build a case in a new graph and run it.

    :return: ``output``, ``gradient`` (by each float input) and ``norms`` (of the gradients by the
        variables, sorted by name) as float64; ``variables`` as text
    """
    module, _, kind = ("niftynet." + case.name).rpartition(".")
    with tf.Graph().as_default():
        function = getattr(importlib.import_module(module), kind)
        if kind.islower():  # a function, and not a class
            function = functools.partial(function, **case.options)
        else:
            function = function(**case.options)
        specs = [spec for spec in case.shapes if spec != "list"]
        feed = collections.OrderedDict()
        for i, spec in enumerate(specs):
            value = array(spec, f"input{i}").astype(np.float32)
            feed[tf.placeholder(tf.float32, value.shape)] = value
        inputs = list(feed)
        with mock.patch.multiple(tf, random_uniform=random_uniform, random_normal=random_normal):
            outputs = flatten(
                function(inputs, **case.call)
                if "list" in case.shapes
                else function(*inputs, **case.call)
            )
        outputs = [tensor for tensor in outputs if tensor is not None]
        floats = [tensor for tensor in outputs if tensor.dtype.is_floating]
        objective = (
            tf.add_n(
                [tf.reduce_sum(tf.square(tensor)) / float(1 + i) for i, tensor in enumerate(floats)]
            )
            if floats
            else None
        )
        variables = sorted(tf.global_variables(), key=lambda variable: variable.op.name)
        trainable = [v for v in variables if v in tf.trainable_variables()]
        wanted = inputs + trainable
        grads = tf.gradients(objective, wanted) if floats else [None] * len(wanted)
        grads = [
            tf.zeros_like(x) if grad is None else tf.convert_to_tensor(grad)
            for grad, x in zip(grads, wanted)
        ]
        with tf.Session(config=ONE_THREAD) as session:
            session.run(
                [v.initializer for v in variables],
                {v.initializer.inputs[1]: weight(v.op.name, v.shape.as_list()) for v in variables},
            )
            outputs, grads = session.run([outputs, grads], feed)
    n = len(inputs)
    return {
        "output": np.concatenate([summary(value) for value in outputs]),
        "gradient": np.concatenate([summary(value) for value in grads[:n]]),
        "norms": np.array([np.linalg.norm(value) for value in grads[n:]]),
        "variables": "\n".join(f"{v.op.name} {tuple(v.shape.as_list())}" for v in variables),
    }


CASES = collections.OrderedDict((title(case), case) for case in NETWORKS + LAYERS + LOSSES)
