"""Boxes and boundaries against brute force and SciPy."""

import numpy as np
import pytest
from scipy import ndimage

from data_prep.core import masks
from tests.support.shapes import blobs, box

ORDERS = [(0, 1, 2), (2, 1, 0), (1, 2, 0)]


@pytest.mark.parametrize("order", ORDERS)
def test_bounding_box_is_the_smallest_whatever_the_memory_order(order):
    a = np.zeros((7, 8, 9), bool).transpose(order)
    b = a.copy(order="K")
    a[tuple(np.minimum(a.shape, 6) - (1, 2, 3))] = True
    b[1, 3, 2] = True
    places = np.argwhere(a | b)
    expected = tuple(
        slice(low, high + 1) for low, high in zip(places.min(0), places.max(0), strict=True)
    )
    assert masks.bounding_box(a, b) == expected


def test_bounding_box_of_nothing_is_empty():
    assert np.zeros((3, 4), bool)[masks.bounding_box(np.zeros((3, 4), bool))].size == 0


@pytest.mark.parametrize("shape", [(12, 9), (8, 9, 10)])
def test_boundary_is_the_mask_without_its_erosion(shape):
    mask = blobs(shape, seed=1)
    assert np.array_equal(masks.boundary(mask), mask & ~ndimage.binary_erosion(mask))


def test_boundary_in_the_slice_only():
    mask = box((6, 6, 4), (1, 5), (1, 5), (0, 4))
    for k in range(4):
        border = masks.boundary(mask, axes=(0, 1))[..., k]
        assert np.array_equal(border, masks.boundary(mask[..., k])) and border.sum() == 12


@pytest.mark.parametrize("order", ORDERS)
def test_boundary_points_are_voxel_centres_in_mm(order):
    mask = blobs((7, 8, 9), seed=2).transpose(order)
    spacing = np.array([0.5, 2.0, 3.0])
    points = masks.boundary_points(mask, spacing)
    expected = np.argwhere(mask & ~ndimage.binary_erosion(mask)) * spacing
    assert sorted(map(tuple, points)) == sorted(map(tuple, expected))


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 0), (1, 1, -1), (1, 1, np.nan), 1])
def test_bad_spacing(spacing):
    with pytest.raises(ValueError, match="spacing_mm must be 3 positive numbers"):
        masks.check_spacing(spacing, 3)
