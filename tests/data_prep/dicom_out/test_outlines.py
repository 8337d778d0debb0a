import numpy as np
import pytest
from skimage.draw import polygon2mask
from skimage.measure import label

from data_prep.core import geometry
from data_prep.dicom_out import outlines


def shoelace(points):
    x, y = points.T
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def test_a_pixel_is_its_own_square():
    mask = np.zeros((5, 4), bool)
    mask[2, 3] = True
    (square,) = outlines.trace(mask)
    assert {tuple(p) for p in square.tolist()} == {(1.5, 2.5), (2.5, 2.5), (2.5, 3.5), (1.5, 3.5)}


def test_a_ring_is_two_polygons_that_run_against_each_other():
    mask = np.ones((7, 9), bool)
    mask[2:4, 3:8] = False
    outer, hole = sorted(outlines.trace(mask), key=shoelace, reverse=True)
    assert (shoelace(outer), shoelace(hole)) == (63, -10)
    assert len(outer) == len(hole) == 4  # corners only


def test_regions_that_touch_at_a_corner_stay_apart():
    assert [shoelace(p) for p in outlines.trace(np.eye(3, dtype=bool))] == [1, 1, 1]


def test_nothing_gives_nothing():
    assert outlines.trace(np.zeros((4, 4), bool)) == []


@pytest.mark.parametrize("density", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_random_masks_are_enclosed_exactly(density):
    mask = np.random.default_rng(3).random((41, 37)) < density
    polygons = outlines.trace(mask)
    areas = [shoelace(p) for p in polygons]
    assert sum(areas) == mask.sum()
    assert sum(area > 0 for area in areas) == label(mask, connectivity=1).max()
    background = label(~np.pad(mask, 1), connectivity=2).max()  # holes, and the outside
    assert sum(area < 0 for area in areas) == background - 1
    assert (geometry.fill_even_odd(polygons, mask.shape) == mask).all()
    by_another_library = np.zeros_like(mask)
    for points in polygons:
        by_another_library ^= polygon2mask(mask.shape, points)
    assert (by_another_library == mask).all()
