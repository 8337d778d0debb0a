"""The slice protocol by hand, and slice by slice against the general functions."""

import numpy as np
import pytest

from data_prep.core.overlap import dice
from niftynet_ext.evaluation.slices import FN, FP, SLICE_COLUMNS, TP, slice_scores
from niftynet_ext.evaluation.surface import (
    hausdorff_distance,
    mean_surface_distance,
    surface_distances,
)
from tests.support.shapes import blobs, box

SPACING = (2.0, 1.0, 3.0)


def test_by_hand():
    shape = (8, 6, 9)
    reference = box(shape, (1, 4), (1, 4), (2, 5))  # slices 2, 3, 4
    prediction = box(shape, (2, 5), (1, 4), (4, 7))  # slices 4, 5, 6; in 4 one column off
    found = slice_scores(prediction, reference, SPACING)
    assert tuple(found) == SLICE_COLUMNS
    assert found["slice"].tolist() == [2, 3, 4, 5, 6]
    assert found["kind"].tolist() == [FN, FN, TP, FP, FP]
    nan = np.nan
    expected = {
        "dice_2d": [0, 0, 12 / 18, nan, nan],
        "msd_2d_mm": [nan, nan, 7 / 8, nan, nan],
        "hd95_2d_mm": [nan, nan, 2, nan, nan],
        "reference_mm2": [18, 18, 18, 0, 0],
        "predicted_mm2": [0, 0, 18, 18, 18],
    }
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, nan_ok=True), name


@pytest.mark.parametrize("order", "CF")
def test_all_slices_at_once_are_as_one_by_one(order):
    prediction, reference = (np.asarray(blobs((30, 25, 20), seed), order=order) for seed in (0, 1))
    prediction[:, :, 3] = reference[:, :, 7] = False
    reference[:, :, 8:10] = prediction[:, :, 9:11] = False
    found = slice_scores(prediction, reference, SPACING)
    kinds = dict(zip(found["slice"].tolist(), found["kind"], strict=True))
    assert kinds[3] == FN and kinds[7] == FP and 9 not in kinds and len(kinds) == 19
    for row, (k, kind) in enumerate(kinds.items()):
        a, b = prediction[:, :, k], reference[:, :, k]
        if kind != FP:
            assert found["dice_2d"][row] == pytest.approx(dice(a, b))
        if kind == TP:
            distances = surface_distances(a, b, SPACING[:2])
            assert found["msd_2d_mm"][row] == pytest.approx(mean_surface_distance(distances))
            assert found["hd95_2d_mm"][row] == pytest.approx(hausdorff_distance(distances))


@pytest.mark.parametrize("seed", range(5))
def test_medpy_slice_by_slice(seed):
    medpy = pytest.importorskip("medpy.metric.binary")
    prediction, reference = blobs((30, 25, 6), seed), blobs((30, 25, 6), seed + 10)
    found = slice_scores(prediction, reference, SPACING)
    for k in range(6):
        a, b = prediction[:, :, k], reference[:, :, k]
        directed = [medpy.asd(*two, SPACING[:2]) for two in ((a, b), (b, a))]
        assert found["msd_2d_mm"][k] == pytest.approx(np.mean(directed), abs=1e-9)
        assert found["dice_2d"][k] == pytest.approx(medpy.dc(a, b), abs=1e-12)


def test_empty_masks():
    cube, empty = box((6, 6, 6), (1, 4), (1, 4), (1, 4)), np.zeros((6, 6, 6), bool)
    assert slice_scores(empty, cube, SPACING)["kind"].tolist() == [FN] * 3
    assert slice_scores(cube, empty, SPACING)["kind"].tolist() == [FP] * 3
    assert all(len(column) == 0 for column in slice_scores(empty, empty, SPACING).values())


def test_bad_input():
    with pytest.raises(ValueError, match=r"must be \(x, y, z\), got shape \(4, 4\)"):
        slice_scores(np.ones((4, 4), bool), np.ones((4, 4), bool), (1, 1))
    with pytest.raises(ValueError, match="boolean"):
        slice_scores(np.ones((4, 4, 4)), np.ones((4, 4, 4)), SPACING)
