"""The project's measures as NiftyNet evaluations: ``evaluations = dice2d, msd_mm, hd95_mm``.

They are measures of one patient on the grid that NiftyNet reads (``net_segment evaluation``
compares on the network's grid); NiftyNet averages them over patients. The paper's measures pool the
slices of all patients on the CT's grid: ``net_lung evaluate``. Rules for empty masks are those of
:mod:`niftynet_ext.evaluation`: a patient without a TP slice has no distance in 2-D (NaN, and so is
the mean), and the distance in 3-D to an empty mask is infinite.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from niftynet.evaluation.segmentation_evaluations import PerComponentScalarEvaluation
from niftynet.io.misc_io import compute_orientation

from niftynet_ext.evaluation.patient_scores import score_patient
from niftynet_ext.registry import EVALUATION_COLUMNS

# NiftyNet is untyped: its objects (reader, image) are Any


def spacing_mm(image: Any) -> Sequence[float]:
    """Return the voxel spacing along the axes of the array that NiftyNet makes of an image.

    :param image: NiftyNet's SpatialImage3D
    """
    if image.output_pixdim[0]:
        return image.output_pixdim[0][:3]
    pixdim = image.original_pixdim[0]
    if not (image.original_axcodes[0] and image.output_axcodes[0]):
        return pixdim
    order, _, _ = compute_orientation(image.output_axcodes[0], image.original_axcodes[0])
    return [pixdim[int(axis)] for axis in order[:, 0]]


class PatientEvaluation(PerComponentScalarEvaluation):
    """One measure of :func:`~niftynet_ext.evaluation.patient_scores.score_patient`.

    :cvar column: its name there, which subclasses set
    """

    column: str

    def layer_op(self, subject_id: str, data: dict[str, Any], task: Any) -> Any:
        """Evaluate one patient.

        :param subject_id: patient's id
        :param data: NiftyNet's arrays (x, y, z, 1, channels), by name
        :param task: NiftyNet's sub-analysis: a label or connected components
        :return: list of DataFrames
        """
        label = self.reader.output_list[self.reader.get_image_index(subject_id)]["label"]
        self.spacing_mm = spacing_mm(label)
        return super().layer_op(subject_id, data, task)

    def metric_from_binarized(self, seg: np.ndarray, ref: np.ndarray) -> Any:
        """Compute the measure.

        :param seg: prediction, (x, y, z, 1, 1), or (x, y, z, 1) of probabilities
        :param ref: reference, (x, y, z, 1, 1)
        :return: number
        """
        shape = ref.shape[:3]
        row, _ = score_patient(seg.reshape(shape) > 0, ref.reshape(shape) > 0, self.spacing_mm)
        return row[self.column]


# NiftyNet's column has the name of the class
globals().update(
    {
        name: type(name, (PatientEvaluation,), {"column": column})
        for name, column in EVALUATION_COLUMNS.items()
    }
)
