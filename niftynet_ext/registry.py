"""Short names of this project's plugins, for the ini files of NiftyNet's own commands."""

NETWORKS = {
    "densehighres3dnet_v1": "niftynet_ext.network.dense_highres3dnet.DenseHighRes3DNet",
    "densehighres3dnet_v2": "niftynet_ext.network.dense_highres3dnet.DenseHighRes3DNetV2",
    "highres3dnet_matched": "niftynet_ext.network.highres3dnet_matched.HighRes3DNetMatched",
}

SEGMENTATION_LOSSES = {
    "DiceForeground": "niftynet_ext.loss.dice.dice_foreground",
    "DiceReleased": "niftynet.layer.loss_segmentation.dice",
    "Focal": "niftynet_ext.loss.focal.focal_xent",
    "FocalReleased": "niftynet_ext.loss.focal.focal_released_xent",
}

EVENT_HANDLERS = {
    # two of NiftyNet's own names: the same files, written and read with more care
    "model_saver": "niftynet_ext.training.saver.CarefulSaver",
    "model_restorer": "niftynet_ext.training.saver.CarefulRestorer",
    "train_summary": "niftynet_ext.training.summary.TrainSummary",
    "best_checkpoint": "niftynet_ext.training.best.BestCheckpoint",
    "stop_on_nan": "niftynet_ext.training.nan_guard.StopOnNan",
    "progress_line": "niftynet_ext.training.progress_line.ProgressLine",
}

EVALUATIONS = {
    name: f"niftynet_ext.inference.measures.{name}"
    for name in (
        "dice3d",
        "dice2d",
        "msd_mm",
        "hd95_mm",
        "msd_3d_mm",
        "hd95_3d_mm",
        "slices_tp",
        "slices_fn",
        "slices_fp",
        "volume_error_ml",
        "lesions_found",
        "lesions_false",
    )
}


def register(factory):
    """Add the names above to NiftyNet's own tables.

    :param factory: the module ``niftynet.engine.application_factory``
    """
    factory.SUPPORTED_NETWORK.update(NETWORKS)
    factory.SUPPORTED_LOSS_SEGMENTATION.update(SEGMENTATION_LOSSES)
    factory.SUPPORTED_EVALUATIONS.update(EVALUATIONS)
    factory.SUPPORTED_EVENT_HANDLERS.update(EVENT_HANDLERS)
