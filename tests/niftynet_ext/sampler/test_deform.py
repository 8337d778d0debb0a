"""The composed map and its interpolation against SciPy and SimpleITK."""

import threading
import time

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from niftynet_ext.sampler import deform
from niftynet_ext.sampler.deform import Deformation

SHAPE = (40, 36, 28)


@pytest.fixture
def volume():
    """Noise: nothing hides an interpolation that is slightly off."""
    return np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)


@pytest.fixture
def label():
    return ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(SHAPE), 3) > 0.02


def whole(volume, order, deformation):
    return deform.box(deform.store(volume, order), order, deformation, (0, 0, 0), deformation.shape)


def make_transform(shape, lattice):
    """SimpleITK's transform of the same displacements, over a volume of that shape."""
    image = sitk.GetImageFromArray(np.zeros(shape, np.float32))
    transform = sitk.BSplineTransformInitializer(image, [lattice.shape[1] - 3] * 3)
    transform.SetParameters(lattice[::-1].ravel().tolist())
    return transform


@pytest.mark.parametrize("points", [2, 4, 7])
def test_displacements_are_those_of_simpleitk(points):
    lattice = np.random.default_rng(2).normal(0, 4, (3, *(points + 3,) * 3))
    transform = make_transform(SHAPE, lattice)
    first, size = (5, 0, 9), (35, 36, 19)
    drawn = Deformation(SHAPE, lattice=lattice)
    lattice, weights, knots = deform.control_points(drawn, first, size)
    for voxel in ((0, 0, 0), (34, 35, 18), (17, 3, 12), (9, 30, 1)):
        around = [slice(knots[axis][v], knots[axis][v] + 4) for axis, v in enumerate(voxel)]
        found = np.einsum(
            "aijk,i,j,k",
            lattice[(slice(None), *around)],
            *(weights[axis][v] for axis, v in enumerate(voxel)),
        )
        point = np.add(first, voxel).astype(float)
        expected = np.subtract(transform.TransformPoint(point[::-1].tolist())[::-1], point)
        assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "order, interpolator",
    [(3, sitk.sitkBSpline), (1, sitk.sitkLinear), (0, sitk.sitkNearestNeighbor)],
)
def test_a_deformed_volume_is_that_of_simpleitk(volume, order, interpolator):
    lattice = np.random.default_rng(3).normal(0, 4, (3, 7, 7, 7))
    expected = sitk.GetArrayFromImage(
        sitk.Resample(
            sitk.GetImageFromArray(volume), make_transform(SHAPE, lattice), interpolator, 0.0
        )
    )
    found = whole(volume, order, Deformation(SHAPE, lattice=lattice))
    assert (expected == 0).mean() > 0.02  # from outside
    assert np.abs(found - expected).max() < (1e-4 if order else 1e-9)


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("zoom", [(0.93, 1.08, 1.0), (1.1, 1.1, 1.1), (0.91, 0.97, 0.9)])
def test_a_scaled_volume_is_that_of_scipy(volume, order, zoom):
    expected = ndimage.zoom(volume, zoom, order=order)
    found = whole(volume, order, Deformation(SHAPE, zoom=zoom))
    assert found.shape == expected.shape
    # SciPy puts the last voxels along an axis outside, by rounding
    inner = tuple(slice(0, n - 1) for n in found.shape)
    assert np.abs(found - expected)[inner].max() < (1e-4 if order else 1e-9)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_flips_are_exact(volume, order):
    found = whole(volume, order, Deformation(SHAPE, flips=(0, 2)))
    assert found == pytest.approx(volume[::-1, :, ::-1], abs=1e-5)


def test_steps_are_composed(volume):
    """Flip, scaling and deformation of images are one interpolation, at the composed points."""
    lattice = np.random.default_rng(7).normal(0, 3, (3, 7, 7, 7))
    drawn = Deformation(SHAPE, (0,), (0.93, 1.08, 1.02), False, None, lattice)
    transform = make_transform(drawn.shape, lattice)
    voxels = np.random.default_rng(8).integers(0, drawn.shape, (500, 3))
    points = np.array([transform.TransformPoint(v[::-1].tolist())[::-1] for v in voxels + 0.0])
    inside = ((points >= -0.5) & (points < np.subtract(drawn.shape, 0.5))).all(axis=1)
    points *= np.subtract(SHAPE, 1) / np.subtract(drawn.shape, 1)
    points[:, 0] = SHAPE[0] - 1 - points[:, 0]
    expected = ndimage.map_coordinates(volume, points.T, order=3, mode="mirror") * inside
    found = whole(volume, 3, drawn)[tuple(voxels.T)]
    assert 0 < inside.mean() < 1 and found == pytest.approx(expected, abs=1e-5)


def test_labels_go_from_voxel_to_voxel_at_each_step(label):
    """As NiftyNet has it: flipped, scaled, rotated, deformed, a volume each time."""
    lattice = np.random.default_rng(4).normal(0, 2, (3, 7, 7, 7))
    cos, sin = np.cos(0.1), np.sin(0.1)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    drawn = Deformation(SHAPE, (1,), (0.93, 1.08, 1.02), False, rotation, lattice)
    expected = ndimage.zoom(label[:, ::-1].astype(np.float32), drawn.zoom, order=0)
    centre = 0.5 * np.array(expected.shape)
    expected = ndimage.affine_transform(expected, rotation.T, centre - centre @ rotation, order=0)
    expected = sitk.GetArrayFromImage(
        sitk.Resample(
            sitk.GetImageFromArray(expected),
            make_transform(expected.shape, lattice),
            sitk.sitkNearestNeighbor,
            0.0,
        )
    )
    found = whole(label.astype(np.uint8), 0, drawn)
    assert found.any() and (found != expected).mean() < 1e-4


def test_smoothing_before_shrinking_is_niftynets(tf, volume):
    from niftynet.layer.rand_spatial_scaling import RandomSpatialScalingLayer

    zoom = (0.6, 0.7, 0.5)
    drawn = Deformation(SHAPE, zoom=zoom, antialiasing=True)
    assert drawn.sigma == pytest.approx(RandomSpatialScalingLayer()._get_sigma(np.array(zoom)))
    expected = ndimage.zoom(ndimage.gaussian_filter(volume, drawn.sigma), zoom, order=3)
    found = np.empty((1, *drawn.shape), np.float32)
    deform.windows(deform.store(volume, 3), 3, drawn, np.zeros((1, 3), int), found)
    inner = (slice(3, -3),) * 3  # at a border SciPy's Gaussian and its spline mirror differently
    assert np.abs(found[0] - expected)[inner].max() < 1e-3
    for unchanged in ((0.6, 1.01, 0.5), (1.2, 1.1, 1.0)):
        assert Deformation(SHAPE, zoom=unchanged, antialiasing=True).sigma is None
    assert Deformation(SHAPE, zoom=zoom).sigma is None


@pytest.mark.parametrize("size", [(20, 16, 12), (4, 5, 3)])
def test_windows_are_parts_of_the_whole(volume, size):
    """Both where they share most of their voxels and where they lie far apart."""
    lattice = np.random.default_rng(5).normal(0, 3, (3, 7, 7, 7))
    drawn = Deformation(SHAPE, zoom=(0.97, 1.05, 1.02), lattice=lattice)
    starts = np.random.default_rng(6).integers(0, np.subtract(drawn.shape, size), (6, 3))
    out = np.empty((6, *size), np.float32)
    deform.windows(deform.store(volume, 3), 3, drawn, starts, out)
    expected = whole(volume, 3, drawn)
    for (x, y, z), window in zip(starts, out, strict=True):
        part = expected[x : x + size[0], y : y + size[1], z : z + size[2]]
        assert window == pytest.approx(part, abs=1e-5)


def test_other_threads_run_meanwhile(volume):
    """The interpreter's lock is free while a box is filled, or ``num_threads`` would be in vain."""
    drawn = Deformation(SHAPE, zoom=(6.0, 6.0, 6.0))
    stored = deform.store(volume, 3)
    deform.box(stored, 3, drawn, (0, 0, 0), (2, 2, 2))  # compiled
    thread = threading.Thread(target=deform.box, args=(stored, 3, drawn, (0, 0, 0), drawn.shape))
    thread.start()
    turns = 0
    while thread.is_alive():
        time.sleep(0.002)
        turns += 1
    assert turns > 10
