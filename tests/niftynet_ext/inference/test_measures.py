"""NiftyNet's evaluator with the project's measures, on volumes in any orientation."""

import itertools
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from niftynet_ext.evaluation.patient_scores import score_patient
from niftynet_ext.registry import EVALUATIONS
from tests.support.shapes import box

SHAPE, SPACING = (9, 8, 7), (1.0, 2.0, 3.0)
REFERENCE = box(SHAPE, (2, 6), (2, 6), (1, 5))
PREDICTION = box(SHAPE, (3, 7), (2, 5), (2, 6))


def stored(mask, axes, flips, path):
    """Write a mask of RAS orientation with its axes in another order and direction."""
    image = nib.Nifti1Image(mask.astype(np.uint8), np.diag([*SPACING, 1.0]))
    orientation = np.array([[axis, flip] for axis, flip in zip(axes, flips, strict=True)])
    nib.save(image.as_reoriented(orientation), path)
    return str(path)


@pytest.fixture
def evaluator(tf, tmp_path):
    """Function that builds NiftyNet's evaluator on two files."""

    def build(axes, flips, evaluations):
        from niftynet.evaluation.segmentation_evaluator import SegmentationEvaluator
        from niftynet.io.image_reader import ImageReader

        files = {
            name: stored(mask, axes, flips, tmp_path / f"{name}.nii.gz")
            for name, mask in (("label", REFERENCE), ("inferred", PREDICTION))
        }
        section = {
            "interp_order": 0,
            "axcodes": ("R", "A", "S"),
            "pixdim": None,
            "loader": None,
            "spatial_window_size": SHAPE,
        }
        sections = {name: dict(section) for name in files}
        task = SimpleNamespace(
            label=("label",),
            inferred=("inferred",),
            output_prob=False,
            evaluation_units="foreground",
            num_classes=2,
        )
        reader = ImageReader(("label", "inferred")).initialise(
            sections, task, pd.DataFrame([{"subject_id": "A", **files}])
        )
        return SegmentationEvaluator(reader, task, SimpleNamespace(evaluations=evaluations))

    return build


@pytest.mark.parametrize("axes", itertools.permutations(range(3)))
def test_figures_do_not_depend_on_how_the_volume_is_stored(evaluator, axes):
    tables = evaluator(axes, (1, -1, -1), ", ".join(EVALUATIONS)).evaluate()
    found = tables["subject_id", "label"].loc["A", 1]
    expected, _ = score_patient(PREDICTION, REFERENCE, SPACING)
    names = {
        "dice3d": "dice_3d",
        "dice2d": "dice_2d",
        "msd_mm": "msd_2d_mm",
        "hd95_mm": "hd95_2d_mm",
        "slices_tp": "tp",
        "slices_fn": "fn",
        "slices_fp": "fp",
    }
    assert set(found.index) == set(EVALUATIONS)
    for name, value in found.items():
        assert value == pytest.approx(expected[names.get(name, name)]), name


def test_they_stand_beside_niftynets_own(evaluator):
    tables = evaluator((0, 1, 2), (1, 1, 1), "dice,dice3d").evaluate()
    found = tables["subject_id", "label"].loc["A", 1]
    assert found["dice"] == pytest.approx(found["dice3d"])
    assert tables["label",].loc[1, "mean_dice3d"] == pytest.approx(found["dice3d"])
