import pytest

from data_prep.cohort.layout import earlier_manifest, output_names, remove_gone, safe_ids
from data_prep.core.contracts import NewerSchemaError
from tests.support.manifests import manifest_of, record_of


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["LUNG1-001", "2"], ["LUNG1-001", "2"]),
        (["../../x", "/etc/passwd", "..", ""], ["x", "etc_passwd", "patient", "patient-2"]),
        (["a b", "a/b", "A_B"], ["a_b", "a_b-2", "A_B-3"]),
        (["NA", "nan", "Ünal"], ["patient-NA", "patient-nan", "Unal"]),
        (["患者", "患者", "患者-7", "P1", "P1"], ["patient", "patient-2", "7", "P1", "P1-2"]),
        (["x,y\n", "x" * 99, "x" * 98], ["x_y", "x" * 64, "x" * 62 + "-2"]),
    ],
)
def test_safe_ids(names, ids):
    assert safe_ids(names) == ids


def test_only_files_that_the_manifest_names_as_ours_are_removed(tmp_path):
    out = tmp_path / "out"
    kept = ["ct.csv", "images/notes.nii.gz", "images/b.nii.gz", "images/stays.nii.gz"]
    gone = output_names("gone").names()
    for name in [*kept, *gone.values()]:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).touch()
    earlier = manifest_of(
        [
            record_of("gone", files=gone),
            record_of("far", files={"image": "images/notes.nii.gz"}),
            record_of("B"),  # now spelt b: on some disks one file
            record_of("stays", files=output_names("stays").names()),
        ]
    )
    assert remove_gone(earlier, {"b", "stays"}, out) == []
    assert all((out / name).is_file() for name in kept)
    assert not any((out / name).exists() for name in gone.values())
    assert remove_gone(None, {"b"}, out) == []


def test_what_cannot_be_removed_is_a_warning(tmp_path):
    (tmp_path / "images" / "gone.nii.gz").mkdir(parents=True)
    earlier = manifest_of([record_of("gone", files=output_names("gone").names())])
    [warning] = remove_gone(earlier, set(), tmp_path)
    assert "images/gone.nii.gz of an earlier run cannot be removed" in warning


def test_a_damaged_manifest_is_no_earlier_run(tmp_path):
    assert earlier_manifest(tmp_path) is None
    (tmp_path / "manifest.json").write_text("{")
    assert earlier_manifest(tmp_path) is None


def test_a_manifest_of_a_newer_version_is_not_replaced(tmp_path):
    (tmp_path / "manifest.json").write_text('{"schema_version": 2}')
    with pytest.raises(NewerSchemaError, match="Update niftynet-ext"):
        earlier_manifest(tmp_path)
