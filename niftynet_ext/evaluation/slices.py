"""The paper's 2-D protocol: each slice by itself (section 4.2, tables 1 to 3).

A slice is TP where both masks have a pixel, FN where only the reference has one, and FP where only
the prediction has one; slices without a pixel of either do not count. Dice2D is defined on TP and
FN slices (0 on FN), surface distances on TP slices; FN and FP slices are counted separately.
"""

import numpy as np
import numpy.typing as npt

from data_prep.core.masks import boundary, bounding_box, check_pair, check_spacing
from niftynet_ext.evaluation.surface import nearest_distances

TP, FN, FP = "TP", "FN", "FP"
"""The kinds of slices."""

DICE_2D, MSD_2D, HD95_2D = "dice_2d", "msd_2d_mm", "hd95_2d_mm"
"""Names of the measures in 2-D, of a slice and (their means) of a patient."""

SLICE_COLUMNS = ("slice", "kind", DICE_2D, MSD_2D, HD95_2D, "reference_mm2", "predicted_mm2")
"""Columns of the slices' table: index along z from 0, TP, FN or FP, the measures, areas in mm2."""


def slice_scores(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: npt.ArrayLike
) -> dict[str, np.ndarray]:
    """Score all slices along the last axis that have a pixel of either mask.

    The boundary of a slice is taken in the slice: pixels with a background neighbour among 4.

    :param prediction: boolean (x, y, z)
    :param reference: boolean (x, y, z)
    :param spacing_mm: voxel spacing along x, y and z
    :return: arrays (slices,) by :data:`SLICE_COLUMNS`: ``slice`` index along z, ``kind`` TP, FN or
        FP, ``dice_2d`` (nan on FP), ``msd_2d_mm`` and ``hd95_2d_mm`` (eq. 7 and 9; nan on FN and
        FP), areas in mm2
    :raises ValueError: not 3-D, shapes differ, not boolean, or a spacing is not positive
    """
    check_pair(prediction, reference)
    if prediction.ndim != 3:
        raise ValueError(f"masks must be (x, y, z), got shape {prediction.shape}")
    spacing: np.ndarray = check_spacing(spacing_mm, 3)
    box = bounding_box(prediction, reference)
    # slices first, each contiguous, which is how NIfTI has them in memory
    pair = [np.ascontiguousarray(mask[box].T) for mask in (prediction, reference)]
    predicted, wanted = (_pixels(mask) for mask in pair)
    common = _pixels(pair[0] & pair[1])
    kind = np.where(wanted == 0, FP, np.where(predicted == 0, FN, TP))
    used = (predicted > 0) | (wanted > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        dice = np.where(wanted > 0, 2.0 * common / (predicted + wanted), np.nan)
    msd, hd95 = np.full((2, len(kind)), np.nan)
    both = np.flatnonzero(used & (kind == TP))
    msd[both], hd95[both] = _distances(pair[0][both], pair[1][both], spacing[1::-1])
    area_mm2 = spacing[0] * spacing[1]
    columns = (
        np.arange(len(kind)) + box[2].start,
        kind,
        dice,
        msd,
        hd95,
        wanted * area_mm2,
        predicted * area_mm2,
    )
    return {name: column[used] for name, column in zip(SLICE_COLUMNS, columns, strict=True)}


def _pixels(mask: np.ndarray) -> np.ndarray:
    """Count the pixels of each slice.

    :param mask: boolean (z, y, x)
    :return: int (z,)
    """
    return np.array([np.count_nonzero(plane) for plane in mask], int)


def _distances(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Measure MSD and 95 % Hausdorff distance of each slice, all slices at once.

    :param prediction: boolean (slices, y, x), no slice empty
    :param reference: the same
    :param spacing_mm: along y and x
    :return: two arrays (slices,) in mm
    """
    # slices are placed so far apart that the nearest point is always in the slice itself, where the
    # third coordinate's difference is exactly 0: one search instead of one for each slice
    diagonal_mm = np.hypot(*(np.array(prediction.shape[1:]) * spacing_mm))
    scale = np.array([2.0 * diagonal_mm, *spacing_mm])
    found = [np.argwhere(boundary(mask, axes=(1, 2))) for mask in (prediction, reference)]
    distances = nearest_distances(found[0] * scale, found[1] * scale)
    msd, hd95 = np.zeros((2, len(prediction)))
    for points, directed in zip(found, distances, strict=True):
        starts = np.searchsorted(points[:, 0], np.arange(len(prediction)))
        sizes = np.diff(np.append(starts, len(points)))
        msd += np.add.reduceat(directed, starts) / sizes / 2 if len(directed) else 0.0
        hd95 += _percentiles(directed, points[:, 0], starts, sizes, 95) / 2
    return msd, hd95


def _percentiles(
    values: np.ndarray,
    group: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    percentile: float,
) -> np.ndarray:
    """Take ``np.percentile`` (linear between ranks) of each group.

    :param values: (n,), groups one after the other
    :param group: (n,) number of each value's group
    :param starts: (groups,) first value of each
    :param sizes: (groups,) number of values of each
    :return: (groups,)
    """
    ordered = values[np.lexsort((values, group))]
    rank = (sizes - 1) * (percentile / 100)
    below = starts + np.floor(rank).astype(int)
    above = starts + np.ceil(rank).astype(int)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank % 1)
