"""Volumes in the world, and the planes of them to show: computing only, no drawing.

Shown mm are RAS mm with the horizontal axis negated (radiological convention).
"""

from dataclasses import dataclass
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from data_prep.core import geometry
from data_prep.core.errors import DataError
from data_prep.core.overlap import dice

WINDOW_HU = (-400, 1500)
"""Level and width of the lung window."""

_BODY_HU = -300  # denser than this is body or table
_BODY_SHARE = 0.06  # of a profile: less is the table or noise
_BODY_MARGIN_MM = 8


class CanonicalVolume(NamedTuple):
    """An array whose indices rise along right, anterior and head.

    :param array: (x, y, z).
    :param origin_ras_mm: (3,) centre of the first voxel.
    :param spacing_mm: (3,).
    """

    array: np.ndarray
    origin_ras_mm: np.ndarray
    spacing_mm: np.ndarray


@dataclass(frozen=True)
class ShownVolume:
    """A CT or a mask on its grid, to be shown.

    :param array: (x, y, z), HU, or a mask (true above 0.5).
    :param affine_ras: (4, 4), voxel indices to RAS mm; axes in any order and direction.
    :raises DataError: the grid is oblique.
    """

    array: np.ndarray
    affine_ras: np.ndarray

    def __post_init__(self) -> None:
        edges = np.sort(np.abs(np.asarray(self.affine_ras, float)[:3, :3]), axis=0)
        if (edges[1] > geometry.ORTHOGONAL_TOLERANCE * edges[2]).any():
            raise DataError(
                f"oblique affine {np.round(self.affine_ras, 4).tolist()}, expected "
                "voxel edges along the patient's axes; resample it to draw it"
            )

    def canonical(self) -> CanonicalVolume:
        """Return the volume with indices rising along right, anterior and head."""
        numbers = self.array.astype(np.uint8) if self.array.dtype == bool else self.array
        image = nib.as_closest_canonical(nib.Nifti1Image(numbers, self.affine_ras))
        spacing_mm = voxel_sizes(image.affine)
        return CanonicalVolume(np.asarray(image.dataobj), image.affine[:3, 3], spacing_mm)


def dice_3d(prediction: ShownVolume, reference: ShownVolume) -> float | None:
    """Return the Dice of two masks on one grid, or None if their grids differ."""
    shape = prediction.array.shape
    if shape != reference.array.shape:
        return None
    if not geometry.same_grid(prediction.affine_ras, reference.affine_ras, shape):
        return None
    return dice(prediction.array > 0.5, reference.array > 0.5)


def volume_ml(mask: ShownVolume) -> float:
    """Return the volume of a mask in millilitres."""
    return float((mask.array > 0.5).sum()) * geometry.voxel_volume_ml(mask.affine_ras)


def focus(mask: ShownVolume) -> tuple[np.ndarray, np.ndarray] | None:
    """Return where to cut: the centroid, but its z is that of the slice with most voxels.

    :return: the centre (3,) in RAS mm and half the extent of the mask (3,) in mm; None for an empty
        mask.
    """
    array, origin, spacing = mask.canonical()
    voxels = np.argwhere(array > 0.5)
    if not len(voxels):
        return None
    centre = voxels.mean(axis=0)
    centre[2] = np.bincount(voxels[:, 2]).argmax()
    half = (np.ptp(voxels, axis=0) + 1) / 2
    return origin + centre * spacing, half * spacing


def body_mm(
    array: np.ndarray, origin_ras_mm: np.ndarray, spacing_mm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the box around the patient, from profiles that a table or noise does not change.

    :param array: HU (x, y, z), with indices as of :class:`CanonicalVolume`.
    :return: (3,) lower and (3,) upper corner, RAS mm.
    """
    dense, low = array > _BODY_HU, origin_ras_mm - spacing_mm / 2
    high = low + array.shape * spacing_mm
    for axis in (0, 1):
        profile = dense.mean(axis=tuple({0, 1, 2} - {axis}))
        inside = np.flatnonzero(profile > _BODY_SHARE)
        if len(inside):
            first, last = inside[0] - 0.5, inside[-1] + 0.5
            low[axis] = origin_ras_mm[axis] + first * spacing_mm[axis] - _BODY_MARGIN_MM
            high[axis] = origin_ras_mm[axis] + last * spacing_mm[axis] + _BODY_MARGIN_MM
    return low, high


def section(
    volume: CanonicalVolume, axes: tuple[int, int, int], position_mm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return a plane of a volume, ready to show.

    :param axes: RAS axes: horizontal, vertical, across the plane.
    :param position_mm: position of the plane along the axis across it, RAS mm.
    :return: (rows, columns) from the lower left, and the centres of the columns and of the rows in
        shown mm; None where the volume does not reach.
    """
    array, origin, spacing = volume
    h, v, across = axes
    index = round((position_mm - origin[across]) / spacing[across])
    if not 0 <= index < array.shape[across]:
        return None
    plane = array[(slice(None),) * across + (index,)]  # (horizontal, vertical)
    columns = -(origin[h] + spacing[h] * np.arange(plane.shape[0]))[::-1]
    rows = origin[v] + spacing[v] * np.arange(plane.shape[1])
    return plane[::-1].T, columns, rows


def view(low: np.ndarray, high: np.ndarray, ratio: float) -> tuple[float, float, float, float]:
    """Return the smallest view around a box that has the shape of a panel.

    :param low: (2,) lower left corner of the box, shown mm.
    :param high: (2,) upper right corner.
    :param ratio: width of a panel divided by its height.
    :return: left, right, bottom and top in shown mm.
    """
    centre, size = (low + high) / 2, high - low
    height = max(size[1], size[0] / ratio)
    return (
        centre[0] - height * ratio / 2,
        centre[0] + height * ratio / 2,
        centre[1] - height / 2,
        centre[1] + height / 2,
    )
