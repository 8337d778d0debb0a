"""What all measures on masks share: checks of their input, bounding boxes and boundaries.

Only the box around the voxels of both masks is worked on, so that time grows with the tumour and
not with the volume around it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def check_pair(prediction: np.ndarray, reference: np.ndarray) -> None:
    """Refuse two masks that cannot be compared.

    :param prediction: boolean array of any shape.
    :param reference: boolean array of the same shape.
    :raises ValueError: shapes differ, or values are not boolean.
    """
    for name, mask in (("prediction", prediction), ("reference", reference)):
        if mask.dtype != bool:
            raise ValueError(
                f"{name} must be boolean, got {mask.dtype}: compare it first, e.g. {name} > 0.5"
            )
    if prediction.shape != reference.shape:
        raise ValueError(
            f"prediction has shape {prediction.shape}, reference {reference.shape}: "
            f"resample them to one grid first"
        )


def check_spacing(spacing_mm: npt.ArrayLike, rank: int) -> np.ndarray:
    """Check a voxel spacing and return it as an array.

    :param spacing_mm: voxel spacing along each axis.
    :param rank: number of axes of the masks.
    :return: float array (rank,).
    :raises ValueError: not one positive, finite number for each axis.
    """
    spacing_mm = np.asarray(spacing_mm, float)
    if spacing_mm.shape != (rank,) or not (np.isfinite(spacing_mm) & (spacing_mm > 0)).all():
        raise ValueError(
            f"spacing_mm must be {rank} positive numbers, one for each axis of the "
            f"masks, got {spacing_mm.tolist()}"
        )
    return spacing_mm


def bounding_box(*masks: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds all voxels of all masks.

    :param masks: boolean arrays of one shape.
    :return: one slice for each axis; of length 0 where all masks are empty.
    """
    # one pass in the order of memory; later axes are searched within the first one's extent only
    order = _memory_order(masks[0])
    views = [mask.transpose(order) for mask in masks]
    occupied = np.logical_or.reduce([v.any(axis=tuple(range(1, v.ndim))) for v in views])
    box = [slice(0, 0)] * len(order)
    if occupied.any():
        box[order[0]] = _extent(occupied)
        flat = np.logical_or.reduce([v[box[order[0]]].any(axis=0) for v in views])
        for position, axis in enumerate(order[1:]):
            others = tuple(k for k in range(flat.ndim) if k != position)
            box[axis] = _extent(flat.any(axis=others))
    return tuple(box)


def boundary(mask: np.ndarray, axes: Sequence[int] | None = None) -> np.ndarray:
    """Return the boundary voxels of a mask: those with a face on the background.

    They are the mask without its erosion by the face-connected cross (4 neighbours in 2-D, 6 in
    3-D). Everything beyond the edge of the array is background.

    :param mask: boolean array.
    :param axes: axes whose faces count, by default all; those of a slice for 2-D measures.
    :return: boolean array of the same shape.
    """
    if not mask.size:
        return mask
    inner = mask.copy(order="K")
    for axis in range(mask.ndim) if axes is None else axes:
        along, target = np.moveaxis(mask, axis, 0), np.moveaxis(inner, axis, 0)
        target[1:] &= along[:-1]
        target[:-1] &= along[1:]
        target[0] = target[-1] = False
    return mask & ~inner


def boundary_points(mask: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Return the centres of the boundary voxels in mm, measured from the centre of voxel 0.

    :param mask: boolean array.
    :param spacing_mm: float array (axes,), voxel spacing along each axis.
    :return: float array (points, axes).
    """
    box = bounding_box(mask)
    order = _memory_order(mask)
    cropped = np.ascontiguousarray(mask[box].transpose(order))
    places = np.unravel_index(np.flatnonzero(boundary(cropped)), cropped.shape)
    points = np.empty((len(places[0]), mask.ndim))
    for axis, place in zip(order, places, strict=True):
        points[:, axis] = (place + box[axis].start) * spacing_mm[axis]
    return points


def _memory_order(mask: np.ndarray) -> np.ndarray:
    """Return the axes, from the one whose neighbours are farthest apart in memory to the nearest.

    :return: int array (axes,).
    """
    return np.argsort([-abs(stride) for stride in mask.strides], kind="stable")


def _extent(occupied: np.ndarray) -> slice:
    """Return the slice from the first to the last true element.

    :param occupied: boolean (n,), true somewhere.
    """
    return slice(int(occupied.argmax()), len(occupied) - int(occupied[::-1].argmax()))
