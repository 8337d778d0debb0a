"""Who belongs to whom, on which grid, and what is refused."""

import tracemalloc

import numpy as np
import pytest

from data_prep.core import resample
from data_prep.core.errors import DataError
from niftynet_ext.study import cases
from tests.support.study import AFFINE, SHAPE, tumour, write


def test_references_of_a_data_folder(study):
    references, unlabelled = cases.find_references(study.references)
    assert {name: found.set for name, found in references.items()} == study.sets
    assert unlabelled == ["D"]  # E was refused


def test_references_of_a_folder_of_masks(study):
    references, unlabelled = cases.find_references(study.references / "native", "Validation")
    assert {name: found.set for name, found in references.items()} == dict.fromkeys(
        "ABC", "Validation"
    )
    assert unlabelled == []
    with pytest.raises(DataError, match="holds no reference mask"):
        cases.find_references(study.folder)


def test_the_sets_that_were_predicted_are_scored(study):
    references, _ = cases.find_references(study.references)
    assert set(cases.match(references, study.model.folder)) == set("ABC")
    assert set(cases.match(references, study.model.folder, "Validation")) == set("AB")
    (study.model.folder / "C_niftynet_out.nii.gz").unlink()
    assert set(cases.match(references, study.model.folder)) == set("AB")


def test_missing_and_extra_patients_are_all_named(study):
    references, unlabelled = cases.find_references(study.references)
    for patient_id in "DX":
        study.predict(patient_id, tumour())
    with pytest.raises(DataError, match=r"no reference of D, X\. Expected"):
        cases.match(references, study.model.folder)
    with pytest.raises(DataError, match=r"no reference of X\."):
        cases.match(references, study.model.folder, None, unlabelled)
    for patient_id in "DXB":
        (study.model.folder / f"{patient_id}_niftynet_out.nii.gz").unlink()
    with pytest.raises(DataError, match=r"no prediction of B\. .* every patient of the set"):
        cases.match(references, study.model.folder)
    with pytest.raises(
        DataError, match="no patient to score; the sets .* are Inference, Validation"
    ):
        cases.match(references, study.model.folder, "Training")


PROBABILITY = np.random.default_rng(0).random(SHAPE, np.float32)


@pytest.mark.parametrize(
    "prediction, expected",
    [
        (tumour().astype(np.uint8), tumour()),
        (tumour().astype(np.float32), tumour()),
        (PROBABILITY, PROBABILITY > 0.5),
        (np.stack([1 - PROBABILITY, PROBABILITY], -1)[..., None, :], PROBABILITY > 0.5),
    ],
    ids=["mask", "mask in float32", "probability", "two channels"],
)
def test_on_the_references_own_grid(tmp_path, prediction, expected):
    reference = write(tmp_path / "reference.nii.gz", tumour(2.0).astype(np.uint8))
    found = cases.read_pair(write(tmp_path / "A.nii.gz", prediction), reference)
    assert np.array_equal(found[0], expected) and np.array_equal(found[1], tumour(2.0))
    assert np.array_equal(found[2], AFFINE)


@pytest.mark.parametrize("factor", [2, 3])
def test_a_coarse_grid_is_resized_before_the_threshold(study, factor):
    path = study.predict_coarse("A", tumour(), factor)
    found, reference, _ = cases.read_pair(path, study.references / "native/A_label.nii.gz")
    grid = resample.reduced_grid(SHAPE, AFFINE, factor)
    coarse = resample.resample_label(tumour(), grid)
    expected = resample.to_native(coarse, grid.affine, SHAPE, AFFINE)
    assert np.array_equal(found, expected > 0.5)
    assert 2 * (found & reference).sum() / (found.sum() + reference.sum()) > 0.8


def test_a_coarse_mask_and_its_probabilities_give_the_same(study):
    reference = study.references / "native/A_label.nii.gz"
    expected, *_ = cases.read_pair(study.predict_coarse("A", tumour()), reference)
    coarse = resample.resample_label(tumour(), resample.reduced_grid(SHAPE, AFFINE, 2))
    path = study.predict("A", coarse, affine=resample.reduced_grid(SHAPE, AFFINE, 2).affine)
    found, *_ = cases.read_pair(path, reference)
    assert np.array_equal(found, expected) and found.any()


def shifted(mm):
    affine = AFFINE.copy()
    affine[0, 3] += mm
    return affine


@pytest.mark.parametrize(
    "array, affine, message",
    [
        (
            tumour()[:-1].astype(np.uint8),
            AFFINE,
            r"found shape \(23, 22, 8\).*expected the reference's"
            r" shape \(24, 22, 8\)",
        ),
        (tumour().astype(np.uint8), shifted(0.5), r"to within 0.01 mm at the corners"),
        (tumour().astype(np.uint8), AFFINE[[1, 0, 2, 3]], "affine"),
        (
            2 * tumour().astype(np.uint8),
            AFFINE,
            "A.nii.gz has the values 0, 2; expected a mask of 0",
        ),
        (3.5 * tumour().astype(np.float32), AFFINE, "range from 0 to 3.5, expected 0 to 1"),
        (np.full(SHAPE, np.nan, np.float32), AFFINE, "expected 0 to 1"),
        (np.zeros((*SHAPE, 3), np.float32), AFFINE, "found 3 channels"),
    ],
)
def test_what_cannot_be_compared(tmp_path, array, affine, message):
    reference = write(tmp_path / "reference.nii.gz", tumour().astype(np.uint8))
    with pytest.raises(DataError, match=message):
        cases.read_pair(write(tmp_path / "A.nii.gz", array, affine), reference)


def test_rounding_of_affines_is_no_fault(tmp_path):
    reference = write(tmp_path / "reference.nii.gz", tumour().astype(np.uint8))
    path = write(tmp_path / "A.nii.gz", tumour().astype(np.uint8), shifted(0.001))
    assert cases.read_pair(path, reference)[0].sum() == tumour().sum()


def test_a_reference_with_other_labels(tmp_path):
    array = tumour().astype(np.int16)
    array[0, 0, :3] = 2, 5, -1
    reference = write(tmp_path / "reference.nii.gz", array)
    with pytest.raises(DataError, match="reference.nii.gz has the values -1, 0, 1, 2, 5; expected"):
        cases.read_pair(reference, reference)


def test_a_mask_is_checked_without_a_copy_of_it():
    mask = np.zeros((256, 256, 64), np.uint8)
    mask[3, 4, 5] = 1
    tracemalloc.start()
    cases._check_binary(mask, "A.nii.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < mask.nbytes / 100
