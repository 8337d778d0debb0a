import nibabel as nib
import numpy as np
import pytest

from data_prep.core import predictions
from data_prep.core.errors import DataError


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("LUNG1-001_niftynet_out.nii.gz", "LUNG1-001"),
        ("LUNG1-001__niftynet_out.nii.gz", "LUNG1-001"),
        ("window_seg_LUNG1-001__niftynet_out.nii.gz", "LUNG1-001"),
        ("LUNG1-001_mask.nii.gz", "LUNG1-001"),
        ("LUNG1-001_label.nii", "LUNG1-001"),
        ("LUNG1-001.nii", "LUNG1-001"),
        ("X-1_niftynet_out.nii.gz", "X-1"),
        ("1__niftynet_out.nii.gz", "1"),
    ],
)
def test_ids_in_names(tmp_path, name, patient):
    assert predictions.patient_id(name) == patient
    (tmp_path / name).touch()
    assert predictions.find(tmp_path) == {patient: tmp_path / name}


def test_ids_that_end_alike_are_not_confused_and_the_unfinished_is_not_found(tmp_path):
    for name in ("X-1_niftynet_out.nii.gz", "1__niftynet_out.nii.gz", ".2.nii.gz", "2.nii.gz.part"):
        (tmp_path / name).touch()
    assert set(predictions.find(tmp_path)) == {"1", "X-1"}


def test_another_postfix(tmp_path):
    (tmp_path / "P1_mine.nii.gz").touch()
    assert set(predictions.find(tmp_path, "_mine")) == {"P1"}


@pytest.mark.parametrize("moved", [False, True])
def test_niftynets_own_list_names_the_files(tmp_path, moved):
    path = tmp_path / "any_name.nii.gz"
    for file in (path, tmp_path / "leftover.nii.gz"):
        file.touch()
    listed = "/gone/any_name.nii.gz" if moved else path
    (tmp_path / "inferred.csv").write_text(f"B,{listed}\nZ,/absent.nii.gz\n")
    assert predictions.find(tmp_path) == {"B": path}


def test_two_volumes_of_one_patient_are_refused(tmp_path):
    for name in ("A_mask.nii.gz", "A.nii.gz"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="two volumes of patient A: A.nii.gz and A_mask.nii.gz"):
        predictions.find(tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(DataError, match="Folder .* does not exist"):
        predictions.find(tmp_path / "absent")


@pytest.mark.parametrize(
    "layout",
    [
        lambda a: a,
        lambda a: a[..., None, None],
        lambda a: np.stack([1 - a, a], -1)[..., None, :],
        lambda a: np.stack([1 - a, a], -1),
        lambda a: a[..., None],
    ],
    ids=["x y z", "x y z 1 1", "x y z 1 2", "x y z 2", "x y z 1"],
)
def test_the_foreground_is_the_last_channel(tmp_path, layout):
    array = np.random.default_rng(0).random((3, 4, 5), np.float32)
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    nib.save(nib.Nifti1Image(layout(array), affine), tmp_path / "A.nii.gz")
    found, found_affine = predictions.read_foreground(tmp_path / "A.nii.gz")
    assert np.array_equal(found, array) and found.dtype == np.float32
    assert np.array_equal(found_affine, affine)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 4, 5, 3), "found 3 channels"),
        ((3, 4, 5, 1, 3), "found 3 channels"),
        ((3, 4), r"found shape \(3, 4\)"),
        ((3, 4, 5, 2, 1), r"expected a volume"),
    ],
)
def test_what_is_no_foreground(tmp_path, shape, message):
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), np.eye(4)), tmp_path / "A.nii.gz")
    with pytest.raises(DataError, match=message):
        predictions.read_foreground(tmp_path / "A.nii.gz")


def test_a_damaged_file(tmp_path):
    path = tmp_path / "A.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((9, 9, 9), np.float32), np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="cannot be read"):
        predictions.read_foreground(path)


@pytest.mark.parametrize("patient_id", ["../../x", "/etc/x", "a/b", ".", ""])
def test_a_listed_id_that_leads_elsewhere_is_refused(tmp_path, patient_id):
    (tmp_path / "a.nii.gz").write_bytes(b"")
    (tmp_path / "inferred.csv").write_text(f"{patient_id},a.nii.gz\n")
    with pytest.raises(DataError, match="is not a file name"):
        predictions.find(tmp_path)
