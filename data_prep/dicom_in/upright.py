"""Resample an oblique or tilted CT and its label to a grid along the patient's axes."""

from dataclasses import replace

import numpy as np

from data_prep.core import geometry
from data_prep.core.errors import DataError
from data_prep.dicom_in.pixels import OUTSIDE_HU
from data_prep.dicom_in.series import Volume


def is_upright(affine_lps: np.ndarray) -> bool:
    """Tell whether the axes of a grid are those of the patient, in any order and direction."""
    edges = affine_lps[:3, :3] / geometry.spacing_mm(affine_lps)
    across, down = edges[:, 0], edges[:, 1]
    sideways = np.abs(edges[:, 2] - np.sign(edges[:, 2] @ (n := np.cross(across, down))) * n).max()
    return geometry.is_orthogonal(np.r_[across, down]) and (
        sideways <= geometry.ORTHOGONAL_TOLERANCE
    )


def upright_grid(
    shape: tuple[int, int, int], affine_lps: np.ndarray
) -> tuple[tuple[int, int, int], np.ndarray]:
    """Return the grid along the patient's axes that holds all voxels of another grid.

    Each index axis gets the patient axis nearest to it, its sense, and its own spacing; that of the
    slices is measured along their normal.

    :param shape: (x, y, z).
    :param affine_lps: (4, 4), voxel indices to LPS mm.
    :return: shape (x, y, z) and affine of the new grid.
    :raises DataError: the grid would be too large.
    """
    edges = affine_lps[:3, :3]
    normal = np.cross(edges[:, 0], edges[:, 1])
    normal /= np.linalg.norm(normal)
    spacing_mm = geometry.spacing_mm(affine_lps)
    spacing_mm[2] = abs(float(edges[:, 2] @ normal))
    directions = np.column_stack([edges[:, 0], edges[:, 1], normal * np.sign(edges[:, 2] @ normal)])
    directions /= np.linalg.norm(directions, axis=0)
    axes = _nearest_axes(directions)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1)
    corners_mm = edges @ corners + affine_lps[:3, 3:]
    upright, size = np.eye(4), []
    for index, axis in enumerate(axes):
        sense = np.sign(directions[axis, index]) or 1.0
        along = np.sort(sense * corners_mm[axis])
        size.append(int(np.ceil((along[-1] - along[0]) / spacing_mm[index] - 1e-6)) + 1)
        upright[:3, index] = 0.0
        upright[axis, index] = sense * spacing_mm[index]
        upright[axis, 3] = sense * along[0]
    if float(np.prod(np.array(size, float))) > geometry.MAX_VOXELS:
        raise DataError(
            f"The upright grid would have {' x '.join(map(str, size))} voxels, expected at most "
            f"{geometry.MAX_VOXELS}. Resample the CT with another tool first."
        )
    x, y, z = size
    return (x, y, z), upright


def _nearest_axes(directions: np.ndarray) -> list[int]:
    """Return the patient axis of each index axis, each used once: largest cosines first."""
    cosines, axes = np.abs(directions), [0, 0, 0]
    for _ in range(3):
        axis, index = np.unravel_index(np.argmax(cosines), cosines.shape)
        axes[index] = int(axis)
        cosines[axis], cosines[:, index] = -1.0, -1.0
    return axes


def resample_upright(volume: Volume, label: np.ndarray | None) -> tuple[Volume, np.ndarray | None]:
    """Resample a CT and its label linearly to :func:`upright_grid`; outside is air.

    The classes of a label are resampled as shares; a voxel gets the class of the largest share if
    all classes together cover more than half of it, which preserves volumes.

    :param label: uint8 (x, y, z) on the volume's grid, or None.
    :return: both on the upright grid.
    """
    shape, affine_lps = upright_grid(volume.array.shape, volume.affine_lps)
    to_native = np.linalg.inv(volume.affine_lps) @ affine_lps
    array = _linear(volume.array, shape, to_native, OUTSIDE_HU)
    upright = replace(
        volume,
        array=np.rint(array).astype(np.int16),
        affine_lps=affine_lps,
        upright=False,
        warnings=(
            *volume.warnings,
            f"Oblique or tilted: resampled from {volume.array.shape} voxels to {shape} along the "
            "patient's axes.",
        ),
    )
    if label is None:
        return upright, None
    total = np.zeros(shape[::-1], np.float32).T
    largest, result = total.copy(), np.zeros(shape[::-1], np.uint8).T
    for value in (int(value) for value in np.unique(label) if value):
        share = _linear((label == value).astype(np.uint8), shape, to_native, 0)
        total += share
        result[share > largest] = value
        largest = np.maximum(largest, share)
    result[total <= 0.5] = 0
    return upright, result


def _linear(
    array: np.ndarray, shape: tuple[int, ...], to_native: np.ndarray, outside: float
) -> np.ndarray:
    """Interpolate an array linearly at the voxels of another grid; float32, x fastest in memory.

    :param to_native: (4, 4), from an index of the new grid to an index of the array.
    :param outside: value beyond the array.
    """
    import SimpleITK as sitk  # noqa: N813  (its own abbreviation)

    transform = sitk.AffineTransform(3)
    transform.SetMatrix(to_native[:3, :3].ravel().tolist())
    transform.SetTranslation(to_native[:3, 3].tolist())
    grid = sitk.Image([int(n) for n in shape], sitk.sitkUInt8)
    image = sitk.Resample(
        sitk.GetImageFromArray(array.T),
        grid,
        transform,
        sitk.sitkLinear,
        outside,
        sitk.sitkFloat32,
    )
    return sitk.GetArrayFromImage(image).T
