"""The commands as a person types them."""

import subprocess
import sys

import numpy as np

from niftynet_ext.commands.parser import main
from niftynet_ext.study.scoring import ModelPredictions
from tests.support.study import tumour


def run(*words):
    return main([str(word) for word in words])


def test_commands_print_what_they_found(study, capsys):
    other = ModelPredictions("v2", None, study.folder / "v2")
    for patient_id in "ABC":
        probability = np.where(tumour(2.0), 0.9, 0.1).astype(np.float32)
        study.predict(patient_id, probability, other)
        study.predict(patient_id, probability)
    folders = study.model.folder, other.folder
    references = "--references", study.references
    out, combined = study.folder / "out", study.folder / "ensemble"
    assert run("evaluate", *references, "--predictions", *folders, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "Wilcoxon" in printed and f"(slices, patients, cohort) are in {out}." in printed
    assert run("report", "--evaluation", out) == 0
    assert f"The report is {out / 'report.html'}" in capsys.readouterr().out
    assert run("ensemble", "--predictions", *folders, "--out", combined) == 0
    assert "3 patients of 2 models" in capsys.readouterr().out
    selected = study.folder / "selected.json"
    assert run("select", *references, "--predictions", *folders, "--out", selected) == 0
    assert "best of v2: v2, Dice3D 0." in capsys.readouterr().out
    words = *references, "--predictions", folders[0], "--steps", "largest"
    assert run("postprocess", *words, "--out", study.folder / "steps") == 0
    assert "1. + largest" in capsys.readouterr().out


def test_errors_are_an_exit_code_and_one_line(study, capsys):
    words = "--references", study.references, "--predictions", "absent", "--out", study.folder
    assert run("evaluate", *words) == 2
    assert capsys.readouterr().err.startswith("net_lung evaluate: Folder absent does not exist")


def test_make_ensemble_asks_for_the_models(root):
    done = subprocess.run(["make", "-n", "ensemble"], cwd=root, capture_output=True, text=True)
    assert done.returncode and "say which models: make ensemble PREDICTIONS=" in done.stderr


def test_no_tensorflow_and_no_dicom_are_needed():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'niftynet', 'pydicom']));"
        "from niftynet_ext.commands.parser import build_parser; build_parser()"
    )  # to import one of the three is an error now
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
