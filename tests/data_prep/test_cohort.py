import hashlib
import io
import json

import nibabel as nib
import numpy as np
import pytest
from rich.console import Console

from data_prep import DataError
from data_prep.cohort import Parameters, prepare_cohort, report, safe_ids, split_phases

from .conftest import square


@pytest.fixture
def dicom(patient):
    """Return a folder of three good patients, one without a match and one without a CT."""
    for name in ("P1", "P2", "../../x"):
        made = patient(name.strip("./"))
        made.patient_id = name
        for one in made.slices:
            one.PatientID = name
        made.write().structures({"GTV-1": [(2, square(3.5, 12.5))], "Heart": None})
    patient("other").write().structures({"GTV-2": [(2, square(3.5, 12.5))]})
    patient("no_ct").structures({"GTV-1": [(2, square(3.5, 12.5))]})
    return made.folder.parent


def tree(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows(path):
    return [line.split(",") for line in path.read_text().splitlines()]


def test_layout_lists_and_manifest(dicom, tmp_path):
    out = tmp_path / "out"
    returned = prepare_cohort(dicom, out, Parameters())
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest == json.loads(json.dumps(returned))
    records = {one["id"]: one for one in manifest["patients"]}
    assert list(records) == ["x", "P1", "P2", "no_ct", "other"]
    assert {one: record["status"] for one, record in records.items()} == {
        "x": "ok", "P1": "ok", "P2": "ok", "no_ct": "refused", "other": "refused"
    }
    assert "No CT slice" in records["no_ct"]["reason"]
    assert "GTV-2" in records["other"]["reason"]
    assert records["P1"]["roi"] == {"chosen": "GTV-1", "others": ["Heart"]}
    assert records["P1"]["voxels"] == 81
    assert records["P1"]["volume_ml"] == pytest.approx(81 * 0.8 * 1.1 * 2.5 / 1000, abs=1e-3)
    assert [row[0] for row in rows(out / "ct.csv")] == ["x", "P1", "P2"]
    for name, folder in (("ct.csv", "images"), ("label.csv", "labels")):
        for one, path in rows(out / name):
            assert path == str((out / folder / f"{one}.nii.gz").resolve())
    assert sorted(row[1] for row in rows(out / "split.csv")) == [
        "Inference", "Training", "Validation"
    ]
    expected = {"manifest.json", "ct.csv", "label.csv", "split.csv"}
    for one in ("x", "P1", "P2"):
        expected |= set(records[one]["files"].values())
    assert set(tree(out)) == expected


def test_nifti_lies_where_the_dicom_lies(patient, tmp_path):
    made = patient().write()
    made.structures({"GTV-1": [(2, square(3.5, 12.5))]})
    prepare_cohort(made.folder, tmp_path / "out", Parameters())
    native = nib.load(tmp_path / "out/native/P1_label.nii.gz")
    image = nib.load(tmp_path / "out/images/P1.nii.gz")
    label = nib.load(tmp_path / "out/labels/P1.nii.gz")
    ras = np.diag([-1, -1, 1, 1]) @ made.affine_lps()
    np.testing.assert_allclose(native.affine, ras, atol=1e-5)
    first = ras @ [0.5, 0.5, 0, 1]
    for one in (image, label):
        np.testing.assert_allclose(one.affine[:, 3], first, atol=1e-5)
        np.testing.assert_allclose(one.affine[:3, :3], ras[:3, :3] * [2, 2, 1], atol=1e-5)
        assert (one.header["sform_code"], one.header["qform_code"]) == (1, 1)
        np.testing.assert_allclose(one.get_qform(), one.get_sform(), atol=1e-5)
    assert (image.get_data_dtype(), label.get_data_dtype()) == (np.int16, np.uint8)
    assert image.shape == label.shape == (14, 12, 6)
    assert native.get_fdata().sum() == 81


def test_a_second_run_writes_the_same_bytes(dicom, tmp_path):
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    before = tree(tmp_path / "out")
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    assert tree(tmp_path / "out") == before


def test_a_patient_refused_later_leaves_nothing_stale(dicom, tmp_path):
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    (dicom / "P1" / "rs.dcm").unlink()
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    assert not [name for name in tree(tmp_path / "out") if "P1" in name]
    prepare_cohort(dicom, tmp_path / "out", Parameters(allow_unlabelled=True))
    assert [name for name in tree(tmp_path / "out") if "P1" in name] == ["images/P1.nii.gz"]
    assert ["P1", "Inference"] in rows(tmp_path / "out/split.csv")
    assert "P1" not in [row[0] for row in rows(tmp_path / "out/label.csv")]


def test_no_personal_data_in_any_text(dicom, tmp_path):
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    text = "".join(path.read_text() for path in (tmp_path / "out").glob("*.*"))
    for secret in ("Secret", "19500101", "ACC4711"):
        assert secret not in text


def test_unreadable_files_are_named(dicom, tmp_path):
    (dicom / "P1" / "broken.dcm").write_bytes(b"\0" * 500)
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters())
    expected = ["1 files could not be read and were skipped: P1/broken.dcm: not DICOM"]
    assert manifest["warnings"] == expected
    assert manifest["patients"][1]["warnings"] == expected


def test_what_archives_put_beside_the_images_is_counted_only(dicom, tmp_path):
    for name in ("LICENSE", "metadata.csv", "P1/truth.json"):
        (dicom / name).write_text("hello")
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters())
    assert (manifest["warnings"], manifest["other_files"]) == ([], 3)
    assert manifest["patients"][1]["warnings"] == []


def test_an_unforeseen_fault_stops_one_patient_only(dicom, tmp_path, monkeypatch):
    from data_prep import structures

    build = structures.build_mask

    def fail(volume, one, roi):
        if "P1" in str(one.path):
            raise ZeroDivisionError("boom")
        return build(volume, one, roi)

    monkeypatch.setattr(structures, "build_mask", fail)
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters())
    reasons = {one["id"]: one["reason"] for one in manifest["patients"]}
    assert reasons["P1"] == "Unexpected ZeroDivisionError: boom"
    assert reasons["P2"] == ""


def test_report_has_a_row_for_everybody(dicom, tmp_path):
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters())
    console = Console(record=True, width=200, file=io.StringIO())
    report(manifest, console)
    text = console.export_text()
    for one in ("x", "P1", "P2", "no_ct", "other", "GTV-2", "1.1 x 0.8 x 2.5"):
        assert one in text


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"roi": "("}, "not a regular expression"),
        ({"reduce": 0}, "--reduce is 0"),
        ({"split": (0, 0, 0)}, "--split"),
        ({"split": (-1, 1, 1)}, "--split"),
    ],
)
def test_wrong_parameters(tmp_path, parameters, message):
    with pytest.raises(DataError, match=message):
        prepare_cohort(tmp_path, tmp_path / "out", Parameters(**parameters))


def test_wrong_folders(tmp_path, dicom):
    with pytest.raises(DataError, match="No folder"):
        prepare_cohort(tmp_path / "absent", tmp_path / "out", Parameters())
    with pytest.raises(DataError, match="lies within"):
        prepare_cohort(dicom, dicom / "out", Parameters())
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(DataError, match="No DICOM file .* 1 files of other kinds, and 0 that cann"):
        prepare_cohort(tmp_path / "empty", tmp_path / "out", Parameters())


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["LUNG1-001", "2"], ["LUNG1-001", "2"]),
        (["../../x", "/etc/passwd", "..", ""], ["x", "etc_passwd", "patient", "patient-2"]),
        (["a b", "a/b", "A_B"], ["a_b", "a_b-2", "A_B-3"]),
        (["NA", "nan", "Ünal"], ["patient-NA", "patient-nan", "nal"]),
        (["x,y\n", "x" * 99, "x" * 98], ["x_y", "x" * 64, "x" * 62 + "-2"]),
    ],
)
def test_safe_ids(names, ids):
    assert safe_ids(names) == ids


@pytest.mark.parametrize(
    ("count", "weights", "sizes"),
    [
        (340, (260, 40, 40), [260, 40, 40]),
        (10, (260, 40, 40), [8, 1, 1]),
        (3, (260, 40, 40), [1, 1, 1]),
        (2, (260, 40, 40), [2, 0, 0]),
        (1, (260, 40, 40), [1, 0, 0]),
        (0, (260, 40, 40), [0, 0, 0]),
        (5, (0, 0, 1), [0, 0, 5]),
        (7, (1, 1, 1), [3, 2, 2]),
    ],
)
def test_split_sizes(count, weights, sizes):
    ids = [f"P{k}" for k in range(count)]
    phases = list(split_phases(ids, weights, 0).values())
    assert [phases.count(one) for one in ("Training", "Validation", "Inference")] == sizes


def test_split_depends_on_the_seed_and_not_on_the_order():
    ids = [f"P{k}" for k in range(60)]
    first = split_phases(ids, (4, 1, 1), 0)
    assert split_phases(ids[::-1], (4, 1, 1), 0) == first
    assert split_phases(ids, (4, 1, 1), 1) != first
