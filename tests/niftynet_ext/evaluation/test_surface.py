"""Surface distances by hand, in closed form, and against independent libraries."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  (its own abbreviation)

from niftynet_ext.evaluation import surface
from niftynet_ext.evaluation.surface import (
    hausdorff_distance,
    mean_surface_distance,
    surface_distances,
)
from tests.support.shapes import ball, blobs, box

SPACINGS = [(0.8, 1.3), (0.977, 0.977, 3.0), (2.5, 0.7, 1.1)]
SHAPES = {2: (40, 33), 3: (24, 21, 18)}


def pair(spacing, seed=0):
    shape = SHAPES[len(spacing)]
    return blobs(shape, seed), blobs(shape, seed + 1)


def test_a_square_and_its_neighbour_by_hand():
    # 3 x 3 pixels of 2 x 1 mm, one column apart. Of the 8 boundary pixels of either, 3 are 2 mm
    # off (the outer column), 4 are shared, and 1 lies on the other's centre, 1 mm from its edge
    a, b = box((6, 5), (1, 4), (1, 4)), box((6, 5), (2, 5), (1, 4))
    found = surface_distances(a, b, (2.0, 1.0))
    for directed in found:
        assert sorted(directed) == [0, 0, 0, 0, 1, 2, 2, 2]
    assert mean_surface_distance(found) == pytest.approx(7 / 8)
    assert hausdorff_distance(found) == pytest.approx(2.0)
    assert hausdorff_distance(found, 50) == pytest.approx(0.5)


def test_directed_distances_differ_and_are_averaged():
    # one voxel, and a rod of it and its three neighbours along z
    voxel, rod = box((3, 3, 5), (1, 2), (1, 2), (0, 1)), box((3, 3, 5), (1, 2), (1, 2), (0, 4))
    found = surface_distances(voxel, rod, (1.0, 1.0, 3.0))
    assert found.from_prediction.tolist() == [0]
    assert sorted(found.from_reference) == [0, 3, 6, 9]
    assert mean_surface_distance(found) == pytest.approx((0 + 4.5) / 2)
    assert hausdorff_distance(found, 100) == pytest.approx((0 + 9) / 2)
    assert hausdorff_distance(found) == pytest.approx((0 + 6 + 0.85 * 3) / 2)


@pytest.mark.parametrize("axis, shift_mm", [(0, 2.0), (1, 1.4), (2, 6.0)])
def test_shifted_cubes(axis, shift_mm):
    spacing = (1.0, 0.7, 3.0)
    cube = box((20, 20, 20), (4, 14), (4, 14), (4, 14))
    found = surface_distances(np.roll(cube, 2, axis), cube, spacing)
    assert hausdorff_distance(found, 100) == pytest.approx(shift_mm)
    assert hausdorff_distance(surface_distances(cube, cube, spacing)) == 0


def test_parallel_plates():
    found = surface_distances(
        box((9, 9, 9), (0, 9), (0, 9), (2, 3)),
        box((9, 9, 9), (0, 9), (0, 9), (6, 7)),
        (1.0, 1.0, 2.5),
    )
    assert mean_surface_distance(found) == hausdorff_distance(found) == pytest.approx(10.0)


def test_concentric_spheres():
    spacing, shape = (1.0, 1.0, 1.5), (71, 71, 48)
    centre = [(n - 1) / 2 * s for n, s in zip(shape, spacing, strict=True)]
    found = surface_distances(
        ball(shape, centre, 20.0, spacing), ball(shape, centre, 32.0, spacing), spacing
    )
    # boundary voxels lie up to a voxel within the sphere they are of
    assert mean_surface_distance(found) == pytest.approx(12.0, abs=0.5)
    assert hausdorff_distance(found) == pytest.approx(12.0, abs=0.75)


def test_empty_masks_count_as_the_worst():
    cube, empty = box((6, 6, 6), (1, 4), (1, 4), (1, 4)), np.zeros((6, 6, 6), bool)
    for two in ((cube, empty), (empty, cube)):
        found = surface_distances(*two, (1, 1, 1))
        assert mean_surface_distance(found) == hausdorff_distance(found) == np.inf
        assert sorted(map(len, found)) == [0, 26] and np.isinf(np.concatenate(found)).all()
    found = surface_distances(empty, empty, (1, 1, 1))
    assert mean_surface_distance(found) == hausdorff_distance(found) == 0.0


def test_bad_input():
    cube = box((6, 6, 6), (1, 4), (1, 4), (1, 4))
    with pytest.raises(ValueError, match="prediction must be boolean, got uint8"):
        surface_distances(cube.astype(np.uint8), cube, (1, 1, 1))
    with pytest.raises(ValueError, match="one grid"):
        surface_distances(cube[1:], cube, (1, 1, 1))
    with pytest.raises(ValueError, match="3 positive numbers"):
        surface_distances(cube, cube, (1, 1))
    with pytest.raises(ValueError):
        hausdorff_distance(surface_distances(cube, cube, (1, 1, 1)), 101)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_map_for_many_voxels_gives_the_same(spacing, monkeypatch):
    searched = surface_distances(*pair(spacing), spacing)
    monkeypatch.setattr(surface, "MANY", 0)
    monkeypatch.setattr(surface, "NEAR_MM", 1e-6)  # all is far
    monkeypatch.setattr(surface, "DENSE", np.inf)
    make, made = surface._mapped_distances, []
    monkeypatch.setattr(surface, "_mapped_distances", lambda *some: made.append(1) or make(*some))
    for mapped, directed in zip(surface_distances(*pair(spacing), spacing), searched, strict=True):
        assert np.allclose(np.sort(mapped), np.sort(directed), atol=1e-12)
    assert made


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("near_mm", [1e-6, 1.5, 1e6])
def test_near_and_far_voxels_are_searched_alike(spacing, near_mm, monkeypatch):
    searched = surface_distances(*pair(spacing), spacing)
    monkeypatch.setattr(surface, "NEAR_MM", near_mm)
    for found, directed in zip(surface_distances(*pair(spacing), spacing), searched, strict=True):
        assert np.array_equal(found, directed)


def test_only_many_voxels_far_from_the_other_surface_make_a_map(monkeypatch):
    monkeypatch.setattr(surface, "MANY", 1000)
    monkeypatch.setattr(surface, "_mapped_distances", lambda *_: "mapped")
    shape, spacing = (80, 70, 60), (1.0, 1.0, 1.0)
    large, near = (ball(shape, (30, 30, 30), radius, spacing) for radius in (22, 24))
    assert surface_distances(large, near, spacing) != "mapped"  # some 4,000 voxels each
    block = box(shape, (76, 80), (0, 70), (0, 60))
    assert surface_distances(large | block, near, spacing) == "mapped"


def test_a_real_tumour_against_simpleitk(shared):
    image = sitk.ReadImage(str(next((shared / "data/ibsi_ct_phantom/nifti").rglob("*mask*.nii*"))))
    reference = sitk.GetArrayFromImage(image).T > 0
    prediction = np.roll(reference, (3, -2, 1), axis=(0, 1, 2))
    prediction[:, :, : reference.shape[2] // 2] &= reference[:, :, : reference.shape[2] // 2]
    found = surface_distances(prediction, reference, image.GetSpacing())
    edges = []
    for mask in (prediction, reference):
        mask = sitk.GetImageFromArray(mask.T.astype(np.uint8))
        mask.SetSpacing(image.GetSpacing())
        edges.append(sitk.LabelContour(mask))
    for ours, edge, other in zip(found, edges, edges[::-1], strict=True):
        distance = sitk.SignedMaurerDistanceMap(other, squaredDistance=False, useImageSpacing=True)
        expected = np.abs(sitk.GetArrayViewFromImage(distance))[
            sitk.GetArrayViewFromImage(edge) > 0
        ]
        assert ours.mean() == pytest.approx(expected.mean(), abs=1e-4)  # its float32
        assert np.percentile(ours, 95) == pytest.approx(np.percentile(expected, 95), abs=1e-4)
        assert ours.max() > 1.0


@pytest.mark.parametrize("spacing", SPACINGS)
def test_distances_equal_simpleitks_distance_map(spacing):
    edges, maps = [], []
    for mask in pair(spacing):
        image = sitk.GetImageFromArray(np.pad(mask, 1).T.astype(np.uint8))
        image.SetSpacing(spacing)
        edge = sitk.LabelContour(image)  # face-connected
        edges.append(sitk.GetArrayFromImage(edge).T.astype(bool))
        distance = sitk.SignedMaurerDistanceMap(edge, squaredDistance=False, useImageSpacing=True)
        maps.append(np.abs(sitk.GetArrayFromImage(distance).T))
    found = surface_distances(*pair(spacing), spacing)
    for ours, edge, other in zip(found, edges, maps[::-1], strict=True):
        assert np.allclose(np.sort(ours), np.sort(other[edge]), atol=1e-5, rtol=0)  # its float32


@pytest.mark.parametrize("spacing", SPACINGS)
def test_directed_and_mean_distances_equal_medpys(spacing):
    medpy = pytest.importorskip("medpy.metric.binary")
    (a, b), found = pair(spacing), surface_distances(*pair(spacing), spacing)
    assert found.from_prediction.mean() == pytest.approx(medpy.asd(a, b, spacing), abs=1e-9)
    assert found.from_reference.mean() == pytest.approx(medpy.asd(b, a, spacing), abs=1e-9)
    assert mean_surface_distance(found) == pytest.approx(
        (medpy.asd(a, b, spacing) + medpy.asd(b, a, spacing)) / 2, abs=1e-9
    )
    assert max(map(max, found)) == pytest.approx(medpy.hd(a, b, spacing), abs=1e-9)
    # its assd and hd95 are of both directions together
    assert np.concatenate(found).mean() == pytest.approx(medpy.assd(a, b, spacing), abs=1e-9)
    assert np.percentile(np.concatenate(found), 95) == pytest.approx(
        medpy.hd95(a, b, spacing), abs=1e-9
    )


@pytest.mark.parametrize("spacing", SPACINGS)
def test_directed_distances_equal_monais(spacing):
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    (a, b), found = pair(spacing), surface_distances(*pair(spacing), spacing)
    for two, ours in (((a, b), found.from_prediction), ((b, a), found.from_reference)):
        two = [torch.from_numpy(mask[None, None]) for mask in two]
        mean = metrics.compute_average_surface_distance(
            *two, include_background=True, spacing=spacing
        )
        hd95 = metrics.compute_hausdorff_distance(
            *two, include_background=True, percentile=95, directed=True, spacing=spacing
        )
        assert ours.mean() == pytest.approx(float(mean), abs=1e-6, rel=1e-6)
        assert np.percentile(ours, 95) == pytest.approx(float(hd95), abs=1e-6, rel=1e-6)


def test_surfels_of_surface_distance_agree_within_a_voxel():
    # its surface lies between voxels and is weighted by area: near, not equal
    library = pytest.importorskip("surface_distance")
    spacing, shape = (1.0, 1.0, 1.5), (48, 48, 32)
    a = ball(shape, (23, 22, 23), 14.0, spacing)
    b = ball(shape, (25, 24, 25), 17.0, spacing)
    distances = library.compute_surface_distances(b, a, spacing)
    found = surface_distances(a, b, spacing)
    assert mean_surface_distance(found) == pytest.approx(
        np.mean(library.compute_average_surface_distance(distances)), abs=0.5
    )
    assert max(np.percentile(directed, 95) for directed in found) == pytest.approx(
        library.compute_robust_hausdorff(distances, 95), abs=1.0
    )
