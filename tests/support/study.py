"""Folders of references and predictions, written as NIfTI."""

import nibabel as nib
import numpy as np

from data_prep.cohort.manifest import GridRecord, Status
from data_prep.core import resample
from niftynet_ext.study.scoring import ModelPredictions
from tests.support.manifests import record_of, write_manifest_of
from tests.support.shapes import ball

SHAPE, SPACING = (24, 22, 8), (1.0, 1.0, 3.0)
AFFINE = np.diag([-1.0, -1.0, 3.0, 1.0])
AFFINE[:3, 3] = 120.0, 90.0, -300.0


def write(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def tumour(offset=0.0, radius=6.0):
    """Boolean mask of a sphere near the middle, ``offset`` mm off along x."""
    return ball(SHAPE, (11.0 + offset, 10.0, 11.0), radius, SPACING)


class Study:
    """Three labelled patients and a model that is 1 mm off.

    ``references`` is a folder as ``data_prep preprocess`` writes it, ``model`` has the predictions.
    """

    sets = {"A": "Validation", "B": "Validation", "C": "Inference"}

    def __init__(self, folder):
        self.folder, self.references = folder, folder / "data"
        self.model = ModelPredictions(
            "densehighres3dnet_v1", 60000, folder / "densehighres3dnet_v1" / "inference_60000"
        )
        grid = resample.reduced_grid(SHAPE, AFFINE, 2)
        grids = {
            "native": GridRecord.of(SHAPE, AFFINE),
            "coarse": GridRecord.of(grid.shape, grid.affine),
        }
        records = []
        for patient_id, group in self.sets.items():
            write(self.references / f"native/{patient_id}_label.nii.gz", tumour().astype(np.uint8))
            self.predict(patient_id, tumour(1.0))
            files = {
                "native_label": f"native/{patient_id}_label.nii.gz",
                "image": f"images/{patient_id}.nii.gz",
            }
            records.append(record_of(patient_id, group, files=files, **grids))
        records += [
            record_of("D", "Inference", **grids),
            record_of("E", status=Status.REFUSED),
        ]
        write_manifest_of(self.references, records)

    def predict(self, patient_id, mask, model=None, affine=AFFINE):
        """Write a mask (or probabilities) as a model's prediction of a patient."""
        array = mask.astype(np.uint8) if mask.dtype == bool else mask
        folder = (model or self.model).folder
        return write(folder / f"{patient_id}_niftynet_out.nii.gz", array, affine)

    def predict_coarse(self, patient_id, mask, factor=2, model=None):
        """Write what a network gives: two channels on the coarse grid, (x, y, z, 1, 2)."""
        grid = resample.reduced_grid(mask.shape, AFFINE, factor)
        coarse = resample.resample_label(mask, grid).astype(np.float32)
        both = np.stack([1 - coarse, coarse], -1)[..., None, :]
        return self.predict(patient_id, both, model, grid.affine)
