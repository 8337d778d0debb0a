import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  (its own abbreviation)

from data_prep import DataError, resample

AFFINE = np.array([[-0.9, 0, 0, 100], [0, -0.7, 0, 50], [0, 0, 3, -20], [0, 0, 0, 1.0]])


def ball(shape, centre, radius):
    grid = np.indices(shape).T - np.array(centre)
    return (np.square(grid * [1, 1, 3]).sum(-1) < radius**2).T


@pytest.mark.parametrize(("size", "factor", "expected"), [(512, 2, 256), (7, 2, 4), (7, 3, 3)])
def test_coarse_shape(size, factor, expected):
    assert resample.coarse_shape((size, size, 5), factor) == (expected, expected, 5)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_coarse_centre_is_the_mean_of_its_native_centres(factor):
    coarse = resample.coarse_affine(AFFINE, factor)
    for cell in ((0, 0, 0), (5, 2, 7)):
        members = [
            AFFINE @ [cell[0] * factor + a, cell[1] * factor + b, cell[2], 1]
            for a in range(factor)
            for b in range(factor)
        ]
        np.testing.assert_allclose(coarse @ [*cell, 1], np.mean(members, 0), atol=1e-9)


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("size", [(24, 30), (25, 31)])
def test_linear_image_keeps_its_value_at_each_place(factor, size):
    i, j, k = np.indices((*size, 4))
    array = (20 * i - 12 * j + 7 * k).astype(np.int16)
    coarse = resample.reduce_image(array, factor)
    centre = factor * np.indices(coarse.shape)[:2] + (factor - 1) / 2
    truth = 20 * centre[0] - 12 * centre[1] + 7 * np.arange(4)
    inner = (slice(8 // factor, -8 // factor),) * 2  # a spline mirrored at the edge bends a slope
    assert np.abs(coarse - truth)[inner].max() <= 1
    assert coarse.dtype == np.int16


def test_image_equals_a_spline_fitted_in_3d():
    array = np.random.default_rng(0).integers(-1000, 1000, (20, 22, 9)).astype(np.int16)
    image = sitk.GetImageFromArray(array.T)
    grid = sitk.Image((10, 11, 9), sitk.sitkFloat32)
    grid.SetSpacing((2, 2, 1))
    grid.SetOrigin((0.5, 0.5, 0))
    truth = sitk.GetArrayFromImage(
        sitk.Resample(image, grid, sitk.Transform(), sitk.sitkBSpline, 0, sitk.sitkFloat32)
    ).T
    truth = np.clip(truth, array.min(), array.max())
    assert np.abs(resample.reduce_image(array, 2) - truth).max() <= 0.51


def test_overshoot_is_clipped_to_the_input():
    array = np.full((16, 16, 2), -1024, np.int16)
    array[8:] = 3000
    coarse = resample.reduce_image(array, 2)
    assert (coarse.min(), coarse.max()) == (-1024, 3000)


def test_label_covers_a_cell_by_majority():
    mask = np.zeros((4, 2, 1), bool)
    mask[0, :, 0] = mask[1, 0, 0] = True  # three quarters of one cell
    mask[2, 0, 0] = True  # a quarter of the next
    assert resample.reduce_label(mask, 2).ravel().tolist() == [True, False]


def test_half_covered_cells_go_by_turns():
    mask = np.zeros((16, 16, 4), bool)
    mask[::2] = True
    assert resample.reduce_label(mask, 2).sum() == 8 * 8 * 4 / 2


def test_cut_cell_counts_what_exists():
    mask = np.ones((5, 5, 1), bool)
    assert resample.reduce_label(mask, 2).all()


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("shape", [(64, 60, 20), (65, 61, 20)])
def test_there_and_back_keeps_place_and_volume(factor, shape):
    mask = ball(shape, (31.3, 28.6, 9.7), 19)
    label = resample.reduce_label(mask, factor)
    affine = resample.coarse_affine(AFFINE, factor)
    back = resample.native_mask(resample.to_native(label.astype(float), affine, shape, AFFINE))
    places = [np.argwhere(one).mean(0) @ AFFINE[:3, :3].T for one in (mask, back)]
    assert np.linalg.norm(places[0] - places[1]) < 0.1
    assert 2 * (mask & back).sum() / (mask.sum() + back.sum()) > 0.96
    assert back.sum() == pytest.approx(mask.sum(), rel=0.01)


def test_to_native_against_simpleitk_points():
    probability = np.random.default_rng(1).random((12, 10, 5)).astype(np.float32)
    coarse = resample.coarse_affine(AFFINE, 2)
    native = resample.to_native(probability, coarse, (24, 20, 5), AFFINE)
    image = sitk.GetImageFromArray(probability.T)
    image.SetSpacing((1.8, 1.4, 3))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    image.SetOrigin(coarse[:3, 3].tolist())
    for index in ((2, 3, 1), (11, 8, 4), (20, 16, 0)):
        place = (AFFINE @ [*index, 1])[:3].tolist()
        value = image.EvaluateAtPhysicalPoint(place, sitk.sitkLinear)
        assert native[index] == pytest.approx(value, abs=1e-5)


def test_the_outermost_native_voxels_are_inside():
    native = resample.to_native(
        np.ones((8, 8, 3)), resample.coarse_affine(AFFINE, 2), (16, 16, 3), AFFINE
    )
    assert (native == 1).all()


@pytest.mark.parametrize("value", [np.nan, -0.2, 1.5, np.inf])
def test_what_is_no_probability_is_refused(value):
    probability = np.zeros((4, 4, 2))
    probability[1, 1, 1] = value
    with pytest.raises(DataError, match="expected 0 to 1"):
        resample.to_native(probability, AFFINE, (4, 4, 2), AFFINE)


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (-1, 1, -1)])
def test_the_mask_is_the_same_without_resizing_what_is_far(factor, signs):
    affine = AFFINE @ np.diag([*signs, 1.0])
    shape = (31, 26, 9)
    coarse = resample.coarse_shape(shape, factor)
    coarse_affine = resample.coarse_affine(affine, factor)
    rng = np.random.default_rng(0)
    for centre in np.ndindex(3, 3, 3):  # at every edge and corner, and amid
        weight = np.ones(coarse)
        for axis, at in enumerate(centre):
            place = np.moveaxis(np.linspace(0, 2, coarse[axis])[None, None], 2, axis)
            weight = weight * np.exp(-(((place - at) / 0.4) ** 2))
        probability = (weight * rng.random(coarse) ** 0.2).astype(np.float32)
        full = resample.native_mask(
            resample.to_native(probability, coarse_affine, shape, affine)
        )
        found = resample.to_native_mask(probability, coarse_affine, shape, affine)
        assert np.array_equal(found, full) and full.any() and not full.all()
    nothing = resample.to_native_mask(np.zeros(coarse), coarse_affine, shape, affine)
    assert nothing.shape == shape and not nothing.any()
    with pytest.raises(DataError, match="expected 0 to 1"):
        resample.to_native_mask(np.full(coarse, -2.0), coarse_affine, shape, affine)
