"""The commands as a person types them."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from data_prep.core import predictions
from niftynet_ext.commands.parser import main
from niftynet_ext.evaluation.patient_scores import COLUMNS as PATIENT_COLUMNS
from niftynet_ext.evaluation.slices import COLUMNS as SLICE_COLUMNS
from niftynet_ext.study import tables
from niftynet_ext.study.scoring import Model
from tests.support.study import AFFINE, SHAPE, tumour, write


def run(*words):
    return main([str(word) for word in words])


@pytest.fixture
def out(study):
    study.predict("B", np.zeros(SHAPE, bool))
    ensemble = Model("ensemble", None, study.folder / "ensemble")
    for one in "AB":
        study.predict(one, tumour(0.5), ensemble)
    assert (
        run(
            "evaluate",
            "--references",
            study.references,
            "--set",
            "Validation",
            "--predictions",
            study.model.folder,
            ensemble.folder,
            "--out",
            study.folder / "out",
        )
        == 0
    )
    return study.folder / "out"


def rows(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_tables_stand_beside_the_papers(capsys, out):
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    (ours,) = (
        k
        for k, line in enumerate(lines)
        if line[:2] == ["DenseHighRes3DNet-v1", "60k"] and len(line) == 13
    )
    assert lines[ours + 1] == "paper 60k 0.530 0.367 0.597 0.751 0.510 0.007 0.643 0.825".split()
    assert float(lines[ours][2]) == pytest.approx(
        np.mean([float(row["dice_3d"]) for row in rows(out / "patients.csv")[:2]]), abs=5e-4
    )
    (slices,) = (
        k
        for k, line in enumerate(lines)
        if line[:2] == ["Ensemble", "-"] and line[-4:] == "0 of 2 patients".split()
    )
    assert lines[slices + 1] == "paper - 0.662 8.440 17.483 195 287".split()
    assert any(line[-4:] == "1 of 2 patients".split() for line in lines)


def test_files(out):
    patients, by_slice = rows(out / "patients.csv"), rows(out / "slices.csv")
    keys = ["model", "iteration", "set", "id"]
    assert list(patients[0]) == [*keys, *PATIENT_COLUMNS]
    assert list(by_slice[0]) == [*keys, *SLICE_COLUMNS]
    assert [(row["model"], row["id"], row["empty"]) for row in patients] == [
        ("densehighres3dnet_v1", "A", ""),
        ("densehighres3dnet_v1", "B", "prediction"),
        ("ensemble", "A", ""),
        ("ensemble", "B", ""),
    ]
    assert patients[1]["msd_3d_mm"] == "inf" and patients[1]["dice_3d"] == "0"
    for row in patients:
        kinds = [
            one["kind"]
            for one in by_slice
            if (one["model"], one["id"]) == (row["model"], row["id"])
        ]
        assert [kinds.count(kind) for kind in ("TP", "FN", "FP")] == [
            int(row[kind]) for kind in ("tp", "fn", "fp")
        ]
    assert {row["measure"] for row in rows(out / "tests.csv")} >= {"dice_3d", "hd95_3d_mm"}
    assert [row["empty_predictions"] for row in rows(out / "cohort.csv")] == ["1", "0"]


def test_json_is_strict_and_says_what_it_means(out):
    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads((out / "evaluation.json").read_text(), parse_constant=refuse)
    assert content["notice"].startswith("Research use only")
    assert content["patients"][1]["msd_3d_mm"] is None and content["patients"][1]["fn"] > 0
    assert content["cohort"][0]["iteration"] == 60000 and content["cohort"][1]["iteration"] is None
    assert "4 neighbours" in content["definitions"]["boundary"]


def test_what_was_written_can_be_read(out):
    found = tables.read(out)
    assert found["patients"]["empty"].tolist() == ["", "prediction", "", ""]
    assert found["patients"]["msd_3d_mm"][1] == np.inf
    assert found["cohort"]["iteration"].isna().tolist() == [False, True]
    assert len(found["tests"]) == 4 and len(found["slices"]) > 10


def test_one_model_needs_no_test(study, capsys):
    words = ["--references", study.references, "--predictions", study.model.folder]
    assert run("evaluate", *words, "--out", study.folder / "out") == 0
    assert "Wilcoxon" not in capsys.readouterr().out
    assert len(tables.read(study.folder / "out")["tests"]) == 0


def test_only_the_models_asked_for_are_compared(study, capsys):
    folders = [study.model.folder]
    for iteration in (20000, 30000):
        model = Model("v1", iteration, study.folder / "v1" / f"inference_{iteration}")
        for one in "ABC":
            study.predict(one, tumour(iteration / 10000), model)
        folders.append(model.folder)
    words = [
        "evaluate",
        "--references",
        study.references,
        "--predictions",
        *folders,
        "--out",
        study.folder / "out",
        "--set",
        "Validation",
    ]
    assert run(*words) == 0
    every = tables.read(study.folder / "out")["tests"]
    assert len(every) == 3 * 4  # pairs, measures
    assert run(*words, "--compare", "v1@20000", "densehighres3dnet_v1@60000") == 0
    tests = tables.read(study.folder / "out")["tests"]
    assert set(tests["first"]) | set(tests["second"]) == {"v1@20000", "densehighres3dnet_v1@60000"}
    assert len(tests) == 4  # and p is adjusted for these
    capsys.readouterr()
    assert run(*words, "--compare", "v1", "v1@20000") == 2
    assert "--compare v1: no such model; found densehighres3dnet_v1@60000, v1@20000" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "words, message",
    [
        (["--predictions", "absent"], "No folder absent"),
        (["--predictions", "a=x", "a=y"], "a is given more than once"),
        (["--predictions", "V", "--set", "Training"], "nobody to score"),
    ],
)
def test_wrong_input(study, capsys, words, message):
    words = [str(study.model.folder) if word == "V" else word for word in words]
    assert run("evaluate", "--references", study.references, *words, "--out", study.folder) == 2
    assert message in capsys.readouterr().err


def test_an_ensemble_is_evaluated_like_a_model(study, capsys):
    other = Model("v2", None, study.folder / "v2")
    rng = np.random.default_rng(0)
    for one in "AB":  # either model is wrong where the other is right
        noise = rng.random(SHAPE, np.float32) * 0.8
        study.predict(one, np.where(tumour(), 0.9 - noise / 2, noise / 2), other)
        study.predict(one, np.where(tumour(), 0.1 + noise, 0.4 * noise))
    (study.model.folder / "C_niftynet_out.nii.gz").unlink()
    out = study.folder / "models" / "ensemble" / "inference"
    assert (
        run(
            "ensemble",
            "--predictions",
            study.model.folder,
            other.folder,
            "--out",
            out,
            "--weights",
            1,
            3,
        )
        == 0
    )
    assert "2 patients of 2 models" in capsys.readouterr().out
    assert (
        run(
            "evaluate",
            "--references",
            study.references,
            "--predictions",
            out,
            study.model.folder,
            "--out",
            study.folder / "out",
        )
        == 0
    )
    scores = tables.read(study.folder / "out")["cohort"].set_index("model")["dice_3d_mean"]
    assert scores["ensemble"] > scores["densehighres3dnet_v1"]


def test_one_folder_is_no_ensemble(study, capsys):
    assert run("ensemble", "--predictions", study.model.folder, "--out", study.folder / "e") == 2
    assert "is one folder" in capsys.readouterr().err and not (study.folder / "e").exists()


def test_make_ensemble_asks_for_the_models(root):
    done = subprocess.run(["make", "-n", "ensemble"], cwd=root, capture_output=True, text=True)
    assert done.returncode and "say which models: make ensemble PREDICTIONS=" in done.stderr


def test_the_effect_of_each_step_is_shown(study, capsys):
    speck = tumour(1.0)
    speck[0, 0, 0] = True  # 0.003 mL
    speck[12, 10, 3] = False  # a hole
    for one in "AB":
        study.predict(one, speck)
    out = study.folder / "steps"
    assert (
        run(
            "postprocess",
            "--references",
            study.references,
            "--predictions",
            study.model.folder,
            "--steps",
            "components:0.01 fill_holes",
            "--out",
            out,
        )
        == 0
    )
    printed = capsys.readouterr().out
    names = ["0. as predicted", "1. + components:0.01", "2. + fill_holes"]
    assert all(name in printed for name in names)
    scores = [float(row["dice_3d_mean"]) for row in rows(out / "cohort.csv")]
    assert [row["model"] for row in rows(out / "cohort.csv")] == names
    assert scores[0] < scores[1] < scores[2]
    found = predictions.find(out)
    assert set(found) == {"A", "B"}  # the validation set
    array, affine = predictions.read_foreground(found["A"])
    assert np.array_equal(array, tumour(1.0)) and np.array_equal(affine, AFFINE)


def test_predictions_are_not_overwritten(study, capsys):
    assert (
        run(
            "postprocess",
            "--references",
            study.references,
            "--predictions",
            study.model.folder,
            "--steps",
            "largest",
            "--out",
            study.model.folder,
        )
        == 2
    )
    assert "Name another" in capsys.readouterr().err


def test_a_box_needs_the_ct(study, capsys):
    words = [
        "postprocess",
        "--predictions",
        study.model.folder,
        "--steps",
        "body_box:0",
        "--out",
        study.folder / "steps",
    ]
    assert run(*words, "--references", study.references / "native") == 2
    assert "give --references the folder that preprocess wrote" in capsys.readouterr().err
    ct = np.full(SHAPE, -1000, np.int16)
    ct[2:20, 2:20] = 40
    for one in "ABC":
        write(study.references / "images" / f"{one}.nii.gz", ct)
    assert run(*words, "--references", study.references) == 0


def test_no_tensorflow_and_no_dicom_are_needed():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'niftynet', 'pydicom']));"
        "import niftynet_ext.__main__"
    )  # to import one of the three is an error now
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
