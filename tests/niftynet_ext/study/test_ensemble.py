"""Maps combined by hand, folders that read like a model's, memory that does not grow."""

import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from data_prep.core import predictions
from data_prep.core.errors import DataError
from niftynet_ext.study.ensemble import ENSEMBLE_FILE, EnsembleRecord, combine, ensemble
from tests.support.study import AFFINE, SHAPE, write


def flat(*values):
    """One-voxel maps."""
    return (np.full((1, 1, 1), value, np.float32) for value in values)


@pytest.mark.parametrize(
    "values, weights, method, expected",
    [
        ((0.2, 0.4, 0.9), None, "mean", 0.5),
        ((0.2, 0.4, 0.9), (1, 1, 2), "mean", 0.6),
        ((0.2, 0.4, 0.9), (10, 10, 20), "mean", 0.6),
        ((0.6, 0.51, 0.0), None, "majority", 2 / 3),
        ((0.6, 0.5), None, "majority", 0.5),
        ((0.9, 0.1, 0.1), (3, 1, 1), "majority", 0.6),
        ((0.7,), None, "mean", 0.7),
    ],
)
def test_by_hand(values, weights, method, expected):
    found = combine(flat(*values), weights, method)
    assert found.dtype == np.float32 and found.item() == pytest.approx(expected)


def test_equal_models_change_nothing_and_nothing_leaves_0_to_1():
    probability = np.random.default_rng(0).random((5, 6, 7), np.float32)
    assert np.allclose(combine([probability] * 7), probability, atol=1e-6)
    assert combine([np.ones((4, 4, 4), np.float32)] * 7, [0.1] * 7).max() <= 1.0


@pytest.mark.parametrize(
    "values, weights, method, message",
    [
        ((), None, "mean", "at least one map"),
        ((0.1, 0.2), (1,), "mean", "1 weight for more maps"),
        ((0.1,), (1, 1), "mean", "2 weights for 1 map"),
        ((0.1,), (0,), "mean", "positive numbers"),
        ((0.1,), (np.nan,), "mean", "positive numbers"),
        ((0.1,), None, "median", "'median' is not"),
    ],
)
def test_what_makes_no_sense(values, weights, method, message):
    with pytest.raises(ValueError, match=message):
        combine(flat(*values), weights, method)


def test_shapes_differ():
    with pytest.raises(ValueError, match=r"map 2 has shape \(2, 2, 2\), the first \(1, 1, 1\)"):
        combine([np.ones((1, 1, 1)), np.ones((2, 2, 2))])


@pytest.fixture
def models(tmp_path):
    """Two models' folders as NiftyNet writes them, two patients each."""
    rng = np.random.default_rng(0)
    folders = [tmp_path / "v1", tmp_path / "v2"]
    for folder in folders:
        for patient_id in "AB":
            array = rng.random(SHAPE, np.float32)
            write(
                folder / f"window_seg_{patient_id}__niftynet_out.nii.gz",
                np.stack([1 - array, array], -1)[..., None, :],
            )
    return folders


def test_the_result_reads_like_a_models_own(models, tmp_path):
    written = ensemble(models, tmp_path / "out")
    assert predictions.find(tmp_path / "out") == written and set(written) == {"A", "B"}
    found, affine = predictions.read_foreground(written["B"])
    two = [predictions.read_foreground(predictions.find(folder)["B"])[0] for folder in models]
    assert np.allclose(found, np.mean(two, axis=0), atol=1e-6)
    assert np.array_equal(affine, AFFINE)
    record = EnsembleRecord.read(tmp_path / "out" / ENSEMBLE_FILE, "")
    assert record.method == "mean" and record.models == [str(folder) for folder in models]
    assert record.weights is None and record.notice.startswith("Research use only")


def test_different_patients_are_refused_and_named(models, tmp_path):
    (models[1] / "window_seg_A__niftynet_out.nii.gz").unlink()
    write(models[1] / "C_niftynet_out.nii.gz", np.zeros(SHAPE, np.float32))
    with pytest.raises(DataError, match=r"v1 has no C; \S*v2 has no A\. Run inference"):
        ensemble(models, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "array, shift_mm, message",
    [
        (np.zeros((3, 3, 3), np.float32), 0, r"another grid.*found shape \(3, 3, 3\)"),
        (np.zeros(SHAPE, np.float32), 0.5, "another grid"),
        (np.full(SHAPE, 3.0, np.float32), 0, "v2/A_niftynet_out.nii.gz: .* expected 0 to 1"),
    ],
)
def test_different_grids_and_other_values_are_refused(models, tmp_path, array, shift_mm, message):
    (models[1] / "window_seg_A__niftynet_out.nii.gz").unlink()
    affine = AFFINE.copy()
    affine[2, 3] += shift_mm
    write(models[1] / "A_niftynet_out.nii.gz", array, affine)
    with pytest.raises(DataError, match=message):
        ensemble(models, tmp_path / "out")
    assert predictions.find(tmp_path / "out") == {}  # though maps of the first patients are there


def test_wrong_calls(models, tmp_path):
    with pytest.raises(ValueError, match="1 weight for 2 folders"):
        ensemble(models, tmp_path / "out", weights=[1])
    with pytest.raises(DataError, match="is one of the models' folders"):
        ensemble(models, models[0])
    with pytest.raises(DataError, match=r"found 1 folder \(.*v1\), expected two or more"):
        ensemble(models[:1], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="Folder .* does not exist"):
        ensemble([models[0], tmp_path / "absent"], tmp_path / "out")


def test_memory_does_not_grow_with_the_number_of_models(tmp_path):
    shape, peaks = (128, 128, 32), []
    for k in range(8):
        write(tmp_path / f"m{k}/A.nii.gz", np.full(shape, k / 8, np.float32))
    for count in (2, 8):
        tracemalloc.start()
        ensemble([tmp_path / f"m{k}" for k in range(count)], tmp_path / f"out{count}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    found = nib.load(tmp_path / "out8/A_niftynet_out.nii.gz").get_fdata()
    assert np.allclose(found, 3.5 / 8)
