"""Distances between the surfaces of two masks, in mm (paper 4.2, eq. 5 to 9).

A surface is the set of the mask's boundary voxels (:func:`data_prep.core.masks.boundary`), each a
point at the voxel's centre. The distance to an empty mask is infinite: eq. 5 takes the minimum over
an empty set. Between two empty masks it is 0. A missed tumour thus counts as the worst result, and
is never left out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from data_prep.core.masks import boundary, boundary_points, bounding_box, check_pair, check_spacing

NEAR_MM = 20.0
"""Up to this distance a search tree finds the nearest point, or that there is none, in about a
microsecond; for a point farther away it takes up to 0.1 ms."""

MANY = 50_000
"""Number of boundary voxels that are not near the other surface above which a map of the box may
replace the search: noise all over a CT would take minutes."""

DENSE = 150
"""The map is made only where the box around both masks has fewer voxels than this for each of those
boundary voxels: the time for two surfaces that run along each other then depends on their size, and
not on that of the box."""


class SurfaceDistances(NamedTuple):
    """Eq. 5 for every boundary voxel of either mask: 1-D arrays in mm."""

    from_prediction: np.ndarray
    from_reference: np.ndarray


def surface_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: npt.ArrayLike
) -> SurfaceDistances:
    """Distance of each boundary voxel of one mask to the nearest of the other (eq. 5).

    :param prediction: boolean array, 2-D or 3-D
    :param reference: boolean array of the same shape
    :param spacing_mm: voxel spacing along each axis
    :return: the distances; an empty mask has none, and those to an empty mask are infinite
    :raises ValueError: shapes differ, values are not boolean, or a spacing is not positive
    """
    check_pair(prediction, reference)
    spacing: np.ndarray = check_spacing(spacing_mm, prediction.ndim)
    box = bounding_box(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    points = [boundary_points(mask, spacing) for mask in (prediction, reference)]

    def map_if_faster(far: int) -> SurfaceDistances | None:
        """Map the box where many voxels are far from the other surface."""
        if far > MANY and prediction.size < DENSE * far:
            return _mapped_distances(prediction, reference, spacing)
        return None

    return nearest_distances(points[0], points[1], map_if_faster)


def _mapped_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: np.ndarray
) -> SurfaceDistances:
    """Find what :func:`nearest_distances` finds, by a map of the nearest voxel for all voxels.

    :param prediction: boolean array, not empty; the box holds all of both masks
    :param reference: the same
    :param spacing_mm: (dimensions,) voxel spacing along each axis
    :return: the distances, in the order of the boundary voxels in memory
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


def nearest_distances(
    points: np.ndarray,
    others: np.ndarray,
    if_far: Callable[[int], SurfaceDistances | None] = lambda far: None,
) -> SurfaceDistances:
    """Search the distance from each point of two sets to the nearest of the other set.

    :param points: (n, dimensions) in mm
    :param others: (m, dimensions) in mm
    :param if_far: called with the number of points farther than :data:`NEAR_MM` from the other set;
        returns the result, or None to search for those points too
    :return: (n,) from ``points`` to the nearest of ``others``, and (m,) the other way
    """
    if not len(points) or not len(others):
        return SurfaceDistances(np.full(len(points), np.inf), np.full(len(others), np.inf))
    # cells are halved in space and not at the median: on a lattice, where most coordinates are
    # ties, the tree is built in a fraction of the time and searched as fast
    searches = [
        (own, KDTree(other, balanced_tree=False))
        for own, other in ((points, others), (others, points))
    ]
    nearest = [
        np.asarray(tree.query(own, distance_upper_bound=NEAR_MM)[0]) for own, tree in searches
    ]
    found = SurfaceDistances(nearest[0], nearest[1])
    far = [np.isinf(distances) for distances in found]
    mapped = if_far(sum(map(np.count_nonzero, far)))
    if mapped is not None:
        return mapped
    for distances, is_far, (own, tree) in zip(found, far, searches, strict=True):
        if is_far.any():
            distances[is_far] = tree.query(own[is_far])[0]
    return found


def mean_surface_distance(distances: SurfaceDistances) -> float:
    """Average the two directed means (eq. 6 and 7).

    :param distances: of :func:`surface_distances`
    :return: mm; inf where one mask is empty, 0 where both are
    """
    return _undirected(distances, np.mean)


def hausdorff_distance(distances: SurfaceDistances, percentile: float = 95) -> float:
    """Average the two directed percentiles (eq. 8 and 9), linear between ranks.

    Other software takes the larger of the two, or the percentile of both sets together.

    :param distances: of :func:`surface_distances`
    :param percentile: 0 to 100; 100 gives the mean of the two directed maxima
    :return: mm; inf where one mask is empty, 0 where both are
    :raises ValueError: the percentile is out of range
    """
    return _undirected(distances, lambda directed: np.percentile(directed, percentile))


def _undirected(distances: SurfaceDistances, statistic: Callable[[np.ndarray], Any]) -> float:
    sizes = [len(directed) for directed in distances]
    if not all(sizes):
        return np.inf if any(sizes) else 0.0
    return float((statistic(distances[0]) + statistic(distances[1])) / 2)
