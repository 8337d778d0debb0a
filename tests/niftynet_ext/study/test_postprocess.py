"""Steps on a mask: by hand, in closed form, and on a phantom's CT."""

import numpy as np
import pytest
from scipy import ndimage

from data_prep.core.errors import DataError
from data_prep.core.lungs import find_lungs
from niftynet_ext.study import postprocess
from tests.support.shapes import blobs, box

SHAPE, SPACING = (20, 20, 10), (1.0, 2.0, 5.0)  # 0.01 mL a voxel
AFFINE = np.diag([*SPACING, 1.0])
LARGE = box(SHAPE, (0, 6), (0, 6), (0, 4))  # 1.44 mL
SMALL = box(SHAPE, (10, 13), (10, 13), (6, 8))  # 0.18 mL


@pytest.mark.parametrize(
    "min_ml, expected",
    [(0.0, LARGE | SMALL), (0.18, LARGE | SMALL), (0.19, LARGE), (2.0, LARGE & SMALL)],
)
def test_components_above_a_volume_are_kept(min_ml, expected):
    assert np.array_equal(postprocess.keep_components(LARGE | SMALL, SPACING, min_ml), expected)


def test_largest_component():
    assert np.array_equal(postprocess.keep_largest(SMALL | LARGE), LARGE)
    equal = SMALL | np.roll(SMALL, -8, axis=0)
    assert np.array_equal(postprocess.keep_largest(equal), np.roll(SMALL, -8, axis=0))


def test_components_against_simpleitk():
    sitk = pytest.importorskip("SimpleITK")
    mask = blobs((40, 30, 20), seed=3)
    labels = sitk.RelabelComponent(
        sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True),
        minimumObjectSize=30,
    )
    expected = sitk.GetArrayFromImage(labels) > 0
    assert np.array_equal(postprocess.keep_components(mask, (10, 10, 10), 30), expected)
    assert expected.sum() < mask.sum()


def test_holes_are_filled_slice_by_slice():
    ring = box(SHAPE, (2, 8), (2, 8), (3, 6)) & ~box(SHAPE, (4, 6), (4, 6), (3, 6))
    assert np.array_equal(postprocess.fill_holes(ring), box(SHAPE, (2, 8), (2, 8), (3, 6)))
    bay = ring & ~box(SHAPE, (4, 5), (0, 5), (3, 6))  # open to the outside
    assert np.array_equal(postprocess.fill_holes(bay), bay)
    mask = blobs((30, 25, 8), seed=4)
    expected = np.stack([ndimage.binary_fill_holes(plane) for plane in np.moveaxis(mask, 2, 0)], 2)
    assert np.array_equal(postprocess.fill_holes(mask), expected)


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_nothing_outside_a_box_is_left(signs):
    affine = np.diag([*np.multiply(signs, SPACING), 1.0])
    affine[:3, 3] = 7.0, -40.0, 3.0
    centres = np.argwhere(np.ones(SHAPE)) @ affine[:3, :3].T + affine[:3, 3]
    corners = np.sort([centres[1234], centres[3456]], axis=0) + [[-0.1], [0.1]]
    inside = ((centres >= corners[0]) & (centres <= corners[1])).all(axis=1).reshape(SHAPE)
    found = postprocess.restrict(np.ones(SHAPE, bool), affine, corners)
    assert np.array_equal(found, inside) and 0 < inside.sum() < inside.size


def test_a_box_elsewhere_leaves_nothing():
    for corner in (-500.0, 500.0):
        box_mm = [[corner] * 3, [corner + 1] * 3]
        assert not postprocess.restrict(np.ones(SHAPE, bool), AFFINE, box_mm).any()


@pytest.fixture
def thorax():
    """CT of a box-shaped body with two lungs, bowel gas, and a couch; 4 x 4 x 5 mm voxels."""
    ct = np.full((90, 70, 40), -1000.0)
    ct[10:80, 10:60] = 40
    for first in (15, 50):
        ct[first : first + 25, 20:50, 15:35] = -850
    ct[40:45, 30:35, 2:6] = -900  # 0.8 * 10 mL
    ct[5:85, 66:68] = 100
    affine = np.diag([-4.0, -4.0, 5.0, 1.0])
    affine[:3, 3] = 180.0, 140.0, -900.0
    return ct, affine


def corners(affine, *ranges):
    faces = np.array([[first - 0.5 for first, _ in ranges], [last - 0.5 for _, last in ranges]])
    return np.sort(faces @ affine[:3, :3].T + affine[:3, 3], axis=0)


def test_boxes_of_body_and_lungs(thorax):
    _, affine = thorax
    assert np.allclose(postprocess.body_box(*thorax), corners(affine, (10, 80), (10, 60), (0, 40)))
    lungs = corners(affine, (15, 75), (20, 50), (15, 35))
    assert np.allclose(postprocess.lung_box(*thorax), lungs)
    assert np.allclose(postprocess.lung_box(*thorax, 10.0), lungs + [[-10.0], [10.0]])


def test_lungs_are_those_that_check_finds(thorax):
    ct, affine = thorax
    found = find_lungs(ct, np.array([4.0, 4.0, 5.0]), margin_mm=0.0)
    inside = postprocess.restrict(np.ones(ct.shape, bool), affine, postprocess.lung_box(*thorax))
    where = np.argwhere(inside)
    assert (where.min(axis=0) == found.low).all() and (where.max(axis=0) == found.high).all()


def test_no_lung_and_no_body(thorax):
    ct, affine = thorax
    with pytest.raises(DataError, match="the CT has no lung"):
        postprocess.lung_box(np.maximum(ct, -200), affine)
    with pytest.raises(DataError, match="the CT has no body"):
        postprocess.body_box(np.full(ct.shape, -1000.0), affine)


def test_a_plan_takes_its_steps_in_order(thorax):
    ct, affine = thorax
    mask = box(ct.shape, (20, 30), (25, 35), (20, 25)) | box(ct.shape, (40, 44), (30, 34), (2, 6))
    mask[25, 30, 22] = False
    plan = postprocess.parse_plan("lung_box:10 components:1 fill_holes")
    assert (
        postprocess.needs_ct(plan)
        and " ".join(map(str, plan)) == "lung_box:10 components:1 fill_holes"
    )
    found = postprocess.apply(mask, affine, plan, thorax)
    assert np.array_equal(found, box(ct.shape, (20, 30), (25, 35), (20, 25)))
    both = postprocess.parse_plan("fill_holes components:30")
    assert not postprocess.needs_ct(both)
    assert postprocess.apply(mask, affine, both).sum() == 500


def test_empty_masks_stay_empty():
    empty = np.zeros(SHAPE, bool)
    for text in ("components:1", "largest", "fill_holes"):
        found = postprocess.apply(empty, AFFINE, postprocess.parse_plan(text))
        assert found.shape == SHAPE and not found.any()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "smooth",
        "components",
        "components:x",
        "largest:3",
        "components:-1",
        "lung_box:inf",
        "components:nan",
    ],
)
def test_bad_plans(text):
    with pytest.raises(ValueError, match="is not a step"):
        postprocess.parse_plan(text)
