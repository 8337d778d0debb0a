"""All measures of one patient: a row of the patients' table and the rows of its slices."""

import numpy as np

from data_prep.core.dice import dice
from data_prep.core.masks import bounding_box, check_pair, check_spacing
from niftynet_ext.evaluation import slices, surface
from niftynet_ext.evaluation.lesions import lesion_counts

EMPTY = {
    (False, False): "",
    (True, False): "prediction",
    (False, True): "reference",
    (True, True): "both",
}
"""Words for which of (prediction, reference) has no voxel."""

COLUMNS = (
    "dice_3d",  # eq. 4; 0 where one mask is empty, 1 where both are
    "dice_2d",  # mean over the patient's TP and FN slices; nan without any
    "msd_2d_mm",
    "hd95_2d_mm",  # mean over the patient's TP slices; nan without any
    "tp",
    "fn",
    "fp",  # number of slices
    "msd_3d_mm",
    "hd95_3d_mm",  # in 3-D; inf where one mask is empty, 0 where both are
    "reference_ml",
    "predicted_ml",
    "volume_error_ml",  # predicted - reference
    "volume_error_percent",  # of the reference; nan where that is empty
    "lesions",
    "lesions_found",
    "lesions_false",
    "empty",  # which mask has no voxel: prediction, reference, both, or none ("")
)


def score_patient(prediction, reference, spacing_mm):
    """
    :param prediction: boolean (x, y, z)
    :param reference: boolean (x, y, z)
    :param spacing_mm: voxel spacing along x, y and z
    :return: dict by :data:`COLUMNS`, and what :func:`~.slices.slice_scores` returns
    :raises ValueError: not 3-D, shapes differ, not boolean, or a spacing is not positive
    """
    check_pair(prediction, reference)
    box = bounding_box(prediction, reference)  # the one look at the whole volume
    prediction, reference = (mask[box].copy(order="K") for mask in (prediction, reference))
    by_slice = slices.slice_scores(prediction, reference, spacing_mm)
    by_slice["slice"] += box[-1].start
    kind = by_slice["kind"]
    is_tp, is_fn = kind == slices.TP, kind == slices.FN
    distances = surface.surface_distances(prediction, reference, spacing_mm)
    voxel_ml = float(np.prod(check_spacing(spacing_mm, 3))) / 1000.0
    reference_ml = int(np.count_nonzero(reference)) * voxel_ml
    predicted_ml = int(np.count_nonzero(prediction)) * voxel_ml
    error_ml = predicted_ml - reference_ml
    row = {
        "dice_3d": dice(prediction, reference),
        "dice_2d": _mean(by_slice["dice_2d"][is_tp | is_fn]),
        "msd_2d_mm": _mean(by_slice["msd_2d_mm"][is_tp]),
        "hd95_2d_mm": _mean(by_slice["hd95_2d_mm"][is_tp]),
        "tp": int(is_tp.sum()),
        "fn": int(is_fn.sum()),
        "fp": int((kind == slices.FP).sum()),
        "msd_3d_mm": surface.mean_surface_distance(distances),
        "hd95_3d_mm": surface.hausdorff_distance(distances),
        "reference_ml": reference_ml,
        "predicted_ml": predicted_ml,
        "volume_error_ml": error_ml,
        "volume_error_percent": 100.0 * error_ml / reference_ml if reference_ml else np.nan,
        **lesion_counts(prediction, reference),
        "empty": EMPTY[predicted_ml == 0, reference_ml == 0],
    }
    return row, by_slice


def _mean(values):
    return float(values.mean()) if len(values) else np.nan
