"""Distances between the surfaces of two masks, in mm (paper 4.2, eq. 5 to 9).

A surface is the set of the mask's boundary voxels (:func:`~.masks.boundary`), each a point at the
voxel's centre. Distance to an empty mask is the minimum over nothing in eq. 5: infinite. Between
two empty masks it is 0. So a missed tumour counts as the worst there is, and never drops out.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from data_prep.core.masks import boundary, boundary_points, bounding_box, check_pair, check_spacing

NEAR_MM = 20.0
"""Up to here a search tree finds the nearest point in about a microsecond, and as fast that there
is none; for a point farther off it takes up to 0.1 ms."""

MANY, DENSE = 50_000, 150
"""From so many boundary voxels on that are not near the other surface, where the box around both
masks has fewer than ``DENSE`` voxels for each, a map of the box is made in place of a search: noise
all over a CT would take minutes. So two surfaces that run along each other take time by their size,
however large the box is."""


class SurfaceDistances(NamedTuple):
    """Eq. 5 for every boundary voxel of either mask: 1-D arrays in mm."""

    from_prediction: np.ndarray
    from_reference: np.ndarray


def surface_distances(prediction, reference, spacing_mm):
    """Distance of each boundary voxel of one mask to the nearest of the other (eq. 5).

    :param prediction: boolean array, 2-D or 3-D
    :param reference: boolean array of the same shape
    :param spacing_mm: voxel spacing along each axis
    :return: :class:`SurfaceDistances`; those of an empty mask are none, those to one infinite
    :raises ValueError: shapes differ, values are not boolean, or a spacing is not positive
    """
    check_pair(prediction, reference)
    spacing_mm = check_spacing(spacing_mm, prediction.ndim)
    box = bounding_box(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    points = [boundary_points(one, spacing_mm) for one in (prediction, reference)]

    def mapped(far):
        """Return what is faster where many voxels are far from the other surface."""
        if far > MANY and prediction.size < DENSE * far:
            return _mapped_distances(prediction, reference, spacing_mm)
        return None

    return nearest_distances(*points, mapped)


def _mapped_distances(prediction, reference, spacing_mm):
    """What :func:`nearest_distances` finds, by a map of the nearest voxel for all voxels of a box.

    :param prediction: boolean array, not empty; the box holds all of both masks
    :param reference: the same
    :param spacing_mm: float array, voxel spacing along each axis
    :return: :class:`SurfaceDistances`
    """
    edges = [boundary(mask) for mask in (prediction, reference)]
    found = []
    for own, other in (edges, edges[::-1]):
        nearest = distance_transform_edt(
            ~other, spacing_mm, return_distances=False, return_indices=True
        )
        steps = (nearest[:, own] - np.array(np.nonzero(own))) * spacing_mm[:, None]
        found.append(np.sqrt((steps**2).sum(axis=0)))
    return SurfaceDistances(*found)


def nearest_distances(points, others, if_far=lambda far: None):
    """
    :param points: (n, dimensions) in mm
    :param others: (m, dimensions) in mm
    :param if_far: function from the number of points farther than :data:`NEAR_MM` from the other
        set to what is to be returned, or None to search for them too
    :return: :class:`SurfaceDistances`: (n,) from ``points`` to the nearest of ``others``, and (m,)
    """
    if not len(points) or not len(others):
        return SurfaceDistances(np.full(len(points), np.inf), np.full(len(others), np.inf))
    # cells are halved in space and not at the median: on a lattice, whose coordinates are mostly
    # ties, the tree is built in a fraction of the time and searched as fast
    searches = [
        (own, KDTree(other, balanced_tree=False))
        for own, other in ((points, others), (others, points))
    ]
    found = SurfaceDistances(
        *(tree.query(own, distance_upper_bound=NEAR_MM)[0] for own, tree in searches)
    )
    far = [np.isinf(distances) for distances in found]
    otherwise = if_far(sum(map(np.count_nonzero, far)))
    if otherwise is not None:
        return otherwise
    for distances, which, (own, tree) in zip(found, far, searches, strict=True):
        if which.any():
            distances[which] = tree.query(own[which])[0]
    return found


def mean_surface_distance(distances):
    """Mean of the two directed means (eq. 6 and 7).

    :param distances: :class:`SurfaceDistances`
    :return: float in mm; inf where one mask is empty, 0 where both are
    """
    return _undirected(distances, np.mean)


def hausdorff_distance(distances, percentile=95):
    """Mean of the two directed percentiles (eq. 8 and 9), linear between ranks.

    Other software takes the larger of the two, or the percentile of both sets together.

    :param distances: :class:`SurfaceDistances`
    :param percentile: 0 to 100; 100 gives the mean of the two directed maxima
    :return: float in mm; inf where one mask is empty, 0 where both are
    :raises ValueError: the percentile is out of range
    """
    return _undirected(distances, lambda one: np.percentile(one, percentile))


def _undirected(distances, statistic):
    sizes = [len(one) for one in distances]
    if not all(sizes):
        return np.inf if any(sizes) else 0.0
    return float((statistic(distances[0]) + statistic(distances[1])) / 2)
