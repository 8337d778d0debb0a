"""Short names of this project's plugins, for the ini files of NiftyNet's own commands.

Every run of ``net_segment`` imports this module at its start: it imports nothing that takes time.
"""

from typing import Any

NETWORKS = {
    "densehighres3dnet_v1": "niftynet_ext.network.dense_highres3dnet.DenseHighRes3DNet",
    "densehighres3dnet_v2": "niftynet_ext.network.dense_highres3dnet.DenseHighRes3DNetV2",
    "highres3dnet_matched": "niftynet_ext.network.highres3dnet_matched.HighRes3DNetMatched",
}
"""Dotted paths of ``name`` in [NETWORK], by short name."""

SEGMENTATION_LOSSES = {
    "DiceForeground": "niftynet_ext.loss.dice.dice_foreground",
    "DiceReleased": "niftynet.layer.loss_segmentation.dice",
    "Focal": "niftynet_ext.loss.focal.focal_xent",
    "FocalReleased": "niftynet_ext.loss.focal.focal_released_xent",
}
"""Dotted paths of ``loss_type`` in [TRAINING], by short name."""

EVENT_HANDLERS = {
    # two of NiftyNet's own names: the same files, with more checks
    "model_saver": "niftynet_ext.training.saver.CarefulSaver",
    "model_restorer": "niftynet_ext.training.saver.CarefulRestorer",
    "train_summary": "niftynet_ext.training.summary.TrainSummary",
    "best_checkpoint": "niftynet_ext.training.best.BestCheckpoint",
    "stop_on_nan": "niftynet_ext.training.nan_guard.StopOnNan",
    "progress_line": "niftynet_ext.training.progress_line.ProgressLine",
}
"""Dotted paths of ``event_handler`` in [SYSTEM], by short name."""

EVALUATION_COLUMNS = {
    "dice3d": "dice_3d",
    # in 2-D where the name does not say it, as in the paper
    "dice2d": "dice_2d",
    "msd_mm": "msd_2d_mm",
    "hd95_mm": "hd95_2d_mm",
    "msd_3d_mm": "msd_3d_mm",
    "hd95_3d_mm": "hd95_3d_mm",
    "slices_tp": "tp",
    "slices_fn": "fn",
    "slices_fp": "fp",
    "volume_error_ml": "volume_error_ml",
    "lesions_found": "lesions_found",
    "lesions_false": "lesions_false",
}
"""Column of :func:`niftynet_ext.evaluation.patient_scores.score_patient` by NiftyNet evaluation."""

EVALUATIONS = {name: f"niftynet_ext.inference.measures.{name}" for name in EVALUATION_COLUMNS}
"""Dotted paths of the evaluations of [EVALUATION], by short name."""


def register(factory: Any) -> None:
    """Add the names above to NiftyNet's own tables.

    :param factory: the module ``niftynet.engine.application_factory`` (untyped)
    """
    factory.SUPPORTED_NETWORK.update(NETWORKS)
    factory.SUPPORTED_LOSS_SEGMENTATION.update(SEGMENTATION_LOSSES)
    factory.SUPPORTED_EVALUATIONS.update(EVALUATIONS)
    factory.SUPPORTED_EVENT_HANDLERS.update(EVENT_HANDLERS)
