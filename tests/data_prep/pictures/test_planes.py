"""Masks in the world: what is scored, measured and cut."""

import numpy as np
import pytest

from data_prep.core import geometry
from data_prep.core.errors import DataError
from data_prep.pictures.planes import ShownVolume, dice_3d, focus, section, volume_ml

AFFINE_RAS = np.array([[-2.0, 0, 0, 10], [0, 3, 0, -5], [0, 0, 4, 100], [0, 0, 0, 1]])


def box(low, high):
    """A mask of the voxels from ``low`` to before ``high``, its first axis running to the left."""
    array = np.zeros((10, 8, 6), np.uint8)
    array[tuple(slice(*ends) for ends in zip(low, high, strict=True))] = 1
    return ShownVolume(array, AFFINE_RAS)


def test_dice_needs_one_grid():
    a, b, empty = box((1, 1, 1), (5, 3, 3)), box((3, 1, 1), (7, 3, 3)), box((0, 0, 0), (0, 0, 0))
    assert dice_3d(a, b) == 0.5
    assert dice_3d(a, empty) == dice_3d(empty, a) == 0
    assert dice_3d(empty, empty) == 1
    shifted = AFFINE_RAS.copy()
    shifted[0, 3] += 0.5
    assert dice_3d(a, ShownVolume(b.array, shifted)) is None
    assert dice_3d(a, ShownVolume(b.array[:-1], AFFINE_RAS)) is None
    turned = AFFINE_RAS.copy()
    turned[0, 0] += 0.005  # 0.045 mm at the far corner: more than between two equal grids
    assert dice_3d(a, ShownVolume(b.array, turned)) is None


def test_focus_and_volume_are_in_world_mm():
    mask = box((1, 2, 3), (5, 4, 4))
    centre, half = focus(mask)
    np.testing.assert_allclose(centre, [10 - 2 * 2.5, -5 + 3 * 2.5, 100 + 4 * 3])
    np.testing.assert_allclose(half, [4, 3, 2])
    assert volume_ml(mask) == pytest.approx(4 * 2 * 24 / 1000)
    assert focus(box((0, 0, 0), (0, 0, 0))) is None


def test_sections_show_left_on_the_right_and_end_with_the_grid():
    volume = box((0, 2, 3), (1, 3, 4)).canonical()
    plane, columns, rows = section(volume, (0, 1, 2), 112)
    row, column = np.argwhere(plane)[0]
    assert (columns[column], rows[row]) == (-10, 1)
    assert (np.diff(columns) > 0).all() and (np.diff(rows) > 0).all()
    assert section(volume, (0, 1, 2), 97) is None


def test_oblique_grid_is_refused():
    turned = np.eye(4)
    turned[:2, :2] = [[0.9, -0.1], [0.1, 0.9]]
    with pytest.raises(DataError, match="oblique"):
        ShownVolume(np.zeros((4, 4, 4)), turned)


def test_oblique_means_the_same_as_in_the_geometry_room(monkeypatch):
    turned = np.eye(4)
    turned[0, 1] = 2 * geometry.ORTHOGONAL_TOLERANCE
    with pytest.raises(DataError, match="oblique"):
        ShownVolume(np.zeros((4, 4, 4)), turned)
    monkeypatch.setattr(geometry, "ORTHOGONAL_TOLERANCE", 3 * geometry.ORTHOGONAL_TOLERANCE)
    ShownVolume(np.zeros((4, 4, 4)), turned)
