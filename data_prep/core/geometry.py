"""Conversions between patient millimetres and voxels: pure functions on arrays."""

import numpy as np

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Left-posterior-superior (DICOM) to right-anterior-superior (NIfTI); its own inverse."""

ORTHOGONAL_TOLERANCE = 1e-3
"""Largest off-axis part of a direction cosine that still counts as orthogonal: 0.06 degrees, which
over a 500 mm field of view is half a millimetre, half a pixel of a lung CT."""

IN_PLANE_SHIFT_TOLERANCE_MM = 0.2
"""Largest sideways drift of a slice's origin off the stacking axis over the whole series. A gantry
tilt of one degree gives 5 mm over a chest; rounding in the headers stays below 0.1 mm."""

SLICE_SPACING_TOLERANCE = 0.05
"""Largest difference of a slice step from the median step, as a share of the median. Headers that
round positions to 0.1 mm stay within it at 3 mm; a missing slice differs by 1.0."""

SLICE_DRIFT_TOLERANCE = 0.1
"""Largest distance of a slice from its place on the uniform grid, as a share of the slice step."""

GRID_TOLERANCE_MM = 0.01
"""Largest distance between the same corners of two grids that count as equal. Affines stored in
float32 differ by 1e-4 mm; half a voxel, the smallest real fault, is 50 times more."""

_MAX_CROSSINGS = 2**20  # of edges and rows, worked on at a time

MAX_VOXELS = 2**29
"""Largest volume that is read or created: 1 GiB as int16, 2,048 slices of 512 x 512."""


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
    all_different = (nearest.sum(axis=0) == 1).all()
    return bool(all_different and np.abs(axes - nearest).max() <= ORTHOGONAL_TOLERANCE)


def is_orthonormal(orientation: np.ndarray) -> bool:
    """Tell whether row and column direction have length 1 and are perpendicular.

    :param orientation: the six direction cosines of Image Orientation (Patient).
    """
    axes = np.reshape(orientation, (2, 3))
    return bool(np.abs(axes @ axes.T - np.eye(2)).max() <= ORTHOGONAL_TOLERANCE)


def affine_from_slices(
    orientation: np.ndarray,
    pixel_spacing_mm: np.ndarray,
    origin_lps_mm: np.ndarray,
    step_lps_mm: np.ndarray,
) -> np.ndarray:
    """Return the 4x4 affine (voxel indices to LPS mm) of evenly spaced slices.

    :param orientation: six direction cosines, along a row (index i) then along a column (index j).
    :param pixel_spacing_mm: (2,) Pixel Spacing as in DICOM: between rows (j), then columns (i).
    :param origin_lps_mm: (3,) Image Position (Patient) of the first slice.
    :param step_lps_mm: (3,) from one slice to the next.
    """
    affine = np.eye(4)
    affine[:3, 0] = orientation[:3] * pixel_spacing_mm[1]
    affine[:3, 1] = orientation[3:] * pixel_spacing_mm[0]
    affine[:3, 2] = step_lps_mm
    affine[:3, 3] = origin_lps_mm
    return affine


def uneven_steps(positions_mm: np.ndarray) -> list[tuple[float, float]]:
    """Return the pairs of neighbouring positions whose distance is not the median distance.

    :param positions_mm: (slices,) sorted positions along the normal.
    :return: (position before, position after) of each uneven step.
    """
    steps = np.diff(positions_mm)
    median = np.median(steps)
    uneven = np.flatnonzero(np.abs(steps - median) > SLICE_SPACING_TOLERANCE * median)
    return [(float(positions_mm[k]), float(positions_mm[k + 1])) for k in uneven]


def sideways_drift_mm(origins_lps_mm: np.ndarray, direction: np.ndarray) -> float:
    """Return the largest distance of a slice's origin from a line through the first origin.

    :param origins_lps_mm: (slices, 3) Image Position (Patient).
    :param direction: (3,) unit vector along the line: the normal, or that of a tilted stack.
    :return: mm, perpendicular to the line.
    """
    offsets = origins_lps_mm - origins_lps_mm[0]
    along = np.outer(offsets @ direction, direction)
    return float(np.linalg.norm(offsets - along, axis=1).max())


def to_index(points_mm: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the fractional voxel indices of points in mm.

    :param points_mm: (points, 3), in the frame of the affine.
    :param affine: (4, 4), voxel indices to mm.
    :return: (points, 3).
    """
    inverse = np.linalg.inv(affine)
    return points_mm @ inverse[:3, :3].T + inverse[:3, 3]


def lps_to_ras(affine_lps: np.ndarray) -> np.ndarray:
    """Return the affine of the same grid in RAS millimetres, as NIfTI stores it."""
    return LPS_TO_RAS @ affine_lps


def spacing_mm(affine: np.ndarray) -> np.ndarray:
    """Return the (3,) voxel spacing along i, j and k."""
    return np.linalg.norm(affine[:3, :3], axis=0)


def voxel_volume_ml(affine: np.ndarray) -> float:
    """Return the volume of a voxel in millilitres."""
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000.0


def same_grid(affine_a: np.ndarray, affine_b: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Tell whether two affines map all corners of a grid to the same places.

    :param shape: (x, y, z) of both grids.
    """
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1)
    difference = (affine_a - affine_b) @ np.vstack([corners, np.ones(8)])
    return bool(np.linalg.norm(difference[:3], axis=0).max() <= GRID_TOLERANCE_MM)


def fill_even_odd(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels whose centre lies inside an odd number of closed polygons.

    A pixel's centre has integer coordinates. Even-odd over all polygons is their XOR, so a contour
    within a contour is a hole, the slit of a keyhole contour cancels itself, and a line of two
    points is empty. Tie rule: a centre on an edge of smaller index is inside, one on an edge of
    larger index is outside, so that a pixel is never inside both of two regions with a common edge.

    Each edge toggles, in every row that it crosses, the pixels to the right of the crossing.

    :param polygons: arrays (points, 2) of fractional pixel indices (i, j); the last point is joined
        to the first.
    :param shape: (x, y) of the slice.
    :return: bool (x, y).
    """
    result = np.zeros(shape, bool)
    points = np.concatenate(polygons)
    # pixels that can be inside: centres from low (included) to high (excluded)
    low = np.clip(np.floor(points.min(axis=0)), 0, shape).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)) + 1, 0, shape).astype(int)
    if (low >= high).any():
        return result
    start = points - low
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons]) - low
    inside = _toggles(start, end, *(high - low))
    result[low[0] : high[0], low[1] : high[1]] = np.logical_xor.accumulate(inside, axis=0)
    return result


def _toggles(start: np.ndarray, end: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return where inside and outside alternate along x, bool (width, height)."""
    falling = (start[:, 1] > end[:, 1])[:, np.newaxis]
    low, high = np.where(falling, end, start), np.where(falling, start, end)
    first_row = np.clip(np.ceil(low[:, 1]), 0, height).astype(int)
    last_row = np.clip(np.ceil(high[:, 1]), 0, height).astype(
        int
    )  # half-open: the last row is not crossed
    crossings = last_row - first_row
    # a malicious contour can cross every row with every edge: chunks keep the memory bounded
    chunk = np.cumsum(crossings) // _MAX_CROSSINGS
    toggles = np.zeros((width + 1) * height, bool)
    for number in range(int(chunk[-1]) + 1):
        edge = np.repeat(np.flatnonzero(chunk == number), crossings[chunk == number])
        first = np.flatnonzero(np.r_[True, edge[1:] != edge[:-1]]) if len(edge) else edge
        within = np.arange(len(edge)) - np.repeat(first, np.diff(np.r_[first, len(edge)]))
        row = first_row[edge] + within
        a, b = low[edge], high[edge]
        slope = (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
        column = np.clip(np.ceil(a[:, 0] + (row - a[:, 1]) * slope), 0, width).astype(int)
        toggles ^= (np.bincount(column * height + row, minlength=len(toggles)) & 1).astype(bool)
    return toggles.reshape(width + 1, height)[:width]
