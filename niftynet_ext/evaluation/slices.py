"""The paper's 2-D protocol: each slice by itself (paper 4.2, tables 1 to 3).

A slice is TP where both masks have a pixel in it, FN where only the reference has, FP where only
the prediction has; slices where neither has do not count. Dice2D is defined on TP and FN slices (0
on FN), surface distances on TP slices; FN and FP slices are counted beside them.
"""

import numpy as np

from data_prep.core.masks import boundary, bounding_box, check_pair, check_spacing
from niftynet_ext.evaluation.surface import nearest_distances

TP, FN, FP = "TP", "FN", "FP"

COLUMNS = ("slice", "kind", "dice_2d", "msd_2d_mm", "hd95_2d_mm", "reference_mm2", "predicted_mm2")


def slice_scores(prediction, reference, spacing_mm):
    """Scores of all slices along the last axis that hold a pixel of either mask.

    The boundary of a slice is taken in the slice: pixels with a background neighbour among 4.

    :param prediction: boolean (x, y, z)
    :param reference: boolean (x, y, z)
    :param spacing_mm: voxel spacing along x, y and z
    :return: dict of arrays of one length, by :data:`COLUMNS`: ``slice`` index along z, ``kind`` TP,
        FN or FP, ``dice_2d`` (nan on FP), ``msd_2d_mm`` and ``hd95_2d_mm`` (eq. 7 and 9; nan on FN
        and FP), areas
    :raises ValueError: not 3-D, shapes differ, not boolean, or a spacing is not positive
    """
    check_pair(prediction, reference)
    if prediction.ndim != 3:
        raise ValueError(f"masks must be (x, y, z), got shape {prediction.shape}")
    spacing_mm = check_spacing(spacing_mm, 3)
    box = bounding_box(prediction, reference)
    # slices first and each in one piece, which is how NIfTI has them in memory
    pair = [np.ascontiguousarray(mask[box].T) for mask in (prediction, reference)]
    predicted, wanted = (_pixels(mask) for mask in pair)
    common = _pixels(pair[0] & pair[1])
    kind = np.where(wanted == 0, FP, np.where(predicted == 0, FN, TP))
    used = (predicted > 0) | (wanted > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        dice = np.where(wanted > 0, 2.0 * common / (predicted + wanted), np.nan)
    msd, hd95 = np.full((2, len(kind)), np.nan)
    both = np.flatnonzero(used & (kind == TP))
    msd[both], hd95[both] = _distances(*(mask[both] for mask in pair), spacing_mm[1::-1])
    area_mm2 = spacing_mm[0] * spacing_mm[1]
    columns = (
        np.arange(len(kind)) + box[2].start,
        kind,
        dice,
        msd,
        hd95,
        wanted * area_mm2,
        predicted * area_mm2,
    )
    return {name: column[used] for name, column in zip(COLUMNS, columns, strict=True)}


def _pixels(mask):
    """
    :param mask: boolean (z, y, x)
    :return: number of pixels of each slice, int (z,)
    """
    return np.array([np.count_nonzero(one) for one in mask], int)


def _distances(prediction, reference, spacing_mm):
    """MSD and 95 % Hausdorff distance of each slice, all slices at once.

    :param prediction: boolean (slices, y, x), no slice empty
    :param reference: the same
    :param spacing_mm: along y and x
    :return: two arrays (slices,) in mm
    """
    # slices are set so far apart that the nearest point is always in the slice itself, where the
    # third coordinate's difference is exactly 0: one search in place of one for each slice
    diagonal_mm = np.hypot(*(np.array(prediction.shape[1:]) * spacing_mm))
    scale = np.array([2.0 * diagonal_mm, *spacing_mm])
    found = [np.argwhere(boundary(mask, axes=(1, 2))) for mask in (prediction, reference)]
    distances = nearest_distances(*(points * scale for points in found))
    msd, hd95 = np.zeros((2, len(prediction)))
    for points, one in zip(found, distances, strict=True):
        starts = np.searchsorted(points[:, 0], np.arange(len(prediction)))
        sizes = np.diff(np.append(starts, len(points)))
        msd += np.add.reduceat(one, starts) / sizes / 2 if len(one) else 0.0
        hd95 += _percentiles(one, points[:, 0], starts, sizes, 95) / 2
    return msd, hd95


def _percentiles(values, group, starts, sizes, percentile):
    """``np.percentile`` (linear between ranks) of each group.

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
