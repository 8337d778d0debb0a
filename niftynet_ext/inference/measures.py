"""The project's measures as NiftyNet evaluations: ``evaluations = dice2d, msd_mm, hd95_mm``.

They are NiftyNet's per-patient figures, on the grid it reads (``net_segment evaluation`` compares
on the network's own grid); NiftyNet averages them over patients. The paper's figures pool slices
of all patients on the CT's grid: ``python -m niftynet_ext evaluate``. Rules for empty masks are
those of :mod:`.evaluation`: a patient without a TP slice has no distance in 2-D (nan, and so has
the mean), distance in 3-D to an empty mask is infinite.
"""

from niftynet.evaluation.segmentation_evaluations import PerComponentScalarEvaluation
from niftynet.io.misc_io import compute_orientation

from niftynet_ext.evaluation.patient_scores import score_patient


def spacing_mm(image):
    """
    :param image: NiftyNet's SpatialImage3D
    :return: voxel spacing along the axes of the array that NiftyNet makes of it
    """
    if image.output_pixdim[0]:
        return image.output_pixdim[0][:3]
    pixdim = image.original_pixdim[0]
    if not (image.original_axcodes[0] and image.output_axcodes[0]):
        return pixdim
    order, _, _ = compute_orientation(image.output_axcodes[0], image.original_axcodes[0])
    return [pixdim[int(axis)] for axis in order[:, 0]]


class PatientEvaluation(PerComponentScalarEvaluation):
    """One figure of :func:`~.evaluation.patient.score_patient`; subclasses name it."""

    column = None

    def layer_op(self, subject_id, data, task):
        """
        :param subject_id: patient's id
        :param data: NiftyNet's dict of arrays (x, y, z, 1, channels)
        :param task: label or connected component, as of NiftyNet
        :return: list of DataFrames
        """
        label = self.reader.output_list[self.reader.get_image_index(subject_id)]["label"]
        self.spacing_mm = spacing_mm(label)
        return super().layer_op(subject_id, data, task)

    def metric_from_binarized(self, seg, ref):
        """
        :param seg: prediction, (x, y, z, 1, 1), or (x, y, z, 1) of probabilities
        :param ref: reference, (x, y, z, 1, 1)
        :return: float
        """
        shape = ref.shape[:3]
        row, _ = score_patient(seg.reshape(shape) > 0, ref.reshape(shape) > 0, self.spacing_mm)
        return row[self.column]


# NiftyNet's column is called as the class is; in 2-D as the paper has it, where nothing is said
COLUMNS = {
    "dice3d": "dice_3d",
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

globals().update(
    {name: type(name, (PatientEvaluation,), {"column": column}) for name, column in COLUMNS.items()}
)
