"""Put slices that are not evenly spaced on a regular grid, and interpolate between them.

Real slices keep their positions. Where slices are missing, the grid has their places too, and they
are interpolated; where steps are mixed, all of the grid is interpolated between the real slices.
"""

from dataclasses import dataclass

import numpy as np

from data_prep.core import geometry

MAX_FILLED_SHARE = 0.5
"""Largest share of a grid's slices that may be interpolated: with more, most of the volume would
not be measured. The worst series of NSCLC-Radiomics lacks 16 of 103 slices."""

_ON_A_SLICE = 1e-6


@dataclass(frozen=True)
class SliceLayout:
    """A regular grid of slices along the normal, and the real slices on it.

    :param step_mm: slice spacing of the grid.
    :param size: number of slices of the grid.
    :param places: (real slices,) their positions in steps from the first slice; whole numbers
        unless the steps are mixed.
    :param mixed: True if the steps between real slices are not multiples of one step.
    """

    step_mm: float
    size: int
    places: np.ndarray
    mixed: bool = False

    @property
    def real(self) -> np.ndarray:
        """Return which grid slices are real slices, bool (size,)."""
        whole = np.rint(self.places)
        real = np.zeros(self.size, bool)
        on_grid = (np.abs(self.places - whole) < _ON_A_SLICE) & (whole < self.size)
        real[whole[on_grid].astype(int)] = True
        return real

    @property
    def nearest(self) -> np.ndarray:
        """Return the grid slice nearest to each real slice, int (real slices,)."""
        return np.clip(np.rint(self.places), 0, self.size - 1).astype(int)


def slice_layout(positions_mm: np.ndarray) -> SliceLayout | None:
    """Find the regular grid of sorted slice positions.

    If all steps are multiples of the most common one, within the tolerances of
    :mod:`data_prep.core.geometry`, slices are missing; else the steps are mixed and the grid has
    their median.

    :param positions_mm: (slices,) rising, at least two.
    :return: None where more than ``MAX_FILLED_SHARE`` of the grid would be interpolated.
    """
    steps = np.diff(positions_mm)
    most = len(positions_mm) / (1 - MAX_FILLED_SHARE)
    for common in (float(np.median(steps)), float(steps.min())):
        if np.sum(steps / common) > 2 * most:
            continue
        counts = np.maximum(np.rint(steps / common).astype(int), 1)
        places = np.r_[0, np.cumsum(counts)]
        step_mm = float((positions_mm[-1] - positions_mm[0]) / places[-1])
        uneven = np.abs(steps - counts * step_mm).max()
        drift = np.abs(positions_mm - positions_mm[0] - places * step_mm).max()
        if (
            uneven <= geometry.SLICE_SPACING_TOLERANCE * step_mm
            and drift <= geometry.SLICE_DRIFT_TOLERANCE * step_mm
        ):
            size = int(places[-1]) + 1
            return SliceLayout(step_mm, size, places.astype(float)) if size <= most else None
    step_mm = float(np.median(steps))
    places = (positions_mm - positions_mm[0]) / step_mm
    if np.rint(places[-1]) + 1 > most:
        return None
    return SliceLayout(step_mm, int(np.rint(places[-1])) + 1, places, mixed=True)


def neighbours(places: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each grid slice the slice below it, and the weight of the slice above.

    :param places: (slices,) rising positions in grid steps, at least two.
    :param size: number of slices of the grid.
    :return: ``below`` int (size,), an index of ``places`` up to the last but one, and ``share``
        (size,) within [0, 1]: exactly 0 or 1 on a slice, and beyond the ends.
    """
    grid = np.arange(size)
    below = np.searchsorted(places, grid + _ON_A_SLICE, side="right") - 1
    below = np.clip(below, 0, len(places) - 2)
    share = (grid - places[below]) / (places[below + 1] - places[below])
    share = np.clip(share, 0.0, 1.0)
    share[share < _ON_A_SLICE] = 0.0
    share[share > 1 - _ON_A_SLICE] = 1.0
    return below, share


def spread_image(stack: np.ndarray, layout: SliceLayout) -> np.ndarray:
    """Put real slices on the regular grid, interpolated linearly between them.

    :param stack: int16 (real slices, y, x).
    :return: int16 (size, y, x); ``stack`` itself where it already is the grid.
    """
    below, share = neighbours(layout.places, layout.size)
    if layout.size == len(stack) and layout.real.all():
        return stack
    volume = np.empty((layout.size, *stack.shape[1:]), stack.dtype)
    for k, (low, t) in enumerate(zip(below, share, strict=True)):
        if t in (0.0, 1.0):
            volume[k] = stack[low + int(t)]
        else:
            volume[k] = np.rint((1 - t) * stack[low] + t * stack[low + 1])
    return volume


def between(
    low: np.ndarray, high: np.ndarray, share: float, spacing_mm: tuple[float, float]
) -> np.ndarray:
    """Interpolate a region between two planes, by its shape.

    Signed distances to the border are mixed linearly (Raya and Udupa 1990, "Shape-based
    interpolation of multidimensional objects"). If only one plane has the region, it reaches
    halfway to the other, as the region of a slice always does.

    :param low: bool (x, y), the region on the lower plane.
    :param high: bool (x, y), the region on the next plane.
    :param share: position between them, 0 at ``low``, 1 at ``high``.
    :param spacing_mm: of the pixels, along x and y.
    :return: bool (x, y).
    """
    if not low.any() or not high.any():
        return low.copy() if share < 0.5 else high.copy()
    from scipy.ndimage import distance_transform_edt

    result = np.zeros_like(low)
    either = low | high
    box = tuple(
        slice(max(0, found[0] - 1), found[-1] + 2)
        for found in (np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0)))
    )
    signed = []
    for region in (np.pad(low[box], 1), np.pad(high[box], 1)):
        inside, outside = (distance_transform_edt(part, spacing_mm) for part in (region, ~region))
        half_mm = min(spacing_mm) / 2  # the border runs between the centres that are measured to
        signed.append(np.where(region, inside - half_mm, half_mm - outside))
    mixed = (1 - share) * signed[0] + share * signed[1]
    result[box] = mixed[1:-1, 1:-1] > 0
    return result


@dataclass(frozen=True)
class DrawingPlanes:
    """The planes that regions can be drawn on: the real slices, and the places of missing slices.

    :param positions_mm: (planes,) rising, along the normal.
    :param places: (planes,) in steps of the grid.
    :param real: bool (planes,), False where a slice is missing.
    :param uids: SOP Instance UID of each plane, empty where a slice is missing.
    :param layout: the grid of the series.
    """

    positions_mm: np.ndarray
    places: np.ndarray
    real: np.ndarray
    uids: tuple[str, ...]
    layout: SliceLayout

    def nearest(self, position_mm: float) -> tuple[int, float]:
        """Return the index of the nearest plane and the distance to it in mm."""
        distances = np.abs(self.positions_mm - position_mm)
        index = int(distances.argmin())
        return index, float(distances[index])

    def holds(self, position_mm: float) -> bool:
        """Tell whether a position is within the slices, each half a step thick on both sides."""
        reach_mm = self.layout.step_mm * (0.5 + _ON_A_SLICE)
        low, high = self.positions_mm[0] - reach_mm, self.positions_mm[-1] + reach_mm
        return bool(low <= position_mm <= high)


def drawing_planes(
    positions_mm: np.ndarray, uids: tuple[str, ...], layout: SliceLayout
) -> DrawingPlanes:
    """Return the planes of a series.

    :param positions_mm: (slices,) of the real slices, rising.
    :param uids: SOP Instance UIDs of the real slices.
    :param layout: the grid of the series.
    """
    missing = np.flatnonzero(~layout.real) if not layout.mixed else np.array([], int)
    places = np.r_[layout.places, missing]
    order = np.argsort(places)
    all_mm = np.r_[positions_mm, positions_mm[0] + missing * layout.step_mm]
    all_uids = (*uids, *[""] * len(missing))
    real = order < len(positions_mm)
    return DrawingPlanes(
        all_mm[order], places[order], real, tuple(all_uids[k] for k in order), layout
    )


def spread_masks(
    masks: dict[int, np.ndarray],
    planes: DrawingPlanes,
    shape: tuple[int, int],
    spacing_mm: tuple[float, float],
) -> np.ndarray:
    """Put regions drawn on planes on the regular grid, and interpolate between them.

    :param masks: bool (x, y) by the plane's index; a real slice without a mask is empty, a missing
        slice without a mask is interpolated.
    :param shape: (x, y) of a slice.
    :param spacing_mm: of the pixels, along x and y.
    :return: bool (x, y, z), x fastest in memory.
    """
    known = [k for k, real in enumerate(planes.real) if real or k in masks]
    below, share = neighbours(planes.places[known], planes.layout.size)
    volume = np.zeros((planes.layout.size, *shape[::-1]), bool).T
    empty = np.zeros(shape, bool)
    for k, (index, t) in enumerate(zip(below, share, strict=True)):
        low, high = masks.get(known[index]), masks.get(known[index + 1])
        if t in (0.0, 1.0):
            on_slice = high if t else low
            if on_slice is not None:
                volume[:, :, k] = on_slice
        elif low is not None or high is not None:
            low, high = (empty if mask is None else mask for mask in (low, high))
            volume[:, :, k] = between(low, high, float(t), spacing_mm)
    return volume
