"""The cohort's figures: by hand, and recomputed from the slices' table."""

import math

import numpy as np
import pandas as pd
import pytest

from data_prep.core.errors import DataError
from niftynet_ext.study import cases, scoring
from niftynet_ext.study.scoring import ModelPredictions
from tests.support.study import SHAPE, tumour


def score(study, model=None, only_set=None, **options):
    references, unlabelled = cases.find_references(study.references)
    return scoring.score_model(model or study.model, references, only_set, unlabelled, **options)


def only(table):
    (row,) = table.to_dict("records")
    return row


def test_figures_pool_slices_of_all_patients_of_a_set(study):
    study.predict("B", tumour(0.0, radius=3.0))  # fewer slices: FN at both ends
    patients, by_slice = score(study, only_set="Validation")
    row = only(scoring.summarise(patients, by_slice))
    tp, fn = (by_slice[by_slice["kind"] == kind] for kind in ("TP", "FN"))
    assert (row["tp"], row["fn"], row["fp"]) == (len(tp), len(fn), 0) and len(fn) > 0
    pooled = np.r_[tp["dice_2d"], np.zeros(len(fn))]
    assert row["dice_2d_mean"] == pytest.approx(pooled.mean())
    assert row["dice_2d_q1"] == pytest.approx(np.quantile(pooled, 0.25))
    assert row["dice_tp_mean"] == pytest.approx(tp["dice_2d"].mean()) != row["dice_2d_mean"]
    assert row["msd_2d_mm_mean"] == pytest.approx(tp["msd_2d_mm"].mean())
    assert row["dice_3d_mean"] == pytest.approx(patients["dice_3d"].mean())
    assert row["dice_3d_low"] == patients["dice_3d"].min()  # of two patients
    assert row["dice_3d_high"] == patients["dice_3d"].max()
    assert row["patients"] == 2


def test_sets_and_models_are_never_mixed(study):
    other = ModelPredictions("other", None, study.folder / "other")
    for patient_id in "ABC":
        study.predict(patient_id, tumour(3.0), other)
    tables = [pd.concat(two) for two in zip(score(study), score(study, other), strict=True)]
    rows = scoring.summarise(*tables).to_dict("records")
    assert [(row["model"], row["set"], row["patients"]) for row in rows] == [
        ("densehighres3dnet_v1", "Validation", 2),
        ("densehighres3dnet_v1", "Inference", 1),
        ("other", "Validation", 2),
        ("other", "Inference", 1),
    ]
    row = only(scoring.summarise(*score(study, other, only_set="Inference")))
    assert row["dice_2d_mean"] == pytest.approx(rows[3]["dice_2d_mean"])
    assert pd.isna(rows[3]["iteration"]) and rows[0]["iteration"] == 60000


def test_a_missed_tumour_is_counted_and_makes_every_figure_worse(study):
    before = only(scoring.summarise(*score(study, only_set="Validation")))
    study.predict("B", np.zeros(SHAPE, bool))
    after = only(scoring.summarise(*score(study, only_set="Validation")))
    assert (after["empty_predictions"], after["empty_references"]) == (1, 0)
    assert after["dice_3d_mean"] == pytest.approx(before["dice_3d_mean"] / 2)
    assert after["dice_2d_q1"] == 0.0
    assert after["fn"] == before["tp"] / 2 and after["lesions_found"] == 1
    assert after["hd95_3d_mm_q3"] == math.inf and after["hd95_3d_mm_q1"] == math.inf
    assert after["patients"] == before["patients"] == 2


@pytest.mark.parametrize(
    "values, expected",
    [
        ([1.0, 2.0, 3.0, math.inf, math.inf], (2.0, 3.0, math.inf)),
        ([1.0, 2.0, 3.0, 4.0, math.inf], (2.0, 3.0, 4.0)),
        ([1.0, 2.0, 4.0, math.inf], (1.75, 3.0, math.inf)),
    ],
)
def test_quartiles_with_infinite_distances(study, values, expected):
    rows = score(study)[0].iloc[:1]
    patients = pd.concat(
        [rows.assign(msd_3d_mm=value, id=str(k)) for k, value in enumerate(values)]
    )
    row = only(scoring.summarise(patients, score(study)[1].iloc[:0]))
    assert [row[f"msd_3d_mm_{q}"] for q in ("q1", "q2", "q3")] == pytest.approx(expected)
    assert math.isnan(row["dice_2d_mean"]) and math.isnan(row["dice_2d_q1"])


def test_two_models_are_compared_on_the_same_patients(study):
    better = ModelPredictions("better", None, study.folder / "better")
    for patient_id in "AB":
        study.predict(patient_id, tumour(), better)
    both = pd.concat([score(study, only_set="Validation")[0], score(study, better)[0]])
    tests = scoring.compare(both).set_index("measure")
    assert list(tests.index) == list(scoring.TESTED_MEASURES)
    row = tests.loc["dice_3d"]
    assert (row["first"], row["second"]) == ("densehighres3dnet_v1@60000", "better")
    assert row["mean_difference"] == pytest.approx(1 - both.iloc[0]["dice_3d"])
    assert row["p"] == pytest.approx(0.5) and row["p_holm"] == 1.0  # the least that two can give
    with pytest.raises(
        DataError, match="different patients in the set Validation: only one of them has B"
    ):
        scoring.compare(both.iloc[[0, 1, 2]])


def test_all_faults_are_listed_at_once(study):
    for patient_id in "AB":
        study.predict(patient_id, tumour()[1:])
    with pytest.raises(DataError, match=r"(?s)2 of 3 patients cannot be.*A_nif.*\n.*B_nif"):
        score(study)


def test_a_post_processing_alters_the_prediction(study):
    patients, _ = score(study, alter=lambda mask, _, patient_id: mask & (patient_id != "B"))
    assert patients.set_index("id")["predicted_ml"].eq(0).to_dict() == {
        "A": False,
        "B": True,
        "C": False,
    }


@pytest.mark.parametrize(
    "text, name, iteration",
    [
        ("models/densehighres3dnet_v1/inference_60000", "densehighres3dnet_v1", 60000),
        ("models/densehighres3dnet_v1/inference", "densehighres3dnet_v1", None),
        ("models/v2/validation_20000", "v2", 20000),
        ("runs/ensemble", "ensemble", None),
        ("mine=models/v1/inference_300", "mine", 300),
        ("mine@7=x/y_300", "mine", 7),
    ],
)
def test_names_of_models(text, name, iteration):
    model = scoring.parse_model(text)
    assert (model.name, model.iteration) == (name, iteration)
    assert str(model.folder) == text.split("=")[-1]


def test_a_bad_iteration():
    with pytest.raises(DataError, match="'best' is not a number"):
        scoring.parse_model("v1@best=x")
