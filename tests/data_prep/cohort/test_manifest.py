"""The files of preprocessing and checking as types: strict, and clear about what they refuse."""

import json

import pytest
from pydantic import ValidationError

from data_prep.cohort.check_report import REPORT, read_report
from data_prep.cohort.manifest import (
    MANIFEST,
    GridRecord,
    Manifest,
    PatientFilesRecord,
    Status,
    read_manifest,
    write_manifest,
)
from data_prep.core.errors import DataError
from tests.support.manifests import GRID, manifest_of, record_of, write_manifest_of


def rewrite(folder, change):
    """Change the content of a manifest file."""
    path = folder / MANIFEST
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_it_reads_back_as_it_was(tmp_path):
    written = write_manifest_of(
        tmp_path,
        [record_of("A"), record_of("B", status=Status.REFUSED), record_of("C", "Unused")],
        dealt={"A": "Training"},
    )
    assert read_manifest(tmp_path) == written
    assert [patient.id for patient in written.usable] == ["A", "C"]


def test_the_schema_comes_first_and_what_is_not_there_has_no_key():
    content = manifest_of([record_of("A"), record_of("B", status=Status.FAILED)]).as_json()
    assert list(content)[:2] == ["schema_version", "software"] and content["schema_version"] == 1
    usable, failed = content["patients"]
    assert usable["files"] == {"image": "images/A.nii.gz"} and failed["files"] == {}
    assert (usable["phase"], failed["phase"], failed["status"]) == ("Training", None, "failed")
    assert "coarse" in usable and "coarse" not in failed


def test_a_newer_schema_is_refused(tmp_path):
    write_manifest_of(tmp_path, [record_of("A")])
    rewrite(tmp_path, lambda content: content.update(schema_version=2, anything="new"))
    with pytest.raises(DataError, match=r"manifest\.json has schema_version 2.* at most 1.*Update"):
        read_manifest(tmp_path)
    rewrite(tmp_path, lambda content: content.pop("schema_version"))
    with pytest.raises(DataError, match="has schema_version None, expected 1"):
        read_manifest(tmp_path)


DAMAGES = {
    "cut off": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "not an object": lambda text: f"[{text}]",
    "wrong type": lambda text: text.replace('"other_files": 0', '"other_files": "many"'),
    "patients are a number": lambda text: '{"schema_version": 1, "patients": 3}',
    "unknown key": lambda text: text.replace('"other_files"', '"more": 1, "other_files"'),
    "unknown status": lambda text: text.replace('"ok"', '"fine"'),
    "deeply nested": lambda text: "[" * 100_000 + "]" * 100_000,
    "deeply nested value": lambda text: text.replace(
        '"other_files": 0', '"other_files": ' + "[" * 500 + "]" * 500
    ),
    "usable without a phase": lambda text: text.replace('"phase": "Training"', '"phase": null'),
    "not text": lambda text: b"\xff\xfe" + text.encode(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_manifest_is_one_error_with_its_path(tmp_path, damage):
    write_manifest_of(tmp_path, [record_of("A")])
    path = tmp_path / MANIFEST
    damaged = damage(path.read_text())
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path)
    assert str(caught.value).startswith(f"{path} is damaged")
    assert str(caught.value).endswith("or run preprocess again.")
    assert len(str(caught.value)) < 600


def test_an_absent_manifest_says_what_to_give(tmp_path):
    with pytest.raises(DataError, match=r"manifest\.json does not exist\. Give --data"):
        read_manifest(tmp_path)
    with pytest.raises(DataError, match=r"check\.json does not exist\. Run check again"):
        read_report(tmp_path)


def test_a_damaged_report_is_one_error_with_its_path(tmp_path):
    (tmp_path / REPORT).write_text('{"schema_version": 1, "patients": 3}')
    with pytest.raises(DataError, match=r"check\.json is damaged \(.*and 4 more\)\. Run check"):
        read_report(tmp_path)


def test_it_cannot_be_changed():
    manifest = manifest_of([record_of("A")])
    with pytest.raises(ValidationError):
        manifest.other_files = 3
    with pytest.raises(ValidationError, match="lacks its phase, image or grids"):
        manifest_of([record_of("A", files={})])


def test_grids_and_names_of_files():
    assert GridRecord.of((4, 4, 4), GRID.affine) == GRID and GRID.affine.shape == (4, 4)
    assert PatientFilesRecord(label="labels/A.nii.gz").names() == {"label": "labels/A.nii.gz"}


def test_two_thousand_patients_are_read_as_they_were_written(tmp_path):
    patients = [record_of(f"P{k}", outputs={f"images/P{k}.nii.gz": "0" * 64}) for k in range(2000)]
    manifest = manifest_of(patients)
    Manifest.model_validate(manifest.model_dump())
    write_manifest(manifest, tmp_path)
    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize(
    ("key", "value"),
    [("id", "../../x"), ("files", {"image": "../../x.nii.gz"}), ("files", {"label": "/x.nii.gz"})],
)
def test_a_manifest_cannot_lead_outside_its_folder(tmp_path, key, value):
    write_manifest(manifest_of([record_of("A")]), tmp_path)
    content = json.loads((tmp_path / "manifest.json").read_text())
    content["patients"][0][key] = value
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"manifest\.json is damaged \(patients\.0"):
        read_manifest(tmp_path)
