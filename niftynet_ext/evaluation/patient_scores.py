"""All measures of one patient: a row of the patients' table and the rows of its slices.

Names that end in ``_mm``, ``_ml`` or ``_mm2`` are in mm, millilitres or square millimetres.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data_prep.core.masks import bounding_box, check_pair, check_spacing
from data_prep.core.overlap import dice
from niftynet_ext.evaluation import slices, surface
from niftynet_ext.evaluation.lesions import LesionCounts, lesion_counts
from niftynet_ext.evaluation.slices import DICE_2D, HD95_2D, MSD_2D

EMPTY_WORDS = {
    (False, False): "",
    (True, False): "prediction",
    (False, True): "reference",
    (True, True): "both",
}
"""Words for which of (prediction, reference) has no voxel."""

DICE_3D, MSD_3D, HD95_3D = "dice_3d", "msd_3d_mm", "hd95_3d_mm"
"""Names of the measures in 3-D."""

PATIENT_COLUMNS = (
    DICE_3D,  # eq. 4; 0 where one mask is empty, 1 where both are
    DICE_2D,  # mean over the patient's TP and FN slices; nan without any
    MSD_2D,
    HD95_2D,  # mean over the patient's TP slices; nan without any
    "tp",
    "fn",
    "fp",  # numbers of slices
    MSD_3D,
    HD95_3D,  # in 3-D; inf where one mask is empty, 0 where both are
    "reference_ml",
    "predicted_ml",
    "volume_error_ml",  # predicted - reference
    "volume_error_percent",  # of the reference; nan where that is empty
    *LesionCounts._fields,
    "empty",  # which mask has no voxel: prediction, reference, both, or none ("")
)
"""Columns of the patients' table."""


class PatientScores(NamedTuple):
    """A row by :data:`PATIENT_COLUMNS`, and arrays (slices,) by :data:`~.slices.SLICE_COLUMNS`."""

    row: dict[str, float | int | str]
    by_slice: dict[str, np.ndarray]


def score_patient(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: npt.ArrayLike
) -> PatientScores:
    """Compare the masks of one patient.

    :param prediction: boolean (x, y, z)
    :param reference: boolean (x, y, z)
    :param spacing_mm: voxel spacing along x, y and z
    :return: the row of the patient, and the scores of its slices
    :raises ValueError: not 3-D, shapes differ, not boolean, or a spacing is not positive
    """
    check_pair(prediction, reference)
    box = bounding_box(prediction, reference)  # the only pass over the whole volume
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
        DICE_3D: dice(prediction, reference),
        DICE_2D: _mean(by_slice[DICE_2D][is_tp | is_fn]),
        MSD_2D: _mean(by_slice[MSD_2D][is_tp]),
        HD95_2D: _mean(by_slice[HD95_2D][is_tp]),
        "tp": int(is_tp.sum()),
        "fn": int(is_fn.sum()),
        "fp": int((kind == slices.FP).sum()),
        MSD_3D: surface.mean_surface_distance(distances),
        HD95_3D: surface.hausdorff_distance(distances),
        "reference_ml": reference_ml,
        "predicted_ml": predicted_ml,
        "volume_error_ml": error_ml,
        "volume_error_percent": 100.0 * error_ml / reference_ml if reference_ml else np.nan,
        **lesion_counts(prediction, reference)._asdict(),
        "empty": EMPTY_WORDS[predicted_ml == 0, reference_ml == 0],
    }
    return PatientScores(row, by_slice)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan
