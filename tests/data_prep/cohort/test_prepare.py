import io
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from rich.console import Console

from data_prep.cohort.manifest import Status, read_manifest
from data_prep.cohort.prepare import Parameters, prepare_cohort, print_manifest
from data_prep.cohort.split import UNUSED
from data_prep.core.errors import DataError
from data_prep.dicom_in import scan
from tests.support.dicom_patients import rows, square, tree

THIRDS = (1 / 3, 1 / 3, 1 / 3)


def test_layout_lists_and_manifest(dicom, tmp_path):
    out = tmp_path / "out"
    returned = prepare_cohort(dicom, out, Parameters())
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest == json.loads(json.dumps(returned.as_json()))
    assert next(iter(manifest)) == "schema_version"
    assert read_manifest(out) == returned
    records = {record["id"]: record for record in manifest["patients"]}
    assert list(records) == ["x", "P1", "P2", "no_ct", "other"]
    assert {patient_id: record["status"] for patient_id, record in records.items()} == {
        "x": "ok",
        "P1": "ok",
        "P2": "ok",
        "no_ct": "refused",
        "other": "refused",
    }
    assert "No CT slice" in records["no_ct"]["reason"]
    assert "GTV-2" in records["other"]["reason"]
    assert records["P1"]["roi"] == {
        "chosen": "GTV-1",
        "classes": [{"value": 1, "name": "GTV-1", "source": "RTSTRUCT", "voxels": 81}],
        "others": ["Heart"],
    }
    assert records["P1"]["voxels"] == 81
    assert records["P1"]["volume_ml"] == pytest.approx(81 * 0.8 * 1.1 * 2.5 / 1000, abs=1e-3)
    assert [row[0] for row in rows(out / "ct.csv")] == ["x", "P1", "P2"]
    for name, folder in (("ct.csv", "images"), ("label.csv", "labels")):
        for patient_id, path in rows(out / name):
            assert path == str((out / folder / f"{patient_id}.nii.gz").resolve())
    assert sorted(row[1] for row in rows(out / "split.csv")) == [
        "Inference",
        "Training",
        "Validation",
    ]
    expected = {"manifest.json", "ct.csv", "label.csv", "split.csv"}
    for patient_id, record in records.items():
        expected |= {f"records/{patient_id}.json", *record["files"].values()}
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
    for volume in (image, label):
        np.testing.assert_allclose(volume.affine[:, 3], first, atol=1e-5)
        np.testing.assert_allclose(volume.affine[:3, :3], ras[:3, :3] * [2, 2, 1], atol=1e-5)
        assert (volume.header["sform_code"], volume.header["qform_code"]) == (1, 1)
        np.testing.assert_allclose(volume.get_qform(), volume.get_sform(), atol=1e-5)
    assert (image.get_data_dtype(), label.get_data_dtype()) == (np.int16, np.uint8)
    assert image.shape == label.shape == (14, 12, 6)
    assert native.get_fdata().sum() == 81


def test_no_personal_data_in_any_text(dicom, tmp_path):
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    text = "".join(
        path.read_text()
        for pattern in ("*.json", "*.csv")
        for path in (tmp_path / "out").rglob(pattern)
    )
    for secret in ("Secret", "19500101", "ACC4711"):
        assert secret not in text


def test_unreadable_files_are_named(dicom, tmp_path):
    (dicom / "P1" / "broken.dcm").write_bytes(b"\0" * 500)
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters())
    expected = ("Skipped 1 file that could not be read: P1/broken.dcm: not DICOM",)
    assert manifest.warnings == expected
    assert manifest.patients[1].warnings == expected


def test_what_archives_put_beside_the_images_is_counted_only(dicom, tmp_path):
    for name in ("LICENSE", "LICENSE_rt_utils", "readme-first", "metadata.csv", "P1/truth.json"):
        (dicom / name).write_text("hello")
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters())
    assert (manifest.warnings, manifest.other_files) == ((), 5)
    assert manifest.patients[1].warnings == ()


def test_an_unforeseen_fault_stops_one_patient_only(dicom, tmp_path, monkeypatch):
    from data_prep.dicom_in import contours

    build = contours.build_mask

    def fail(volume, structure_set, roi):
        if "P1" in str(structure_set.path):
            raise ZeroDivisionError("boom")
        return build(volume, structure_set, roi)

    monkeypatch.setattr(contours, "build_mask", fail)
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters())
    ends = {record.id: (record.status, record.reason) for record in manifest.patients}
    assert ends["P1"] == (Status.FAILED, "ZeroDivisionError: boom")
    assert ends["P2"] == (Status.OK, "")
    assert not (tmp_path / "out/records/P1.json").exists()  # another run tries again


def test_every_patient_is_printed(dicom, tmp_path):
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters())
    console = Console(record=True, width=200, file=io.StringIO())
    print_manifest(manifest, console)
    text = console.export_text()
    for expected in ("x", "P1", "P2", "no_ct", "other", "GTV-2", "1.1 x 0.8 x 2.5", " set "):
        assert expected in text
    assert "no_ct refused: No CT slice" in text
    assert "split: 1 Training, 1 Validation, 1 Inference" in text
    [row] = [line.split() for line in text.splitlines() if line.strip().startswith("P1 ")]
    assert row[-2:] == [manifest.patients[1].phase, "ok"]


def test_the_manifest_says_the_phase_and_the_folder_of_a_patient(dicom, patient, tmp_path):
    nested = patient("deep/er")
    nested.write()
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters(allow_unlabelled=True))
    records = {record.id: record for record in manifest.patients}
    assert {name: records[name].source for name in ("x", "no_ct", "deep_er")} == {
        "x": "x",
        "no_ct": "no_ct",
        "deep_er": "deep/er",
    }
    phases = dict(rows(tmp_path / "out/split.csv"))
    assert phases == {patient.id: patient.phase for patient in manifest.usable}
    assert records["other"].phase is None


def test_the_source_is_the_cts_folder_and_no_fault_of_a_header_matters(
    patient, tmp_path, monkeypatch
):
    for folder in ("ct", "an_rs"):
        made = patient(f"P1/{folder}")
        made.patient_id = "P1"
        for dataset in made.slices:
            dataset.PatientID = "P1"
        made.write() if folder == "ct" else made.structures({"GTV-1": None})
    patient("P2").write()
    add = scan._add

    def fail(files_of_patient, path, dataset):
        if "P2" in str(path):
            raise ValueError("boom")
        add(files_of_patient, path, dataset)

    monkeypatch.setattr(scan, "_add", fail)
    found, _, _ = scan.scan(tmp_path / "dicom")
    assert [(found_patient.name, found_patient.source) for found_patient in found] == [
        ("P1", "P1/ct"),
        ("P2", "P2"),
    ]


def phases_of(manifest):
    return {patient.id: patient.phase for patient in manifest.patients if patient.phase}


def test_a_later_run_keeps_everybodys_phase(dicom, patient, tmp_path):
    run = lambda **options: phases_of(  # noqa: E731
        prepare_cohort(dicom, tmp_path / "out", Parameters(split=THIRDS, **options))
    )
    first = run()
    (dicom / "P1" / "rs.dcm").rename(tmp_path / "rs.dcm")
    for name in ("A1", "A2", "A3"):
        patient(name).write().structures({"GTV-1": [(2, square(3.5, 12.5))]})
    second = run()
    assert (second["x"], second["P2"]) == (first["x"], first["P2"])
    assert sorted(second) == ["A1", "A2", "A3", "P2", "x"]
    (tmp_path / "rs.dcm").rename(dicom / "P1" / "rs.dcm")
    assert run() == second | {"P1": first["P1"]}  # back after a run that refused it
    fresh = prepare_cohort(dicom, tmp_path / "new", Parameters(split=THIRDS, seed=1))
    assert run(seed=1) == phases_of(fresh)


def test_whom_the_split_leaves_out_is_prepared_and_in_no_list(dicom, tmp_path):
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters(split=(1, 0, 1)))
    phases = phases_of(manifest)
    assert sorted(phases.values()) == ["Inference", "Training", UNUSED]
    [unused] = [name for name, phase in phases.items() if phase == UNUSED]
    assert (tmp_path / f"out/images/{unused}.nii.gz").is_file()
    for name in ("ct.csv", "label.csv", "split.csv"):
        assert {row[0] for row in rows(tmp_path / "out" / name)} == set(phases) - {unused}
    assert unused not in manifest.dealt
    assert "1 of 3 patients are in no set and in no list" in manifest.warnings[0]


def test_files_of_a_patient_that_is_gone_are_removed(dicom, tmp_path):
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    (tmp_path / "out/images/mine.nii.gz").touch()
    shutil.rmtree(dicom / "P1")
    prepare_cohort(dicom, tmp_path / "out", Parameters())
    left = tree(tmp_path / "out")
    assert not [name for name in left if "P1" in name]
    assert {"images/mine.nii.gz", "images/P2.nii.gz", "images/x.nii.gz"} <= set(left)


def test_a_stale_file_that_cannot_be_removed_stops_nobody(dicom, tmp_path):
    (tmp_path / "out/images/other.nii.gz").mkdir(parents=True)
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters())
    records = {record.id: record for record in manifest.patients}
    assert "images/other.nii.gz of an earlier run cannot" in records["other"].warnings[-1]
    assert records["P2"].status is Status.OK


def test_an_empty_phase_is_a_warning_in_the_manifest(dicom, tmp_path):
    shutil.rmtree(dicom / "P1")
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters())
    assert [text.split(":")[0] for text in manifest.warnings] == [
        "No patient is for Validation",
        "No patient is for Inference",
    ]
    assert prepare_cohort(dicom, tmp_path / "o", Parameters(split=(1, 0, 0))).warnings == ()


def test_a_cohort_without_a_usable_patient_has_a_manifest(dicom, tmp_path):
    manifest = prepare_cohort(dicom, tmp_path / "out", Parameters(roi="liver"))
    assert {record.status for record in manifest.patients} == {Status.REFUSED}
    assert manifest.warnings == ()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"roi": "("}, "not a regular expression"),
        ({"reduce": 0}, "--reduce is 0"),
        ({"split": (0, 0, 0)}, "--split"),
        ({"split": (-1, 1, 1)}, "--split"),
        ({"split": (1.5, 1, 1)}, "expected shares that sum to 1 or whole numbers"),
        ({"seed": -1}, "--seed is -1"),
    ],
)
def test_wrong_parameters(tmp_path, parameters, message):
    with pytest.raises(DataError, match=message):
        prepare_cohort(tmp_path, tmp_path / "out", Parameters(**parameters))


def test_wrong_folders(tmp_path, dicom):
    with pytest.raises(DataError, match="Folder .* does not exist"):
        prepare_cohort(tmp_path / "absent", tmp_path / "out", Parameters())
    (tmp_path / "file").touch()
    for name in ("file", "file/below"):
        with pytest.raises(DataError, match="cannot be created as a folder"):
            prepare_cohort(dicom, tmp_path / name, Parameters())
    with pytest.raises(DataError, match="lies within"):
        prepare_cohort(dicom, dicom / "out", Parameters())
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(DataError, match="No DICOM file .* 1 file of other kinds, and 0 that cann"):
        prepare_cohort(tmp_path / "empty", tmp_path / "out", Parameters())
