"""Pure functions between patient millimetres and voxels; no files, no DICOM objects."""

import numpy as np

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Left-posterior-superior (DICOM) to right-anterior-superior (NIfTI); its own inverse."""

ORTHOGONAL_TOLERANCE = 1e-3
"""Largest off-axis part of a direction cosine still called orthogonal: 0.06 degrees, which over a
500 mm field of view is half a millimetre, half a pixel of a lung CT."""

IN_PLANE_SHIFT_TOLERANCE_MM = 0.2
"""Largest sideways drift of a slice's origin off the stacking axis over the whole series. A gantry
tilted by one degree drifts 5 mm over a chest; rounding in the headers stays below 0.1 mm."""

SLICE_SPACING_TOLERANCE = 0.05
"""Largest departure of one slice step from the median step, as a share of that step. Headers that
round positions to 0.1 mm stay within it at 3 mm; a missing slice departs by 1.0."""

SLICE_DRIFT_TOLERANCE = 0.1
"""Largest distance of a slice from its place on the uniform grid, as a share of the slice step."""

GRID_TOLERANCE_MM = 0.01
"""Largest distance between equal corners of two grids called the same. Affines stored in float32
differ by 1e-4 mm; half a voxel, the smallest real fault, is 50 times more."""

MAX_VOXELS = 2**29
"""Largest volume that is read or made: 1 GiB as int16, 2,048 slices of 512 x 512."""


def slice_normal(orientation: np.ndarray) -> np.ndarray:
    """Return the unit normal of the slices, row x column direction (PS3.3 C.7.6.2.1.1).

    :param orientation: the six direction cosines of Image Orientation (Patient).
    """
    normal = np.cross(orientation[:3], orientation[3:])
    return normal / np.linalg.norm(normal)


def is_orthogonal(orientation: np.ndarray) -> bool:
    """Tell whether rows, columns and normal each run along one patient axis, in any direction.

    :param orientation: the six direction cosines of Image Orientation (Patient).
    """
    axes = np.abs(np.stack([orientation[:3], orientation[3:], slice_normal(orientation)]))
    nearest = np.zeros_like(axes)
    nearest[np.arange(3), axes.argmax(axis=1)] = 1.0
    one_each = (nearest.sum(axis=0) == 1).all()
    return bool(one_each and np.abs(axes - nearest).max() <= ORTHOGONAL_TOLERANCE)


def affine_from_slices(
    orientation: np.ndarray, pixel_spacing_mm: np.ndarray, origins_lps_mm: np.ndarray
) -> np.ndarray:
    """Return the 4x4 affine (LPS) of slices that are sorted along their normal and evenly spaced.

    :param orientation: six direction cosines, along a row (index i) then along a column (index j).
    :param pixel_spacing_mm: Pixel Spacing as DICOM has it: between rows (j), then columns (i).
    :param origins_lps_mm: (slices, 3) Image Position (Patient), two slices at least.
    """
    step_mm = slice_step_mm(origins_lps_mm @ slice_normal(orientation))
    affine = np.eye(4)
    affine[:3, 0] = orientation[:3] * pixel_spacing_mm[1]
    affine[:3, 1] = orientation[3:] * pixel_spacing_mm[0]
    affine[:3, 2] = slice_normal(orientation) * step_mm
    affine[:3, 3] = origins_lps_mm[0]
    return affine


def slice_step_mm(positions_mm: np.ndarray) -> float:
    """Return the mean distance between neighbours among sorted slice positions."""
    return float((positions_mm[-1] - positions_mm[0]) / (len(positions_mm) - 1))


def uneven_steps(positions_mm: np.ndarray) -> list[tuple[float, float]]:
    """Return the pairs of neighbouring positions whose distance is not the median distance.

    :param positions_mm: sorted slice positions along the normal.
    :return: (position before, position after) of each uneven step; where all steps are even but
        the slices drift off the uniform grid, the one pair is the first and last position.
    """
    steps = np.diff(positions_mm)
    median = np.median(steps)
    uneven = np.flatnonzero(np.abs(steps - median) > SLICE_SPACING_TOLERANCE * median)
    if len(uneven):
        return [(float(positions_mm[k]), float(positions_mm[k + 1])) for k in uneven]
    grid_mm = np.linspace(positions_mm[0], positions_mm[-1], len(positions_mm))
    if np.abs(positions_mm - grid_mm).max() > SLICE_DRIFT_TOLERANCE * median:
        return [(float(positions_mm[0]), float(positions_mm[-1]))]
    return []


def sideways_drift_mm(origins_lps_mm: np.ndarray, normal: np.ndarray) -> float:
    """Return the largest distance of a slice's origin from the normal through the first origin.

    :param origins_lps_mm: (slices, 3) Image Position (Patient).
    :param normal: (3,) unit normal of the slices.
    """
    offsets = origins_lps_mm - origins_lps_mm[0]
    return float(np.linalg.norm(offsets - np.outer(offsets @ normal, normal), axis=1).max())


def nearest_slice(position_mm: float, slice_positions_mm: np.ndarray) -> tuple[int, float]:
    """Return the index of the real slice nearest to a position, and the distance in mm.

    :param slice_positions_mm: (slices,) positions along the normal.
    """
    distances = np.abs(slice_positions_mm - position_mm)
    index = int(distances.argmin())
    return index, float(distances[index])


def to_index(points_mm: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the fractional voxel indices of points in mm, both (points, 3)."""
    inverse = np.linalg.inv(affine)
    return points_mm @ inverse[:3, :3].T + inverse[:3, 3]


def lps_to_ras(affine_lps: np.ndarray) -> np.ndarray:
    """Return the same grid's affine with RAS millimetres, as NIfTI has it."""
    return LPS_TO_RAS @ affine_lps


def spacing_mm(affine: np.ndarray) -> np.ndarray:
    """Return the (3,) voxel spacing along i, j and k."""
    return np.linalg.norm(affine[:3, :3], axis=0)


def voxel_volume_ml(affine: np.ndarray) -> float:
    """Return the volume of a voxel in millilitres."""
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000.0


def same_grid(affine_a: np.ndarray, affine_b: np.ndarray, shape: tuple) -> bool:
    """Tell whether two affines put all corners of a grid at the same place.

    :param shape: (x, y, z) of both grids.
    """
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1)
    difference = (affine_a - affine_b) @ np.vstack([corners, np.ones(8)])
    return bool(np.linalg.norm(difference[:3], axis=0).max() <= GRID_TOLERANCE_MM)


def fill_even_odd(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels whose centre lies inside an odd number of closed polygons.

    A pixel's centre has integer coordinates. Even-odd over all polygons is their XOR, so a contour
    within a contour is a hole, a keyhole's slit cancels itself, and a line of two points is empty.
    Tie rule: a centre on the edge of smaller index is inside, on that of larger index outside, so
    that regions with a common edge never both claim a pixel.

    Each edge toggles, in every row it crosses, the pixels to the right of the crossing.

    :param polygons: arrays (points, 2) of fractional pixel indices (i, j); the last point is joined
        to the first.
    :param shape: (x, y) of the slice.
    :return: bool (x, y).
    """
    width, height = shape
    start = np.concatenate(polygons)
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    falling = (start[:, 1] > end[:, 1])[:, np.newaxis]
    low, high = np.where(falling, end, start), np.where(falling, start, end)
    first_row = np.clip(np.ceil(low[:, 1]), 0, height).astype(int)
    last_row = np.clip(np.ceil(high[:, 1]), 0, height).astype(int)  # half open: not crossed itself
    crossings = last_row - first_row
    edge = np.repeat(np.arange(len(crossings)), crossings)
    within = np.arange(crossings.sum()) - np.repeat(np.cumsum(crossings) - crossings, crossings)
    row = first_row[edge] + within
    low, high = low[edge], high[edge]
    slope = (high[:, 0] - low[:, 0]) / (high[:, 1] - low[:, 1])
    column = np.clip(np.ceil(low[:, 0] + (row - low[:, 1]) * slope), 0, width).astype(int)
    toggles = np.bincount(column * height + row, minlength=(width + 1) * height)
    toggles = (toggles.reshape(width + 1, height)[:width] & 1).astype(bool)
    return np.logical_xor.accumulate(toggles, axis=0)
