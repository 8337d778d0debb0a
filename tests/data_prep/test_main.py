import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from data_prep.__main__ import main

from .conftest import square


@pytest.fixture
def dicom(patient):
    for name in ("A", "B", "C"):
        made = patient(name).write()
        made.structures({"GTV-1": [(2, square(3.5, 12.5))], "Heart": [(3, square(3.5, 9.5))]})
    patient("D").write()
    return made.folder.parent


def predict(data, one, folder, factor=1):
    label = nib.load(data / "labels" / f"{one}.nii.gz")
    array = factor * label.get_fdata()[..., None, None].astype(np.float32)
    nib.save(nib.Nifti1Image(array, label.affine), folder / f"{one}_niftynet_out.nii.gz")


def test_preprocess_then_restore(dicom, tmp_path, capsys):
    data = tmp_path / "data"
    assert main(["preprocess", "--dicom", str(dicom), "--out", str(data)]) == 0
    text = capsys.readouterr().out
    assert "3 of 4 patients" in text
    assert "Next:" in text
    assert "No RTSTRUCT" in text
    (tmp_path / "nn").mkdir()
    for one in "AB":
        predict(data, one, tmp_path / "nn")
    arguments = ["--data", data, "--predictions", tmp_path / "nn", "--out", tmp_path / "out"]
    assert main(["restore", *map(str, arguments)]) == 0
    text = capsys.readouterr().out
    assert "mean of 2" in text
    assert "No prediction for 1: C" in text
    predict(data, "A", tmp_path / "nn", factor=5)
    assert main(["restore", *map(str, arguments)]) == 1
    assert "A failed" in capsys.readouterr().out


def test_options_reach_the_cohort(dicom, tmp_path):
    arguments = ["--roi", "heart", "--reduce", "3", "--split", "0", "0", "1", "--seed", "5"]
    out = tmp_path / "data"
    code = main(
        ["preprocess", "--dicom", str(dicom), "--out", str(out), "--allow-unlabelled", *arguments]
    )
    assert code == 0
    assert nib.load(out / "images/D.nii.gz").shape == (10, 8, 6)
    assert nib.load(out / "native/A_label.nii.gz").get_fdata().sum() == 36
    assert (out / "split.csv").read_text() == "".join(f"{one},Inference\n" for one in "ABCD")


def test_nothing_usable_is_exit_code_1(dicom, tmp_path, capsys):
    out = tmp_path / "data"
    assert main(["preprocess", "--dicom", str(dicom), "--out", str(out), "--roi", "liver"]) == 1
    assert "none of 4 patients is usable" in capsys.readouterr().err
    assert (out / "manifest.json").is_file()


def test_a_wrong_folder_is_one_paragraph_without_traceback(root, tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "data_prep", "preprocess", "--dicom", "absent", "--out", "out"],
        cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, text=True,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("data_prep preprocess: No folder absent.")
    assert run.stderr.count("\n") == 1


def test_neither_tensorflow_nor_niftynet_is_imported(root):
    code = (
        "import sys, data_prep.__main__, data_prep.export;"
        "sys.exit(any(m.split('.')[0] in ('tensorflow', 'niftynet') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


@pytest.mark.parametrize(
    ("command", "module", "function", "arguments", "expected"),
    [
        (
            ["phantom", "--out", "o", "--patients", "3"], "phantom", "write_cohort",
            {"patients": 3, "matrix": 192, "slices": 40, "seed": 0}, ["o"],
        ),
        (
            ["picture", "--data", "d", "--masks", "m", "--out", "p.png"], "picture",
            "draw_cohort", {}, ["d", "m", "p.png"],
        ),
    ],
)
def test_lazy_commands(monkeypatch, command, module, function, arguments, expected):
    imported = pytest.importorskip(f"data_prep.{module}")
    calls = []
    monkeypatch.setattr(imported, function, lambda *a, **k: calls.append((a, k)))
    assert main(command) == 0
    assert [str(value) for value in calls[0][0]] == expected
    assert calls[0][1] == arguments
