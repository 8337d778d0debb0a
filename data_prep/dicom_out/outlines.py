"""From a mask to the closed polygons that enclose its pixels, and nothing else."""

import numpy as np

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""East, north, west, south, in (i, j); the next one is a turn to the left."""


def trace(mask: np.ndarray) -> list[np.ndarray]:
    """Return the borders of a slice's mask along the edges of its pixels.

    Every border is a polygon of its own: one around each 4-connected region, one around each hole
    in it. A pixel centre lies inside an odd number of them exactly where the mask is true
    (:func:`data_prep.core.geometry.fill_even_odd`), half a pixel away from the nearest edge, so
    that no rounding of the points and no tie rule can change a pixel.

    :param mask: bool (x, y).
    :return: arrays (points, 2) of fractional pixel indices (i, j), corners only; regions run one
        way round (positive shoelace area), holes the other.
    """
    edges = _edges(np.asarray(mask, bool))
    polygons = []
    # the lowest corner of a border comes first: its edges turn there
    for first in sorted(edges):
        if first not in edges:
            continue
        i, j, heading = first
        points = []
        while True:
            edges.discard((i, j, heading))
            i, j = i + _STEPS[heading][0], j + _STEPS[heading][1]
            # where two regions touch at a corner, left stays with the region walked around
            turned = next(
                (heading + turn) % 4
                for turn in (1, 0, 3)
                if (i, j, (heading + turn) % 4) in edges or (i, j, (heading + turn) % 4) == first
            )
            if turned != heading:
                points.append((i, j))
            heading = turned
            if (i, j, heading) == first:
                break
        polygons.append(np.array(points) - 0.5)
    return polygons


def _edges(mask: np.ndarray) -> set[tuple[int, int, int]]:
    """Return the pixel edges between inside and outside, walked with the inside on the left.

    :return: (i, j, heading): corner (i - 0.5, j - 0.5) and an index of ``_STEPS``.
    """
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    beyond = padded[1:-1, :-2], padded[2:, 1:-1], padded[1:-1, 2:], padded[:-2, 1:-1]
    corners = ((0, 0), (1, 0), (1, 1), (0, 1))  # where each side's edge starts, from the pixel
    edges = set()
    for heading, (outside, corner) in enumerate(zip(beyond, corners, strict=True)):
        starts = np.argwhere(inside & ~outside) + corner
        edges.update((i, j, heading) for i, j in starts.tolist())
    return edges
