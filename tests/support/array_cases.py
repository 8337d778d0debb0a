"""NiftyNet's layers and measures that work on NumPy arrays, as seeded cases.

Like ``tensorflow_cases.py``, for what runs in the reader and in the evaluation: today's NumPy,
SciPy and SimpleITK against those of 2019.
"""

from __future__ import annotations

import collections
from typing import Any, Callable

import numpy as np

from tests.support.tensorflow_cases import draw


def volume() -> dict[str, np.ndarray]:
    """Return a seeded volume as NiftyNet's reader has it, (X, Y, Z, 1, 1)."""
    return {"image": draw("volume", (9, 8, 7, 1, 1)).astype(np.float32)}


def mask(seed: str) -> np.ndarray:
    """Return a seeded mask, (X, Y, Z)."""
    return (draw(seed, (9, 8, 7)) > 0.7).astype(np.int64)


def flip() -> Any:
    from niftynet.layer.rand_flip import RandomFlipLayer

    layer = RandomFlipLayer(flip_axes=(0, 1, 2))
    np.random.seed(1)
    layer.randomise(spatial_rank=3)
    return layer(volume(), {"image": [1]})["image"]


def rotation() -> Any:
    from niftynet.layer.rand_rotation import RandomRotationLayer

    layer = RandomRotationLayer()
    layer.init_uniform_angle((-10.0, 10.0))
    np.random.seed(2)
    layer.randomise(spatial_rank=3)
    return layer(volume(), {"image": [1]})["image"]


def scaling() -> Any:
    from niftynet.layer.rand_spatial_scaling import RandomSpatialScalingLayer

    layer = RandomSpatialScalingLayer(min_percentage=-30.0, max_percentage=-10.0)
    np.random.seed(3)
    layer.randomise(spatial_rank=3)
    return layer(volume(), {"image": [1]})["image"]


def bias_field() -> Any:
    from niftynet.layer.rand_bias_field import RandomBiasFieldLayer

    layer = RandomBiasFieldLayer()
    layer.init_uniform_coeff((-0.5, 0.5))
    np.random.seed(4)
    layer.randomise(spatial_rank=3)
    return layer(volume(), {"image": [1]})["image"]


def elastic() -> Any:
    from niftynet.layer.rand_elastic_deform import RandomElasticDeformationLayer

    layer = RandomElasticDeformationLayer(
        num_controlpoints=4, std_deformation_sigma=2, proportion_to_augment=1.0
    )
    np.random.seed(5)
    inputs = volume()
    layer.randomise(inputs)
    return layer(inputs, {"image": [1]})["image"]


def padding(mode: str) -> Callable[[], Any]:
    def pad() -> Any:
        from niftynet.layer.pad import PadLayer

        layer = PadLayer(image_name=("image",), border=(2, 1, 0), mode=mode)
        return layer(volume())[0]["image"]

    return pad


def masking(kind: str) -> Callable[[], Any]:
    def binarise() -> Any:
        from niftynet.layer.binary_masking import BinaryMaskingLayer

        return BinaryMaskingLayer(type_str=kind, threshold=0.1)(volume()["image"][..., 0, 0])

    return binarise


def whitening() -> Any:
    from niftynet.layer.mean_variance_normalisation import MeanVarNormalisationLayer

    return MeanVarNormalisationLayer(image_name="image")(volume()["image"])[0]


def measures() -> Any:
    from niftynet.evaluation.pairwise_measures import PairwiseMeasures

    pair = PairwiseMeasures(mask("prediction"), mask("reference"), num_neighbors=6)
    return np.concatenate(
        [np.ravel(np.float64(pair.m_dict[name][0]())) for name in sorted(pair.m_dict)]
    )


CASES = collections.OrderedDict(
    [
        (function.__name__, function)
        for function in (flip, rotation, scaling, bias_field, elastic, whitening, measures)
    ]
    + [("pad_" + mode, padding(mode)) for mode in ("minimum", "constant", "reflect")]
    + [
        ("mask_" + kind, masking(kind))
        for kind in ("threshold_plus", "threshold_minus", "otsu_plus", "otsu_minus", "mean_plus")
    ]
)
