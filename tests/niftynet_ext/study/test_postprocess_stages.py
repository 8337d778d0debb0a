"""Post-processing step by step: its scores, its masks, and what it needs."""

import numpy as np
import pytest

from data_prep.core import predictions
from data_prep.core.errors import DataError
from niftynet_ext.study import tables
from niftynet_ext.study.evaluation_record import read_evaluation
from niftynet_ext.study.postprocess import parse_plan
from niftynet_ext.study.postprocess_stages import score_stages
from tests.support.study import AFFINE, SHAPE, tumour, write


def test_the_effect_of_each_step_is_shown(study):
    speck = tumour(1.0)
    speck[0, 0, 0] = True  # 0.003 mL
    speck[12, 10, 3] = False  # a hole
    for patient_id in "AB":
        study.predict(patient_id, speck)
    out = study.folder / "steps"
    steps = parse_plan("components:0.01 fill_holes")
    found = score_stages(study.model.folder, steps, study.references, out, "Validation")
    names = ["0. as predicted", "1. + components:0.01", "2. + fill_holes"]
    assert found.summary["model"].tolist() == names
    scores = found.summary["dice_3d_mean"].tolist()
    assert scores[0] < scores[1] < scores[2]
    assert set(found.tests["first"]) == {names[0]} and set(found.tests["second"]) == {*names[1:]}
    assert tables.read(out).summary["dice_3d_mean"].tolist() == pytest.approx(scores, rel=1e-5)
    record = read_evaluation(out)
    assert record.postprocessing.steps == ["components:0.01", "fill_holes"]
    assert record.postprocessing.predictions == "../densehighres3dnet_v1/inference_60000"
    assert record.predictions == {}
    masks = predictions.find(out)
    assert set(masks) == {"A", "B"}  # the validation set
    array, affine = predictions.read_foreground(masks["A"])
    assert np.array_equal(array, tumour(1.0)) and np.array_equal(affine, AFFINE)


def test_predictions_are_not_overwritten(study):
    with pytest.raises(DataError, match="Name another folder"):
        score_stages(
            study.model.folder, parse_plan("largest"), study.references, study.model.folder
        )


def test_a_box_needs_the_ct(study):
    steps, out = parse_plan("body_box:0"), study.folder / "steps"
    with pytest.raises(DataError, match="give --references the folder that preprocess wrote"):
        score_stages(study.model.folder, steps, study.references / "native", out, "Validation")
    ct = np.full(SHAPE, -1000, np.int16)
    ct[2:20, 2:20] = 40
    for patient_id in "ABC":
        write(study.references / "images" / f"{patient_id}.nii.gz", ct)
    found = score_stages(study.model.folder, steps, study.references, out, "Validation")
    assert len(found.summary) == 2
