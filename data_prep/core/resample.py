"""Resample a CT and its label to another grid (paper 3.4: 512 -> 256 in plane), and masks back.

The paper names no interpolation: cubic for the CT is the choice of the authors' release and of this
project. Paper 3.4 resizes the mask to 512 x 512; resizing the probability first and thresholding it
afterwards, which gives smoother edges, is this project's choice.

Axes are independent, so the weights of a grid are one small matrix for each axis: exact, for any
ratio of spacings, and many times faster than a filter that works in the plane or in the volume.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.core import geometry
from data_prep.core.errors import DataError
from data_prep.core.masks import bounding_box

MASK_THRESHOLD = 0.5
"""A native voxel is foreground where the resized probability exceeds this (value: paper 3.1)."""

PROBABILITY_TOLERANCE = 1e-5
"""How far beyond 0 or 1 float32 rounding may take a probability."""

RESAMPLE_METHODS = ("cubic", "antialiased")
"""Methods for an image: ``cubic`` samples the cubic B-spline through the native values at the new
centres, as the release does (a coarser grid aliases); ``antialiased`` is the convolution with a
cubic kernel (Keys, a = -0.5) as wide as the new voxel, the usual way to shrink photographs."""

_SAME_RATIO = 1e-6
_SMALL_WEIGHT = 1e-7  # of distant samples of the spline: less than 0.001 HU
_HALF_TOLERANCE = 1e-5  # rounding of a covered share in float32
_BLOCK = 32

Shape = tuple[int, int, int]
"""Number of voxels along x, y and z."""

_Band = tuple[slice, slice, np.ndarray]  # rows, the columns that they use, and their weights


@dataclass(frozen=True)
class Grid:
    """A grid that covers a native one, with larger or smaller voxels.

    The low edges of both grids coincide: voxel ``j`` has its centre at the native index
    ``ratio * j + (ratio - 1) / 2``.

    :param shape: (x, y, z).
    :param affine: (4, 4), voxel indices to mm in the frame of the native affine.
    :param ratio: (3,) size of a voxel in native voxels.
    """

    shape: Shape
    affine: np.ndarray
    ratio: tuple[float, float, float]


def coarse_grid(
    shape: Shape,
    affine: np.ndarray,
    factor: int,
    spacing_mm: tuple[float, float, float] | None,
) -> Grid:
    """Return the :func:`spaced_grid` if a spacing is given, else the :func:`reduced_grid`."""
    if spacing_mm is None:
        return reduced_grid(shape, affine, factor)
    return spaced_grid(shape, affine, spacing_mm)


def reduced_grid(shape: Shape, affine: np.ndarray, factor: int) -> Grid:
    """Return the grid whose voxels are ``factor`` x ``factor`` x 1 native voxels.

    :param shape: native (x, y, z); a voxel cut by the native edge counts as a whole one.
    """
    return _grid(shape, affine, (float(factor), float(factor), 1.0))


def spaced_grid(shape: Shape, affine: np.ndarray, spacing_mm: tuple[float, float, float]) -> Grid:
    """Return the grid with a given spacing along the native axes.

    :param shape: native (x, y, z).
    :raises DataError: the spacing is not positive, or so small that the volume becomes too large.
    """
    wanted = np.array(spacing_mm, float)
    native = geometry.spacing_mm(affine)
    if wanted.shape != (3,) or not (wanted > 0).all() or not np.isfinite(wanted).all():
        raise DataError(f"spacing is {spacing_mm} mm, expected three numbers above 0.")
    ratio = wanted / native
    ratio[np.abs(ratio - 1) < _SAME_RATIO] = 1.0
    voxels = float(np.prod(np.array(shape) / ratio))
    if voxels > geometry.MAX_VOXELS:
        raise DataError(
            f"spacing of {spacing_mm} mm gives this CT {voxels:.2g} voxels, expected at most "
            f"{geometry.MAX_VOXELS:.2g}. Choose a larger spacing."
        )
    x, y, z = ratio.tolist()
    return _grid(shape, affine, (x, y, z))


def _grid(shape: Shape, affine: np.ndarray, ratio: tuple[float, float, float]) -> Grid:
    to_native = np.diag([*ratio, 1.0])
    to_native[:3, 3] = (np.array(ratio) - 1) / 2
    x, y, z = (max(1, int(np.ceil(n / r - _SAME_RATIO))) for n, r in zip(shape, ratio, strict=True))
    return Grid((x, y, z), affine @ to_native, ratio)


def resample_image(array: np.ndarray, grid: Grid, method: str = "cubic") -> np.ndarray:
    """Resample a CT; overshoot is clipped to the range of the input.

    :param array: int16 (x, y, z) on the native grid.
    :param method: one of :data:`RESAMPLE_METHODS`.
    :return: int16 (x, y, z), x fastest in memory, of the grid's shape.
    :raises DataError: there is no such method.
    """
    weigh = {"cubic": _spline_weights, "antialiased": _antialiased_weights}.get(method)
    if weigh is None:
        raise DataError(f"method is {method!r}, expected {' or '.join(RESAMPLE_METHODS)}.")
    weights = [weigh(n, m, r) for n, m, r in zip(array.shape, grid.shape, grid.ratio, strict=True)]
    low, high = array.min(), array.max()
    return _apply(array, weights, np.int16, lambda block: np.clip(np.rint(block), low, high))


def resample_label(label: np.ndarray, grid: Grid) -> np.ndarray:
    """Resample a label by the exact share of each new voxel that it covers.

    A voxel is foreground where more than half of its part within the native grid is covered; it
    gets the class that covers most of it. Half-covered voxels are alternately foreground and
    background, as on a chessboard. Volume bias of the factor 2, mean over the GTVs of LUNG1-001,
    both IBSI references and three IBSI lung CTs: -3.1 % if they are always background, +2.8 % if
    always foreground, -1.7 % by the majority of 3x3 voxels, -0.1 % (-0.7 % to +0.2 %) alternately.

    :param label: bool or uint8 (x, y, z) on the native grid; 0 is background.
    :return: uint8 (x, y, z), x fastest in memory, of the grid's shape.
    """
    result = np.zeros(grid.shape[::-1], np.uint8).T
    extents = [np.flatnonzero(label.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not len(extents[0]):
        return result
    # only the box that the label covers, widened to whole new voxels
    new_box, native_box = [], []
    for found, n, m, r in zip(extents, label.shape, grid.shape, grid.ratio, strict=True):
        first, last = int(found[0] / r), min(m, int(np.ceil((found[-1] + 1) / r)))
        new_box.append(slice(first, last))
        native_box.append(slice(int(first * r), min(n, int(np.ceil(last * r)))))
    cropped = label[tuple(native_box)]
    weights = [
        _area_weights(n, r, new, old)
        for n, r, new, old in zip(label.shape, grid.ratio, new_box, native_box, strict=True)
    ]
    values = [int(value) for value in np.unique(cropped) if value]
    shares = [_apply(cropped == value, weights, np.float32) for value in values]
    covered = sum(shares)
    even = sum(np.ogrid[tuple(new_box)]) % 2 == 0
    half = np.abs(covered - 0.5) <= _HALF_TOLERANCE
    inside = (covered > 0.5 + _HALF_TOLERANCE) | (half & even)
    # where two classes cover equal shares the later one wins, as on the native grid
    winner = np.array(values, np.uint8)[::-1][np.argmax(shares[::-1], axis=0)]
    result[tuple(new_box)] = np.where(inside, winner, 0)
    return result


def _unchanged(block: np.ndarray) -> np.ndarray:
    return block


def _apply(
    array: np.ndarray,
    weights: Sequence[np.ndarray | None],
    dtype: npt.DTypeLike,
    finish: Callable[[np.ndarray], np.ndarray] = _unchanged,
) -> np.ndarray:
    """Apply one matrix (new, old) per axis; None leaves an axis as it is.

    :param array: (x, y, z).
    :param finish: applied to the float32 result, block by block, before it is converted.
    :return: (x, y, z) of ``dtype``, x fastest in memory.
    """
    across, down, along = weights
    size = [n if w is None else len(w) for n, w in zip(array.shape, weights, strict=True)]
    planes = np.empty((array.shape[2], size[1], size[0]), dtype if along is None else np.float32)
    bands = [_bands(across), _bands(down)]
    for k in range(array.shape[2]):
        plane = array[:, :, k].T.astype(np.float32)
        plane = _banded(bands[0], plane.T).T  # rows stay rows
        plane = _banded(bands[1], plane)
        planes[k] = plane if along is not None else finish(plane)
    if along is None:
        return planes.T
    result: np.ndarray = np.empty(size[::-1], dtype)
    for j in range(0, size[1], _BLOCK):  # in strips, so that no second whole volume is in memory
        strip = planes[:, j : j + _BLOCK]
        mixed = along @ strip.reshape(len(strip), -1)
        result[:, j : j + _BLOCK] = finish(mixed).reshape(size[2], *strip.shape[1:])
    return result.T


def _bands(weights: np.ndarray | None) -> list[_Band] | None:
    """Split a banded matrix into blocks of rows, each with the columns that it uses."""
    if weights is None:
        return None
    blocks = []
    for start in range(0, len(weights), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(weights)))
        used = np.flatnonzero(np.abs(weights[rows]).max(axis=0) > _SMALL_WEIGHT)
        columns = slice(used[0], used[-1] + 1)
        blocks.append((rows, columns, np.ascontiguousarray(weights[rows, columns])))
    return blocks


def _banded(blocks: list[_Band] | None, plane: np.ndarray) -> np.ndarray:
    """Multiply a banded matrix by a plane, float32 (old, others) to (new, others)."""
    if blocks is None:
        return plane
    result = np.empty((blocks[-1][0].stop, plane.shape[1]), np.float32)
    for rows, columns, block in blocks:
        np.matmul(block, plane[columns], out=result[rows])
    return result


def _centres(size: int, ratio: float, limit: int) -> np.ndarray:
    """Return the native indices of the new centres, at most that of the last native centre."""
    return np.minimum(ratio * np.arange(size) + (ratio - 1) / 2, limit - 1)


def _spline_weights(old: int, new: int, ratio: float) -> np.ndarray | None:
    """Return the matrix (new, old) of the cubic B-spline through ``old`` mirrored samples.

    Unser 1999, "Splines: a perfect fit for signal and image processing", eq. 11 and 22.
    """
    if ratio == 1.0:
        return None
    fit = np.zeros((old, old))
    rows = np.arange(old)
    for offset, weight in ((-1, 1 / 6), (0, 4 / 6), (1, 1 / 6)):
        np.add.at(fit, (rows, _mirrored(rows + offset, old)), weight)
    centres = np.clip(_centres(new, ratio, old), 0, None)
    below = np.floor(centres).astype(int)
    basis = np.zeros((new, old))
    for offset in (-1, 0, 1, 2):
        distance = np.abs(centres - (below + offset))
        weight = np.where(
            distance < 1, 2 / 3 - distance**2 + distance**3 / 2, (2 - distance).clip(0) ** 3 / 6
        )
        np.add.at(basis, (np.arange(new), _mirrored(below + offset, old)), weight)
    return np.linalg.solve(fit.T, basis.T).T.astype(np.float32)


def _mirrored(index: np.ndarray, size: int) -> np.ndarray:
    """Reflect indices at the first and the last sample, which are not repeated."""
    period = max(1, 2 * (size - 1))
    index = np.abs(index) % period
    return np.where(index >= size, period - index, index)


def _antialiased_weights(old: int, new: int, ratio: float) -> np.ndarray | None:
    """Return the matrix (new, old) of Keys' cubic, widened to the new voxel where that is larger.

    Keys 1981, "Cubic convolution interpolation", eq. 15. Samples beyond the edge have no weight.
    """
    if ratio == 1.0:
        return None
    centres = ratio * np.arange(new) + (ratio - 1) / 2
    t = np.abs(np.arange(old) - centres[:, np.newaxis]) / max(ratio, 1.0)
    near = (1.5 * t - 2.5) * t**2 + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    weights = np.where(t < 1, near, np.where(t < 2, far, 0.0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _area_weights(size: int, ratio: float, new: slice, old: slice) -> np.ndarray | None:
    """Return the matrix (new, old) of the shares that native voxels have in a new voxel.

    Of a new voxel that the native edge cuts, only the part within the native grid counts.
    """
    if ratio == 1.0:
        return None
    low = ratio * np.arange(new.start, new.stop)[:, np.newaxis]
    high = np.minimum(low + ratio, size)
    start = np.arange(old.start, old.stop)
    shared = np.clip(np.minimum(high, start + 1) - np.maximum(low, start), 0, None)
    return (shared / (high - low)).astype(np.float32)


def check_probability(probability: np.ndarray) -> None:
    """Refuse an array that holds no probabilities.

    :raises DataError: a value is not finite or outside [0, 1].
    """
    low, high = float(np.min(probability)), float(np.max(probability))
    tolerance = PROBABILITY_TOLERANCE
    if not (low >= -tolerance and high <= 1.0 + tolerance):  # false for NaN too
        raise DataError(
            f"probabilities range from {low:g} to {high:g}, expected 0 to 1. Use NiftyNet's output "
            "after softmax (output_prob = True), not logits."
        )


def to_native(
    probability: np.ndarray,
    coarse_affine: np.ndarray,
    native_shape: Shape,
    native_affine: np.ndarray,
) -> np.ndarray:
    """Resample a probability map linearly to the CT's own grid.

    :param probability: float (x, y, z) within [0, 1].
    :param coarse_affine: (4, 4) of ``probability``; in the same frame as ``native_affine``.
    :param native_shape: (x, y, z) of the CT.
    :param native_affine: (4, 4) of the CT.
    :return: float32 of ``native_shape``, x fastest in memory; 0 outside the coarse grid.
    :raises DataError: a value is not finite or outside [0, 1].
    """
    import SimpleITK as sitk  # noqa: N813  (its own abbreviation)

    check_probability(probability)
    coarse = sitk.GetImageFromArray(np.asarray(probability, np.float32).T)
    _place(coarse, coarse_affine)
    native = sitk.Image([int(n) for n in native_shape], sitk.sitkUInt8)
    _place(native, native_affine)
    resized = sitk.Resample(
        coarse, native, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32
    )
    return sitk.GetArrayFromImage(resized).T


def native_mask(probability: np.ndarray) -> np.ndarray:
    """Return the mask of a probability map that is on the native grid, bool of its shape."""
    return probability > MASK_THRESHOLD


def to_native_mask(
    probability: np.ndarray,
    coarse_affine: np.ndarray,
    native_shape: Shape,
    native_affine: np.ndarray,
) -> np.ndarray:
    """Return the :func:`native_mask` of :func:`to_native`, resampling only near the foreground.

    A value between voxels exceeds the threshold only next to a voxel that does: the box of these
    voxels, one voxel wider on all sides, holds the whole mask.

    :return: bool of ``native_shape``, x fastest in memory.
    :raises DataError: a value is not finite or outside [0, 1].
    """
    check_probability(probability)
    mask = np.zeros(native_shape, bool, order="F")
    box = bounding_box(native_mask(probability))
    if not probability[box].size:
        return mask
    low = np.maximum([extent.start - 1 for extent in box], 0)
    high = np.minimum([extent.stop + 1 for extent in box], probability.shape)
    # the outer faces of the box's first and last voxels, among the native voxels' centres
    faces = np.array([low - 0.5, high - 0.5]) @ coarse_affine[:3, :3].T + coarse_affine[:3, 3]
    ends = np.sort(geometry.to_index(faces, native_affine), axis=0)
    first = np.clip(np.ceil(ends[0] - 1e-6), 0, native_shape).astype(int)
    last = np.clip(np.floor(ends[1] + 1e-6) + 1, first, native_shape).astype(int)
    if (first == last).any():
        return mask
    x, y, z = (last - first).tolist()
    part = to_native(
        probability[tuple(map(slice, low, high))],
        _moved(coarse_affine, low),
        (x, y, z),
        _moved(native_affine, first),
    )
    mask[tuple(map(slice, first, last))] = native_mask(part)
    return mask


def _moved(affine: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the affine of the part of a grid that begins at an index."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ index
    return moved


def _place(image: Any, affine: np.ndarray) -> None:
    """Give a SimpleITK image the geometry of an affine whose columns are orthogonal.

    :param image: :class:`SimpleITK.Image`, changed in place.
    """
    spacing_mm = geometry.spacing_mm(affine)
    image.SetSpacing(spacing_mm.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing_mm).ravel().tolist())
