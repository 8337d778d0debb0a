"""An evaluation from folders of predictions to its files, and back."""

import csv
import json

import numpy as np
import pytest
from rich.console import Console

from data_prep.core.errors import DataError
from niftynet_ext.evaluation.patient_scores import PATIENT_COLUMNS
from niftynet_ext.evaluation.slices import SLICE_COLUMNS
from niftynet_ext.study import evaluation_record, scoring, tables
from niftynet_ext.study.ensemble import ensemble
from niftynet_ext.study.evaluate import evaluate
from niftynet_ext.study.scoring import ModelPredictions
from tests.support.study import SHAPE, tumour


@pytest.fixture
def result(study):
    """Evaluate a model that misses the tumour of B, and an ensemble."""
    study.predict("B", np.zeros(SHAPE, bool))
    other = ModelPredictions("ensemble", None, study.folder / "ensemble")
    for patient_id in "AB":
        study.predict(patient_id, tumour(0.5), other)
    return evaluate([study.model, other], study.references, study.folder / "out", "Validation")


@pytest.fixture
def out(study, result):
    return study.folder / "out"


def rows(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_tables_are_printed_beside_those_of_the_paper(result, capsys):
    tables.print_tables(result, Console(width=132))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    (place,) = (
        k
        for k, line in enumerate(lines)
        if line[:2] == ["DenseHighRes3DNet-v1", "60k"] and len(line) == 13
    )
    assert lines[place + 1] == "paper 60k 0.530 0.367 0.597 0.751 0.510 0.007 0.643 0.825".split()
    mean = result.patients["dice_3d"][:2].mean()
    assert float(lines[place][2]) == pytest.approx(mean, abs=5e-4)
    (place,) = (
        k
        for k, line in enumerate(lines)
        if line[:2] == ["Ensemble", "-"] and line[-4:] == "0 of 2 patients".split()
    )
    assert lines[place + 1] == "paper - 0.662 8.440 17.483 195 287".split()
    assert any(line[-4:] == "1 of 2 patients".split() for line in lines)
    assert any(line[:1] == ["Wilcoxon's"] for line in lines)


def test_files(out):
    patients, by_slice = rows(out / "patients.csv"), rows(out / "slices.csv")
    keys = ["model", "iteration", "set", "id"]
    assert list(patients[0]) == [*keys, *PATIENT_COLUMNS]
    assert list(by_slice[0]) == [*keys, *SLICE_COLUMNS]
    assert tuple(rows(out / "cohort.csv")[0]) == scoring.SUMMARY_COLUMNS
    assert tuple(rows(out / "tests.csv")[0]) == scoring.TEST_COLUMNS
    assert [(row["model"], row["id"], row["empty"]) for row in patients] == [
        ("densehighres3dnet_v1", "A", ""),
        ("densehighres3dnet_v1", "B", "prediction"),
        ("ensemble", "A", ""),
        ("ensemble", "B", ""),
    ]
    assert patients[1]["msd_3d_mm"] == "inf" and patients[1]["dice_3d"] == "0"
    for patient in patients:
        key = patient["model"], patient["id"]
        kinds = [row["kind"] for row in by_slice if (row["model"], row["id"]) == key]
        assert [kinds.count(kind) for kind in ("TP", "FN", "FP")] == [
            int(patient[kind]) for kind in ("tp", "fn", "fp")
        ]
    assert {row["measure"] for row in rows(out / "tests.csv")} >= {"dice_3d", "hd95_3d_mm"}
    assert [row["empty_predictions"] for row in rows(out / "cohort.csv")] == ["1", "0"]


def test_json_is_strict_and_says_what_it_means(out):
    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads((out / "evaluation.json").read_text(), parse_constant=refuse)
    assert content["schema_version"] == 1
    record = evaluation_record.read_evaluation(out)
    assert record.notice.startswith("Research use only")
    assert record.patients[1]["msd_3d_mm"] is None and record.patients[1]["fn"] > 0
    assert [row["iteration"] for row in record.cohort] == [60000, None]
    assert isinstance(record.cohort[0]["fn"], int) and isinstance(
        record.patients[1]["dice_3d"], float
    )
    assert "4 neighbours" in record.definitions["boundary"]
    assert record.references == "../data" and record.postprocessing is None
    assert record.predictions["densehighres3dnet_v1@60000"].startswith("../densehighres3dnet_v1/")


def test_an_unknown_newer_schema_is_refused(out):
    path = out / "evaluation.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(DataError, match="has schema_version 2, expected at most 1: it is meant"):
        evaluation_record.read_evaluation(out)


def test_a_damaged_record_is_refused(out):
    path = out / "evaluation.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": "zero"'))
    with pytest.raises(DataError, match=r"damaged \(seed: .*net_lung evaluate --out"):
        evaluation_record.read_evaluation(out)
    path.write_text(path.read_text()[:100])
    with pytest.raises(DataError, match="damaged"):
        evaluation_record.read_evaluation(out)


def test_what_was_written_can_be_read(out, result):
    found = tables.read(out)
    assert found.patients["empty"].tolist() == ["", "prediction", "", ""]
    assert found.patients["msd_3d_mm"][1] == np.inf
    assert found.summary["iteration"].isna().tolist() == [False, True]
    assert len(found.tests) == 4 and len(found.slices) > 10
    for name, table in found.by_file_name().items():
        assert list(table) == list(result.by_file_name()[name])


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda text: None, r"^No .*patients\.csv\. Run net_lung evaluate --out .* again\.$"),
        (lambda text: text[:-20], r"patients\.csv is cut: .*evaluate --out"),
        (
            lambda text: text.replace(",dice_3d,", ",dice,"),
            r"has no column dice_3d; expected the columns model, iteration, .*evaluate --out",
        ),
        (lambda text: text[:-1] + ",1,2,3\n", "not a table with the columns model, iteration, set"),
        (lambda text: "", "is cut"),
        (lambda text: text.replace(",60000,", ",late,"), "not a table"),
        (
            lambda text: text.replace(",inf,", ",far,"),
            "has text in msd_3d_mm, expected numbers",
        ),
        (lambda text: "\xff\n", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(out, damage, message):
    path = out / "patients.csv"
    text = damage(path.read_text())
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=message):
        tables.read(out)


def test_a_table_with_too_few_heads_is_refused(out):
    path = out / "tests.csv"
    path.write_text(path.read_text().replace(",p_holm\n", "\n"))
    with pytest.raises(DataError, match=r"tests\.csv has more values in a row than columns"):
        tables.read(out)


def test_one_model_needs_no_test(study, capsys):
    found = evaluate([study.model], study.references, study.folder / "out")
    tables.print_tables(found, Console(width=132))
    assert "Wilcoxon" not in capsys.readouterr().out
    assert len(tables.read(study.folder / "out").tests) == 0


def test_only_the_models_asked_for_are_compared(study):
    models = [study.model]
    for iteration in (20000, 30000):
        model = ModelPredictions("v1", iteration, study.folder / "v1" / f"inference_{iteration}")
        for patient_id in "ABC":
            study.predict(patient_id, tumour(iteration / 10000), model)
        models.append(model)

    def tests_of(compare):
        arguments = models, study.references, study.folder / "out", "Validation", 0, compare
        return evaluate(*arguments).tests

    assert len(tests_of(None)) == 3 * 4  # pairs, measures
    tests = tests_of(["v1@20000", "densehighres3dnet_v1@60000"])
    assert set(tests["first"]) | set(tests["second"]) == {"v1@20000", "densehighres3dnet_v1@60000"}
    assert len(tests) == 4  # and p is adjusted for these
    with pytest.raises(
        DataError,
        match="--compare v1: there is no such model; found densehighres3dnet_v1@60000, v1@20000",
    ):
        tests_of(["v1", "v1@20000"])


@pytest.mark.parametrize(
    "folders, only_set, message",
    [
        (["absent"], None, "Folder absent does not exist"),
        (["a=x", "a=y"], None, "a is given more than once"),
        (["V"], "Training", "no patient to score"),
    ],
)
def test_wrong_input(study, folders, only_set, message):
    texts = [str(study.model.folder) if text == "V" else text for text in folders]
    models = [scoring.parse_model(text) for text in texts]
    with pytest.raises(DataError, match=message):
        evaluate(models, study.references, study.folder / "out", only_set)


def test_an_ensemble_is_evaluated_like_a_model(study):
    other = ModelPredictions("v2", None, study.folder / "v2")
    rng = np.random.default_rng(0)
    for patient_id in "AB":  # either model is wrong where the other is right
        noise = rng.random(SHAPE, np.float32) * 0.8
        study.predict(patient_id, np.where(tumour(), 0.9 - noise / 2, noise / 2), other)
        study.predict(patient_id, np.where(tumour(), 0.1 + noise, 0.4 * noise))
    (study.model.folder / "C_niftynet_out.nii.gz").unlink()
    combined = study.folder / "models" / "ensemble" / "inference"
    written = ensemble([study.model.folder, other.folder], combined, weights=[1, 3])
    assert set(written) == {"A", "B"}
    models = [scoring.parse_model(str(combined)), study.model]
    found = evaluate(models, study.references, study.folder / "out")
    scores = found.summary.set_index("model")["dice_3d_mean"]
    assert scores["ensemble"] > scores["densehighres3dnet_v1"]
