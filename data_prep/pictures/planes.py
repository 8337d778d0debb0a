"""Arrays on grids in the world, and the planes to show of them: computing only, no drawing.

Shown mm are RAS mm with the horizontal axis negated (radiological convention).
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from data_prep.core import geometry
from data_prep.core.dice import dice
from data_prep.core.errors import DataError

WINDOW_HU = (-400, 1500)
"""Level and width of the lung window."""

_BODY_HU = -300  # denser than this is body or table


@dataclass(frozen=True)
class Grid:
    """An array on a grid in the world.

    :param array: ``(x, y, z)``, HU or a mask (true above 0.5)
    :param affine_ras: ``(4, 4)``, voxel indices to RAS mm; axes in any order and direction
    :raises DataError: if the grid is oblique
    """

    array: np.ndarray
    affine_ras: np.ndarray

    def __post_init__(self):
        edges = np.sort(np.abs(np.asarray(self.affine_ras, float)[:3, :3]), axis=0)
        if (edges[1] > geometry.ORTHOGONAL_TOLERANCE * edges[2]).any():
            raise DataError(
                f"oblique affine {np.round(self.affine_ras, 4).tolist()}, expected "
                "voxel edges along the patient's axes; resample it to draw it"
            )

    def canonical(self):
        """The same with indices rising along right, anterior, head.

        :return: array, first voxel centre in RAS mm ``(3,)``, spacing in mm ``(3,)``
        """
        numbers = self.array.astype(np.uint8) if self.array.dtype == bool else self.array
        image = nib.as_closest_canonical(nib.Nifti1Image(numbers, self.affine_ras))
        spacing_mm = nib.affines.voxel_sizes(image.affine)
        return np.asarray(image.dataobj), image.affine[:3, 3], spacing_mm


def dice_3d(prediction, reference):
    """Dice of two masks on one grid, or None if the grids differ."""
    shape = prediction.array.shape
    if shape != reference.array.shape:
        return None
    if not geometry.same_grid(prediction.affine_ras, reference.affine_ras, shape):
        return None
    return dice(prediction.array > 0.5, reference.array > 0.5)


def volume_ml(grid):
    """What a mask's voxels add up to."""
    return float((grid.array > 0.5).sum()) * geometry.voxel_volume_ml(grid.affine_ras)


def focus(grid):
    """Where to cut: the centroid, its z that of the largest slice, and half the extent in mm.

    :return: ``(3,)`` RAS mm and ``(3,)`` mm, or None for an empty mask
    """
    array, origin, spacing = grid.canonical()
    voxels = np.argwhere(array > 0.5)
    if not len(voxels):
        return None
    centre = voxels.mean(axis=0)
    centre[2] = np.bincount(voxels[:, 2]).argmax()
    half = (np.ptp(voxels, axis=0) + 1) / 2
    return origin + centre * spacing, half * spacing


def body_mm(array, origin, spacing):
    """The box that holds the patient, from profiles that a table or noise does not move.

    :return: ``(3,)`` lower and ``(3,)`` upper corner, RAS mm
    """
    dense, low = array > _BODY_HU, origin - spacing / 2
    high = low + array.shape * spacing
    for axis in (0, 1):
        profile = dense.mean(axis=tuple({0, 1, 2} - {axis}))
        inside = np.flatnonzero(profile > 0.06)
        if len(inside):
            low[axis] = origin[axis] + (inside[0] - 0.5) * spacing[axis] - 8
            high[axis] = origin[axis] + (inside[-1] + 0.5) * spacing[axis] + 8
    return low, high


def section(grid, axes, position_mm):
    """A plane of a canonical grid, ready to show.

    :param grid: array, origin and spacing as from :meth:`Grid.canonical`
    :param axes: RAS axes: horizontal, vertical, across
    :param position_mm: where along the axis across
    :return: ``(rows, columns)`` from the lower left, columns' and rows' centres in shown mm; or
        None where the grid does not reach
    """
    array, origin, spacing = grid
    h, v, across = axes
    index = round((position_mm - origin[across]) / spacing[across])
    if not 0 <= index < array.shape[across]:
        return None
    plane = array[(slice(None),) * across + (index,)]  # (horizontal, vertical)
    columns = -(origin[h] + spacing[h] * np.arange(plane.shape[0]))[::-1]
    rows = origin[v] + spacing[v] * np.arange(plane.shape[1])
    return plane[::-1].T, columns, rows


def view(low, high, ratio):
    """The smallest window of a cell's shape around a box: left, right, bottom, top in shown mm."""
    centre, size = (low + high) / 2, high - low
    height = max(size[1], size[0] / ratio)
    return (
        centre[0] - height * ratio / 2,
        centre[0] + height * ratio / 2,
        centre[1] - height / 2,
        centre[1] + height / 2,
    )
