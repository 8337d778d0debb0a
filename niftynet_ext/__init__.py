"""Segmentation of lung tumours with DenseHighRes3DNet on NiftyNet 0.6: train, evaluate, segment.

The names below are imported at their first use: ``import niftynet_ext`` itself imports neither
NumPy nor TensorFlow. Only the networks bring TensorFlow. This module also runs on Python 3.7.
"""

from typing import TYPE_CHECKING

from data_prep.core.identity import VERSION
from data_prep.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from data_prep.core.errors import NetLungError
    from niftynet_ext.core.errors import RefusedError, RoundsError
    from niftynet_ext.core.paper import PAPER_PLAN, Stage
    from niftynet_ext.evaluation.patient_scores import score_patient
    from niftynet_ext.evaluation.surface import (
        hausdorff_distance,
        mean_surface_distance,
        surface_distances,
    )
    from niftynet_ext.network.dense_highres3dnet import DenseHighRes3DNet, DenseHighRes3DNetV2
    from niftynet_ext.network.highres3dnet_matched import HighRes3DNetMatched
    from niftynet_ext.study.ensemble import ensemble
    from niftynet_ext.study.evaluate import evaluate
    from niftynet_ext.study.reproduce import reproduce
    from niftynet_ext.study.rounds import train_in_rounds
    from niftynet_ext.study.scoring import ModelPredictions
    from niftynet_ext.study.segment import SegmentOptions, segment
    from niftynet_ext.study.select import select_best
    from niftynet_ext.study.trained_model import TrainedModel, open_model

__version__ = VERSION

__all__ = [
    "PAPER_PLAN",
    "DenseHighRes3DNet",
    "DenseHighRes3DNetV2",
    "HighRes3DNetMatched",
    "ModelPredictions",
    "NetLungError",
    "RefusedError",
    "RoundsError",
    "SegmentOptions",
    "Stage",
    "TrainedModel",
    "__version__",
    "ensemble",
    "evaluate",
    "hausdorff_distance",
    "mean_surface_distance",
    "open_model",
    "reproduce",
    "score_patient",
    "segment",
    "select_best",
    "surface_distances",
    "train_in_rounds",
]

_MODULES = {
    "PAPER_PLAN": "niftynet_ext.core.paper",
    "DenseHighRes3DNet": "niftynet_ext.network.dense_highres3dnet",
    "DenseHighRes3DNetV2": "niftynet_ext.network.dense_highres3dnet",
    "HighRes3DNetMatched": "niftynet_ext.network.highres3dnet_matched",
    "ModelPredictions": "niftynet_ext.study.scoring",
    "NetLungError": "data_prep.core.errors",
    "RefusedError": "niftynet_ext.core.errors",
    "RoundsError": "niftynet_ext.core.errors",
    "SegmentOptions": "niftynet_ext.study.segment",
    "Stage": "niftynet_ext.core.paper",
    "TrainedModel": "niftynet_ext.study.trained_model",
    "ensemble": "niftynet_ext.study.ensemble",
    "evaluate": "niftynet_ext.study.evaluate",
    "hausdorff_distance": "niftynet_ext.evaluation.surface",
    "mean_surface_distance": "niftynet_ext.evaluation.surface",
    "open_model": "niftynet_ext.study.trained_model",
    "reproduce": "niftynet_ext.study.reproduce",
    "score_patient": "niftynet_ext.evaluation.patient_scores",
    "segment": "niftynet_ext.study.segment",
    "select_best": "niftynet_ext.study.select",
    "surface_distances": "niftynet_ext.evaluation.surface",
    "train_in_rounds": "niftynet_ext.study.rounds",
}
"""Where each public name is defined."""

__getattr__, __dir__ = lazy_names(globals(), _MODULES)
