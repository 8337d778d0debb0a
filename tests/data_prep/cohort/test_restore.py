import csv
import io
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from rich.console import Console

from data_prep.cohort import prepare, restore
from data_prep.cohort.manifest import read_manifest
from data_prep.core.errors import DataError
from tests.support.dicom_patients import square


@pytest.fixture
def prepared(patient, tmp_path):
    """Return the output folder of two labelled patients and one without a label."""
    for name in ("A", "B"):
        patient(name).write().structures({"GTV-1": [(2, square(3.5, 15.5)), (3, square(3, 11))]})
    patient("C").write()
    parameters = prepare.Parameters(allow_unlabelled=True)
    prepare.prepare_cohort(tmp_path / "dicom", tmp_path / "data", parameters)
    return tmp_path / "data"


def predict(data, patient_id, name, shape=lambda array: array[..., None, None]):
    """Write a coarse label as NiftyNet writes a probability map."""
    source = data / "labels" / f"{patient_id}.nii.gz"
    if not source.exists():
        source = data / "images" / f"{patient_id}.nii.gz"
    label = nib.load(source)
    array = (label.get_fdata() > 0).astype(np.float32)
    target = data.parent / "predictions" / name
    target.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(shape(array), label.affine), target)
    return target


LAYOUTS = {
    "x y z": lambda a: a,
    "x y z 1 1": lambda a: a[..., None, None],
    "x y z 1 2": lambda a: np.stack([1 - a, a], -1)[..., None, :],
    "x y z 2": lambda a: np.stack([1 - a, a], -1),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_mask_lies_on_the_native_grid(prepared, tmp_path, layout):
    predict(prepared, "A", "A_niftynet_out.nii.gz", layout)
    result = restore.restore_cohort(prepared, tmp_path / "predictions", tmp_path / "out")
    mask = nib.load(tmp_path / "out/A_mask.nii.gz")
    native = nib.load(prepared / "native/A_label.nii.gz")
    assert mask.shape == native.shape
    assert mask.header.get_sform().tobytes() == native.header.get_sform().tobytes()
    assert mask.header.get_qform().tobytes() == native.header.get_qform().tobytes()
    assert mask.get_data_dtype() == np.uint8
    a, b = mask.get_fdata() > 0, native.get_fdata() > 0
    dice = 2 * (a & b).sum() / (a.sum() + b.sum())
    assert dice > 0.9
    assert result.scores[0].dice_3d == pytest.approx(dice)
    assert result.scores[0].reference_ml == pytest.approx(b.sum() * 0.0022)
    assert result.missing == ("B", "C")


def test_scores_and_a_patient_without_reference(prepared, tmp_path):
    for patient_id in "AC":
        predict(prepared, patient_id, f"window_seg_{patient_id}__niftynet_out.nii.gz")
    result = restore.restore_cohort(prepared, tmp_path / "predictions", tmp_path / "out")
    with open(tmp_path / "out/scores.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["id", "phase", "dice_3d", "reference_ml", "predicted_ml"]
    assert [row["id"] for row in rows] == ["A", "C"]
    phases = {patient.id: patient.phase for patient in read_manifest(prepared).patients}
    assert [row["phase"] for row in rows] == [phases["A"], phases["C"]] == ["Training", "Inference"]
    assert rows[1]["dice_3d"] == rows[1]["reference_ml"] == "nan"
    assert float(rows[1]["predicted_ml"]) > 0
    assert result.missing == ("B",)


def printed(result):
    console = Console(record=True, width=200, file=io.StringIO())
    restore.print_scores(result, console)
    return " ".join(console.export_text().split())


def test_a_program_gets_null_for_what_is_undefined():
    score = restore.Score("A", "Inference", float("nan"), float("nan"), 2.0)
    assert restore.RestoreResult((score,), {"B": "why"}, ("C",)).as_json() == {
        "scores": [
            {
                "id": "A",
                "phase": "Inference",
                "dice_3d": None,
                "reference_ml": None,
                "predicted_ml": 2.0,
            }
        ],
        "failed": {"B": "why"},
        "missing": ["C"],
    }


def test_the_mean_is_of_one_phase_never_across():
    scores = [
        ("A", "Training", 1.0),
        ("B", "Inference", 0.5),
        ("C", "Inference", 0.25),
        ("D", "Inference", float("nan")),
    ]
    rows = [restore.Score(*row, 1.0, 1.0) for row in scores]
    text = printed(restore.RestoreResult(tuple(rows), {}, ()))
    assert "mean of 2, Inference 0.3750" in text and "mean of 1, Training 1.0000" in text
    assert text.count("mean of") == 2
    assert "B Inference 0.5000" in text and "A Training 1.0000" in text


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, "No prediction for 1 patient: 0"),
        (9, "No prediction for 9 patients: 0, 1, 2, 3, 4, 5, 6, 7, 8"),
        (11, "No prediction for 11 patients: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."),
    ],
)
def test_patients_without_prediction_are_named(count, expected):
    missing = tuple(str(k) for k in range(count))
    assert printed(restore.RestoreResult((), {}, missing)).endswith(expected)
    assert "No prediction" not in printed(restore.RestoreResult((), {}, ()))


def test_a_manifest_without_phases_is_refused(prepared, tmp_path):
    path = prepared / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["patients"][0]["phase"]
    path.write_text(json.dumps(manifest))
    predict(prepared, "A", "A_niftynet_out.nii.gz")
    with pytest.raises(DataError, match=r"patients\.0\.phase: .*run preprocess again"):
        restore.restore_cohort(prepared, tmp_path / "predictions", tmp_path / "out")


def test_a_leftover_that_niftynets_list_lacks_is_no_prediction(prepared, tmp_path):
    for patient_id in "AB":
        path = predict(prepared, patient_id, f"{patient_id}_niftynet_out.nii.gz")
    path.with_name("inferred.csv").write_text(f"B,{path}\n")
    result = restore.restore_cohort(prepared, tmp_path / "predictions", tmp_path / "out")
    assert [score.patient_id for score in result.scores] == ["B"]
    assert result.missing == ("A", "C")


def _shift(image):
    affine = image.affine.copy()
    affine[0, 3] += 0.5
    return nib.Nifti1Image(image.get_fdata(), affine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: nib.Nifti1Image(i.get_fdata()[:-1], i.affine), "on another grid.*expected"),
        (_shift, "on another grid.*expected"),
        (lambda i: nib.Nifti1Image(i.get_fdata() * np.nan, i.affine), "expected 0 to 1"),
        (
            lambda i: nib.Nifti1Image(np.repeat(i.get_fdata(), 3, axis=-1), i.affine),
            r"found 3 channels, expected 1 or 2 \(background, tumour\)",
        ),
        (lambda i: nib.Nifti1Image(i.get_fdata() * 7 - 3, i.affine), "expected 0 to 1"),
    ],
)
def test_an_unusable_prediction_fails_alone(prepared, tmp_path, change, message):
    for patient_id in "AB":
        path = predict(prepared, patient_id, f"{patient_id}_niftynet_out.nii.gz")
    image = nib.load(path)
    nib.save(change(nib.Nifti1Image(image.get_fdata(), image.affine)), path)
    result = restore.restore_cohort(prepared, tmp_path / "predictions", tmp_path / "out")
    assert [score.patient_id for score in result.scores] == ["A"]
    with pytest.raises(DataError, match=message):
        raise DataError(result.failed["B"])
    assert not (tmp_path / "out/B_mask.nii.gz").exists()


def test_damaged_prediction_fails_alone(prepared, tmp_path):
    path = predict(prepared, "A", "A_niftynet_out.nii.gz")
    path.write_bytes(path.read_bytes()[:60])
    result = restore.restore_cohort(prepared, tmp_path / "predictions", tmp_path / "out")
    assert "cannot be read" in result.failed["A"]


def test_what_is_absent_is_named(prepared, tmp_path):
    with pytest.raises(DataError, match="Folder .* does not exist"):
        restore.restore_cohort(prepared, tmp_path / "absent", tmp_path / "out")
    with pytest.raises(DataError, match="No prediction in"):
        restore.restore_cohort(prepared, prepared, tmp_path / "out")
    with pytest.raises(DataError, match="Give --data"):
        restore.restore_cohort(tmp_path, prepared, tmp_path / "out")


def test_lung1_001_there_and_back(real_data, tmp_path):
    prepare.prepare_cohort(real_data / "LUNG1-001", tmp_path / "data", prepare.Parameters())
    (tmp_path / "predictions").mkdir()
    shutil.copy(
        tmp_path / "data/labels/LUNG1-001.nii.gz",
        tmp_path / "predictions/LUNG1-001_niftynet_out.nii.gz",
    )
    result = restore.restore_cohort(tmp_path / "data", tmp_path / "predictions", tmp_path / "out")
    score = result.scores[0]
    assert score.dice_3d == pytest.approx(0.9844, abs=1e-3)
    assert score.predicted_ml == pytest.approx(score.reference_ml, rel=1e-3)
    places = []
    for path in ("out/LUNG1-001_mask.nii.gz", "data/native/LUNG1-001_label.nii.gz"):
        image = nib.load(tmp_path / path)
        index = np.argwhere(np.asanyarray(image.dataobj)).mean(0)
        places.append((image.affine @ [*index, 1])[:3])
    assert np.linalg.norm(places[0] - places[1]) < 0.1
