import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  (its own abbreviation)
from PIL import Image
from scipy import ndimage

from data_prep.core import resample
from data_prep.core.errors import DataError
from data_prep.core.resample import reduced_grid, resample_image, resample_label, spaced_grid

AFFINE = np.array([[-0.9, 0, 0, 100], [0, -0.7, 0, 50], [0, 0, 3, -20], [0, 0, 0, 1.0]])


def ball(shape, centre, radius):
    grid = np.indices(shape).T - np.array(centre)
    return (np.square(grid * [1, 1, 3]).sum(-1) < radius**2).T


def noise(*shape):
    return np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)


@pytest.mark.parametrize(("size", "factor", "expected"), [(512, 2, 256), (7, 2, 4), (7, 3, 3)])
def test_reduced_shape(size, factor, expected):
    assert reduced_grid((size, size, 5), AFFINE, factor).shape == (expected, expected, 5)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_a_new_centre_is_the_mean_of_its_native_centres(factor):
    grid = reduced_grid((40, 40, 9), AFFINE, factor)
    for cell in ((0, 0, 0), (5, 2, 7)):
        members = [
            AFFINE @ [cell[0] * factor + a, cell[1] * factor + b, cell[2], 1]
            for a in range(factor)
            for b in range(factor)
        ]
        np.testing.assert_allclose(grid.affine @ [*cell, 1], np.mean(members, 0), atol=1e-9)


def test_any_spacing_starts_at_the_same_edge_and_covers_the_volume():
    grid = spaced_grid((60, 50, 10), AFFINE, (2.0, 0.35, 4.5))
    assert grid.shape == (27, 100, 7)
    np.testing.assert_allclose(np.linalg.norm(grid.affine[:3, :3], axis=0), (2.0, 0.35, 4.5))
    edges = [AFFINE @ [-0.5, -0.5, -0.5, 1], grid.affine @ [-0.5, -0.5, -0.5, 1]]
    np.testing.assert_allclose(*edges)


@pytest.mark.parametrize("spacing_mm", [(0, 1, 1), (1, 1), (np.nan, 1, 1), (1e-4, 1e-4, 1e-4)])
def test_what_is_no_spacing(spacing_mm):
    with pytest.raises(DataError, match="spacing"):
        spaced_grid((60, 50, 10), AFFINE, spacing_mm)


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("size", [(24, 30), (25, 31)])
@pytest.mark.parametrize("method", resample.RESAMPLE_METHODS)
def test_linear_image_keeps_its_value_at_each_place(factor, size, method):
    i, j, k = np.indices((*size, 4))
    array = (20 * i - 12 * j + 7 * k).astype(np.int16)
    coarse = resample_image(array, reduced_grid(array.shape, AFFINE, factor), method)
    centre = factor * np.indices(coarse.shape)[:2] + (factor - 1) / 2
    truth = 20 * centre[0] - 12 * centre[1] + 7 * np.arange(4)
    inner = (slice(8 // factor, -8 // factor),) * 2  # a spline mirrored at the edge bends a slope
    assert np.abs(coarse - truth)[inner].max() <= 1
    assert coarse.dtype == np.int16


def test_cubic_equals_simpleitks_spline_fitted_in_3d():
    array = noise(20, 22, 9)
    image = sitk.GetImageFromArray(array.T)
    grid = sitk.Image((10, 11, 9), sitk.sitkFloat32)
    grid.SetSpacing((2, 2, 1))
    grid.SetOrigin((0.5, 0.5, 0))
    truth = sitk.GetArrayFromImage(
        sitk.Resample(image, grid, sitk.Transform(), sitk.sitkBSpline, 0, sitk.sitkFloat32)
    ).T
    truth = np.clip(truth, array.min(), array.max())
    found = resample_image(array, reduced_grid(array.shape, AFFINE, 2))
    assert np.abs(found - truth).max() <= 0.51


@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 3.0), (0.5, 1.3, 2.0), (1.1, 0.9, 5.0)])
def test_cubic_equals_scipys_spline_at_any_spacing(spacing_mm):
    array = noise(80, 70, 20)
    grid = spaced_grid(array.shape, np.diag([0.9, 0.7, 3.0, 1.0]), spacing_mm)
    places = grid.affine[:3, :3] @ np.indices(grid.shape).reshape(3, -1) + grid.affine[:3, 3:]
    places = np.minimum(places / [[0.9], [0.7], [3.0]], [[79], [69], [19]]).clip(0)
    truth = ndimage.map_coordinates(array.astype(float), places, order=3, mode="mirror")
    truth = truth.reshape(grid.shape).clip(array.min(), array.max())
    assert np.abs(resample_image(array, grid) - truth).max() <= 0.51


@pytest.mark.parametrize("size", [(24, 17), (13, 48)])
def test_antialiased_equals_pillows_bicubic(size):
    array = noise(39, 51, 2)
    native = np.diag([1.0, 1.0, 1.0, 1.0])
    grid = spaced_grid(array.shape, native, (39 / size[0], 51 / size[1], 1.0))
    found = resample_image(array, grid, "antialiased")
    for k in (0, 1):
        plane = Image.fromarray(array[:, :, k].T.astype(np.float32))
        truth = np.asarray(plane.resize(size, Image.Resampling.BICUBIC)).T
        assert np.abs(found[:, :, k] - truth).max() <= 0.51


def test_only_cubic_keeps_what_the_new_grid_cannot_show():
    stripes = np.tile(np.int16([0, 1000, 0]), (24, 8)).T[:, :, np.newaxis]  # one stripe in three
    means = [
        resample_image(np.tile(stripes, (1, 1, 2)), reduced_grid((24, 24, 2), AFFINE, 3), method)
        for method in resample.RESAMPLE_METHODS
    ]
    assert means[0][2:-2].mean() == pytest.approx(1000, abs=1)
    assert means[1][2:-2].mean() == pytest.approx(333, abs=100)


def test_overshoot_is_clipped_to_the_input():
    array = np.full((16, 16, 2), -1024, np.int16)
    array[8:] = 3000
    coarse = resample_image(array, reduced_grid(array.shape, AFFINE, 2))
    assert (coarse.min(), coarse.max()) == (-1024, 3000)


def test_an_unknown_method():
    with pytest.raises(DataError, match="expected cubic or antialiased"):
        resample_image(noise(4, 4, 2), reduced_grid((4, 4, 2), AFFINE, 2), "nearest")


def test_label_covers_a_cell_by_majority():
    mask = np.zeros((4, 2, 1), bool)
    mask[0, :, 0] = mask[1, 0, 0] = True  # three quarters of one cell
    mask[2, 0, 0] = True  # a quarter of the next
    label = resample_label(mask, reduced_grid(mask.shape, AFFINE, 2))
    assert label.ravel().tolist() == [1, 0]


def test_half_covered_cells_alternate():
    mask = np.zeros((16, 16, 4), bool)
    mask[::2] = True
    assert resample_label(mask, reduced_grid(mask.shape, AFFINE, 2)).sum() == 8 * 8 * 4 / 2


def test_cut_cell_counts_what_exists():
    mask = np.ones((5, 5, 1), bool)
    assert resample_label(mask, reduced_grid(mask.shape, AFFINE, 2)).all()


def test_of_classes_that_make_a_voxel_together_the_larger_has_it():
    label = np.zeros((6, 6, 1), np.uint8)
    label[:3, :3], label[0, :2] = 5, 9  # six of class 5, two of class 9, one of class 5
    label[3:, :3] = 9
    label[3, 0] = 5
    found = resample_label(label, reduced_grid(label.shape, AFFINE, 3))
    assert found[:, :, 0].tolist() == [[5, 0], [9, 0]]
    assert found.dtype == np.uint8


def test_an_empty_label_stays_empty():
    label = resample_label(np.zeros((6, 6, 2), bool), reduced_grid((6, 6, 2), AFFINE, 2))
    assert label.shape == (3, 3, 2)
    assert not label.any()


@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 3.0), (1.5, 1.0, 2.0), (0.5, 0.5, 1.5)])
def test_label_keeps_volume_and_place_at_any_spacing(spacing_mm):
    native = np.diag([0.9, 0.7, 3.0, 1.0])
    mask = ball((70, 80, 20), (33.3, 38.6, 9.7), 25)
    grid = spaced_grid(mask.shape, native, spacing_mm)
    label = resample_label(mask, grid)
    volumes = [mask.sum() * np.linalg.det(native), label.sum() * np.linalg.det(grid.affine)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.01)
    there = (grid.affine @ [*np.argwhere(label).mean(0), 1])[:3]
    assert np.linalg.norm(there - np.argwhere(mask).mean(0) * (0.9, 0.7, 3.0)) < 0.1


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("shape", [(64, 60, 20), (65, 61, 20)])
def test_there_and_back_keeps_place_and_volume(factor, shape):
    mask = ball(shape, (31.3, 28.6, 9.7), 19)
    grid = reduced_grid(shape, AFFINE, factor)
    label = resample_label(mask, grid)
    back = resample.native_mask(resample.to_native(label.astype(float), grid.affine, shape, AFFINE))
    places = [np.argwhere(found).mean(0) @ AFFINE[:3, :3].T for found in (mask, back)]
    assert np.linalg.norm(places[0] - places[1]) < 0.1
    assert 2 * (mask & back).sum() / (mask.sum() + back.sum()) > 0.96
    assert back.sum() == pytest.approx(mask.sum(), rel=0.01)


@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 3.0), (1.6, 1.1, 2.0), (0.5, 0.5, 1.5)])
def test_there_and_back_by_any_spacing(spacing_mm):
    mask = ball((64, 60, 20), (31.3, 28.6, 9.7), 19)
    grid = spaced_grid(mask.shape, AFFINE, spacing_mm)
    share = resample_label(mask, grid).astype(float)
    back = resample.native_mask(resample.to_native(share, grid.affine, mask.shape, AFFINE))
    places = [np.argwhere(found).mean(0) @ AFFINE[:3, :3].T for found in (mask, back)]
    assert np.linalg.norm(places[0] - places[1]) < 0.1
    assert back.sum() == pytest.approx(mask.sum(), rel=0.02)


def test_to_native_against_simpleitk_points():
    probability = np.random.default_rng(1).random((12, 10, 5)).astype(np.float32)
    coarse = reduced_grid((24, 20, 5), AFFINE, 2).affine
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
    grid = reduced_grid((16, 16, 3), AFFINE, 2)
    assert (resample.to_native(np.ones((8, 8, 3)), grid.affine, (16, 16, 3), AFFINE) == 1).all()


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
    grid = resample.reduced_grid(shape, affine, factor)
    coarse, coarse_affine = grid.shape, grid.affine
    rng = np.random.default_rng(0)
    for centre in np.ndindex(3, 3, 3):  # at every edge and corner, and in the middle
        weight = np.ones(coarse)
        for axis, at in enumerate(centre):
            place = np.moveaxis(np.linspace(0, 2, coarse[axis])[None, None], 2, axis)
            weight = weight * np.exp(-(((place - at) / 0.4) ** 2))
        probability = (weight * rng.random(coarse) ** 0.2).astype(np.float32)
        full = resample.native_mask(resample.to_native(probability, coarse_affine, shape, affine))
        found = resample.to_native_mask(probability, coarse_affine, shape, affine)
        assert np.array_equal(found, full) and full.any() and not full.all()
    nothing = resample.to_native_mask(np.zeros(coarse), coarse_affine, shape, affine)
    assert nothing.shape == shape and not nothing.any()
    with pytest.raises(DataError, match="expected 0 to 1"):
        resample.to_native_mask(np.full(coarse, -2.0), coarse_affine, shape, affine)
