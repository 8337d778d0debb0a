"""Turn a mask into closed polygons that enclose its pixel centres, and no others."""

import numpy as np

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""East, north, west and south in (i, j); the next step is a turn to the left."""


def trace(mask: np.ndarray) -> list[np.ndarray]:
    """Return the borders of a slice's mask along the edges of its pixels.

    Every border is a polygon of its own: one around each 4-connected region, one around each hole
    in it. A pixel centre lies inside an odd number of polygons exactly where the mask is true
    (:func:`data_prep.core.geometry.fill_even_odd`). It is half a pixel away from the nearest edge,
    so that neither rounding of the points nor a tie rule can change a pixel.

    :param mask: bool (x, y).
    :return: arrays (points, 2) of fractional pixel indices (i, j), corners only. The shoelace area
        is positive around regions and negative around holes.
    """
    edges = _edges(np.asarray(mask, bool))
    polygons = []
    # the lowest corner of a border comes first: the border turns there
    for first in sorted(edges):
        if first not in edges:
            continue
        i, j, heading = first
        points = []
        while True:
            edges.discard((i, j, heading))
            i, j = i + _STEPS[heading][0], j + _STEPS[heading][1]
            # where two regions touch at a corner, a left turn stays at the same region
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
    """Return the pixel edges between inside and outside, directed with the inside on the left.

    :return: (i, j, heading): corner (i - 0.5, j - 0.5) and an index of ``_STEPS``.
    """
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    beyond = padded[1:-1, :-2], padded[2:, 1:-1], padded[1:-1, 2:], padded[:-2, 1:-1]
    corners = ((0, 0), (1, 0), (1, 1), (0, 1))  # where each side's edge starts, from the pixel
    edges: set[tuple[int, int, int]] = set()
    for heading, (outside, corner) in enumerate(zip(beyond, corners, strict=True)):
        starts = np.argwhere(inside & ~outside) + corner
        edges.update((i, j, heading) for i, j in starts.tolist())
    return edges
