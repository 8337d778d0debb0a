"""A patient's row: sums of what the other tests prove, and the rules for empty masks."""

import math

import numpy as np
import pytest

from niftynet_ext.evaluation.patient_scores import PATIENT_COLUMNS, score_patient
from tests.support.shapes import box

SHAPE, SPACING = (8, 6, 9), (2.0, 1.0, 3.0)


def test_by_hand():
    reference = box(SHAPE, (1, 4), (1, 4), (2, 5))
    prediction = box(SHAPE, (2, 5), (1, 4), (4, 7))
    row, by_slice = score_patient(prediction, reference, SPACING)
    assert tuple(row) == PATIENT_COLUMNS
    expected = {
        "dice_3d": 2 * 6 / 54,
        "dice_2d": (12 / 18) / 3,
        "msd_2d_mm": 7 / 8,
        "hd95_2d_mm": 2.0,
        "tp": 1,
        "fn": 2,
        "fp": 2,
        "reference_ml": 0.162,
        "predicted_ml": 0.162,
        "volume_error_ml": 0.0,
        "volume_error_percent": 0.0,
        "lesions": 1,
        "lesions_found": 1,
        "lesions_false": 0,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert row["empty"] == "" and len(by_slice["slice"]) == 5
    assert 3.0 <= row["msd_3d_mm"] <= row["hd95_3d_mm"] <= np.hypot(6.0, 2.0)


@pytest.mark.parametrize(
    "empties, word, dice, distance",
    [
        ((True, False), "prediction", 0.0, math.inf),
        ((False, True), "reference", 0.0, math.inf),
        ((True, True), "both", 1.0, 0.0),
    ],
)
def test_empty_masks_are_named_and_scored(empties, word, dice, distance):
    cube = box(SHAPE, (1, 4), (1, 4), (2, 5))
    row, _ = score_patient(*(cube & (not empty) for empty in empties), SPACING)
    assert row["empty"] == word and row["dice_3d"] == dice
    assert row["msd_3d_mm"] == row["hd95_3d_mm"] == distance
    assert math.isnan(row["msd_2d_mm"]) and row["tp"] == 0
    assert (row["fn"], row["fp"]) == (
        3 * empties[0] * (not empties[1]),
        3 * empties[1] * (not empties[0]),
    )
    assert math.isnan(row["volume_error_percent"]) == empties[1]


def test_values_are_plain_numbers_that_json_can_hold():
    cube = box(SHAPE, (1, 4), (1, 4), (2, 5))
    row, _ = score_patient(cube, np.roll(cube, 1), SPACING)
    assert {type(value) for value in row.values()} == {int, float, str}
