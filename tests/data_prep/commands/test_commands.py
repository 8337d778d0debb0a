import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort.manifest import read_manifest
from niftynet_ext.commands.parser import main
from tests.support.dicom_patients import square


@pytest.fixture
def dicom(patient):
    for name in ("A", "B", "C"):
        made = patient(name).write()
        made.structures({"GTV-1": [(2, square(3.5, 12.5))], "Heart": [(3, square(3.5, 9.5))]})
    patient("D").write()
    return made.folder.parent


def predict(data, patient_id, folder, factor=1):
    label = nib.load(data / "labels" / f"{patient_id}.nii.gz")
    array = factor * label.get_fdata()[..., None, None].astype(np.float32)
    nib.save(nib.Nifti1Image(array, label.affine), folder / f"{patient_id}_niftynet_out.nii.gz")


def test_preprocess_then_restore(dicom, tmp_path, capsys):
    data = tmp_path / "data"
    assert main(["preprocess", "--dicom", str(dicom), "--out", str(data)]) == 0
    text = capsys.readouterr().out
    assert "3 of 4 patients" in text
    assert "Next:" in text
    assert "No RTSTRUCT" in text
    (tmp_path / "nn").mkdir()
    for patient_id in "AB":
        predict(data, patient_id, tmp_path / "nn")
    phases = {patient.id: patient.phase for patient in read_manifest(data).patients}
    arguments = ["--data", data, "--predictions", tmp_path / "nn", "--out", tmp_path / "out"]
    assert main(["restore", *map(str, arguments)]) == 0
    text = capsys.readouterr().out
    for patient_id in "AB":
        assert f"mean of 1, {phases[patient_id]}" in text
    assert "mean of 2" not in text
    assert "No prediction for 1 patient: C" in text
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
    expected = "".join(f"{patient_id},Inference\n" for patient_id in "ABCD")
    assert (out / "split.csv").read_text() == expected


def test_spacing_method_policy_and_classes_reach_the_files(dicom, tmp_path):
    rule = {
        "classes": [
            {"value": 3, "patterns": ["gtv.*"]},
            {"value": 7, "names": ["Heart"], "policy": "first"},
        ]
    }
    (tmp_path / "rule.json").write_text(json.dumps(rule))
    arguments = ["preprocess", "--dicom", str(dicom), "--roi", str(tmp_path / "rule.json")]
    arguments += ["--spacing", "2.2", "1.6", "2.5"]
    for method in ("cubic", "antialiased"):
        assert main([*arguments, "--method", method, "--out", str(tmp_path / method)]) == 0
    cubic, smooth = (
        nib.load(tmp_path / method / "images/A.nii.gz") for method in ("cubic", "antialiased")
    )
    np.testing.assert_allclose(cubic.header.get_zooms(), (2.2, 1.6, 2.5), rtol=1e-6)
    assert np.std(smooth.get_fdata()) < np.std(cubic.get_fdata())  # of white noise
    label = nib.load(tmp_path / "cubic/native/A_label.nii.gz").get_fdata()
    assert {value: int((label == value).sum()) for value in (3, 7)} == {3: 81, 7: 36}
    small = nib.load(tmp_path / "cubic/labels/A.nii.gz")
    assert set(np.unique(small.get_fdata())) == {0, 3, 7}
    record = read_manifest(tmp_path / "cubic").patients[0]
    assert [(roi.value, roi.name) for roi in record.roi.classes] == [
        (3, "GTV-1"),
        (7, "Heart"),
    ]


def test_lists_names_ids_that_one_side_lacks(dicom, tmp_path, capsys):
    data = tmp_path / "data"
    main(["preprocess", "--dicom", str(dicom), "--out", str(data)])
    assert main(["lists", "--data", str(data)]) == 0
    (tmp_path / "mine.csv").write_text("A,Training\n007,Inference\nB,Validation\n")
    capsys.readouterr()
    arguments = ["lists", "--data", str(data), "--split-file", str(tmp_path / "mine.csv")]
    assert main(arguments) == 1
    assert capsys.readouterr().out.splitlines() == [
        "mine.csv lacks 1 id: C",
        "ct.csv lacks 1 id: 007",
        "label.csv lacks 1 id: 007",
    ]


def test_nothing_usable_is_exit_code_1(dicom, tmp_path, capsys):
    out = tmp_path / "data"
    assert main(["preprocess", "--dicom", str(dicom), "--out", str(out), "--roi", "liver"]) == 1
    assert "4 patients, none of them usable" in capsys.readouterr().err
    assert (out / "manifest.json").is_file()


def test_a_wrong_folder_is_one_paragraph_without_traceback(root, tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "niftynet_ext", "preprocess", "--dicom", "absent", "--out", "out"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert run.stderr.startswith(
        f"net_lung preprocess: Folder {tmp_path / 'absent'} does not exist."
    )
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("phantom --out new --patients 0", "patients must be a whole number from 1 to 999, got 0"),
        ("phantom --out new --matrix 5", "matrix must be"),
        ("phantom --out file", "file"),
        ("preprocess --dicom dicom --out new --seed -1", "--seed is -1"),
        ("preprocess --dicom dicom --out file", "--out file cannot be"),
        (
            "preprocess --dicom dicom --out file/below",
            "--out file/below cannot be",
        ),
        (
            "restore --data data --predictions nn --out file",
            "--out file cannot be",
        ),
        ("restore --data file --predictions nn --out new", "file/manifest.json does not exist"),
        ("picture --data data --masks masks --out file/a.png", "file"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    dicom, tmp_path, monkeypatch, capsys, command, expected
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "nn").mkdir()
    if "--data data" in command:
        main(["preprocess", "--dicom", "dicom", "--out", "data"])
        predict(tmp_path / "data", "A", tmp_path / "nn")
        main("restore --data data --predictions nn --out masks".split())
        capsys.readouterr()
    assert main(command.split()) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"net_lung {command.split()[0]}: ")
    assert expected in captured.err
    assert (captured.err.count("\n"), captured.out) == (1, "")
    assert (tmp_path / "file").read_text() == "mine"


def test_the_closing_line_says_what_to_do_next(dicom, tmp_path, monkeypatch, capsys):
    def last_line(*arguments):
        assert main(["preprocess", "--dicom", str(dicom), *arguments]) == 0
        return capsys.readouterr().out.strip().splitlines()[-1]

    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert last_line("--out", "./data").endswith(
        "Next: net_lung config densehighres3dnet_v1, then "
        "net_lung train -c densehighres3dnet_v1.ini"
    )
    line, out = last_line("--out", "other"), tmp_path / "work" / "other"
    assert f"net_lung config densehighres3dnet_v1 --data {out}, then" in line
    for path in dicom.glob("*/rs.dcm"):
        path.unlink()
    line = last_line("--out", "other", "--allow-unlabelled")
    assert "only inference is possible" in line and "net_lung train" not in line
    assert "net_lung train" not in last_line("--out", "data", "--allow-unlabelled")


def test_neither_tensorflow_nor_niftynet_is_imported(root):
    code = (
        "import sys, data_prep.commands.restore, data_prep.cohort.restore;"
        "sys.exit(any(m.split('.')[0] in ('tensorflow', 'niftynet') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


@pytest.mark.parametrize(
    ("command", "module", "function", "arguments", "expected"),
    [
        (
            ["phantom", "--out", "o", "--patients", "3"],
            "phantom",
            "write_phantom_cohort",
            {"patients": 3, "matrix": 192, "slices": 40, "seed": 0},
            ["o"],
        ),
        (
            ["picture", "--data", "d", "--masks", "m", "--out", "p.png"],
            "cohort.picture",
            "draw_cohort",
            {},
            ["d", "m", "p.png"],
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
