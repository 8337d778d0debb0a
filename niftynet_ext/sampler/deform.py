"""Random flipping, scaling, rotation and B-spline deformation as one map, on windows of a volume.

NiftyNet makes a new volume at each of these steps and cuts windows from the last. Here the steps
are composed: every voxel of a window is mapped to its point in the source volume, and the source is
interpolated there, once. The parameters are drawn in :mod:`.draw`.
"""

import functools
import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from niftynet_ext.core.spline import spline_weights
from niftynet_ext.sampler.interpolation import MARGIN, Map, cubic, fill, linear, nearest

INTERPOLATORS = {0: nearest, 1: linear, 3: cubic}
"""By the order of the spline."""

FWHM = 2 * math.sqrt(2 * math.log(2))
"""Full width at half maximum of a Gaussian, in standard deviations."""

TRUNCATE = 4.0
"""Where the Gaussian is cut off, in standard deviations: SciPy's default."""


@dataclass(frozen=True)
class Deformation:
    """What was drawn for one reading of a volume."""

    source_shape: tuple[int, ...]
    """Spatial shape of the volume as read."""
    flips: tuple[int, ...] = ()
    """Axes along which it is flipped."""
    zoom: tuple[float, ...] = (1.0, 1.0, 1.0)
    """Factor along each axis."""
    antialiasing: bool = False
    """Whether images are smoothed where all axes shrink."""
    rotation: np.ndarray | None = None
    """(3, 3) matrix of NiftyNet's rotation layer, or None."""
    lattice: np.ndarray | None = None
    """Displacements of B-spline control points along x, y, z: (3, g, g, g) voxels; or None."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape of the deformed volume: SciPy's rule for ``ndimage.zoom``."""
        return tuple(int(round(n * z)) for n, z in zip(self.source_shape, self.zoom, strict=True))

    @property
    def sigma(self) -> np.ndarray | None:
        """Standard deviations of the Gaussian against aliasing along x, y, z; None without it.

        Cardoso et al., "Scale factor point spread function matching", MICCAI 2015.
        """
        if not self.antialiasing or not all(factor < 1 for factor in self.zoom):
            return None
        return np.sqrt(np.divide(1.0, self.zoom) ** 2 - 1) / FWHM


def empty(shape: Sequence[int], dtype: npt.DTypeLike) -> np.ndarray:
    """Make an array of zeros in memory that returns to the system when the array is deleted.

    malloc keeps blocks of this size for the thread that freed them, and other threads of TensorFlow
    allocate new ones: the process would grow. TensorFlow uses the array without a copy, since
    memory pages have the alignment that it needs.

    :param shape: of the array
    :param dtype: type of its elements
    """
    sides, dtype = tuple(int(side) for side in shape), np.dtype(dtype)
    return np.ndarray(sides, dtype, mmap.mmap(-1, math.prod(sides) * dtype.itemsize))


def store(volume: np.ndarray, order: int) -> np.ndarray:
    """Bring a volume into the form that :func:`windows` takes.

    :param volume: (x, y, z) array
    :param order: order of the spline that will interpolate it: 0, 1 or 3
    :return: order 0: the array as it is; 1: float32 with a margin; 3: spline coefficients, float32
        with a margin
    """
    if order == 0:
        return np.ascontiguousarray(volume)
    if order == 3:
        volume = ndimage.spline_filter(volume, 3, output=np.float32, mode="mirror")
    return np.pad(volume.astype(np.float32, copy=False), MARGIN, mode="reflect")


def windows(
    stored: np.ndarray, order: int, deformation: Deformation, starts: np.ndarray, out: np.ndarray
) -> None:
    """Cut deformed windows.

    :param stored: from :func:`store`
    :param order: the same as there
    :param deformation: what was drawn
    :param starts: (n, 3) first voxels of the windows in the deformed volume
    :param out: (n, x, y, z) array to write to
    """
    size = out.shape[1:]
    if order and deformation.sigma is not None:
        stored = smooth(stored, deformation.sigma)
    low = starts.min(axis=0)
    extent = starts.max(axis=0) + size - low
    if np.prod(extent) > np.prod(out.shape):
        for start, window in zip(starts, out, strict=True):
            window[...] = box(stored, order, deformation, start, size)
    else:  # the windows overlap: interpolate what they share only once
        crop(box(stored, order, deformation, low, extent), starts - low, out)


def crop(volume: np.ndarray, starts: np.ndarray, out: np.ndarray) -> None:
    """Cut windows as they are.

    :param volume: (x, y, z) array
    :param starts: (n, 3) first voxels
    :param out: (n, x, y, z) array to write to
    """
    for start, window in zip(starts, out, strict=True):
        part = tuple(slice(a, a + n) for a, n in zip(start, window.shape, strict=True))
        window[...] = volume[part]


def box(
    stored: np.ndarray,
    order: int,
    deformation: Deformation,
    first: Sequence[int] | np.ndarray,
    size: Sequence[int] | np.ndarray,
) -> np.ndarray:
    """Interpolate a box of the deformed volume.

    :param stored: from :func:`store`
    :param order: the same as there
    :param deformation: what was drawn
    :param first: (3,) first voxel in the deformed volume
    :param size: (3,) sides in voxels
    :return: (x, y, z) array of the stored type
    """
    out = empty(tuple(size), stored.dtype)
    shape = tuple(int(side) for side in deformation.source_shape)
    mapping = composed(deformation, first, size)
    fill(INTERPOLATORS[order], order == 0, stored.reshape(-1), shape, mapping, out)
    return out


def smooth(stored: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Smooth like NiftyNet before it scales down.

    Smoothing the coefficients of a spline is the same as smoothing the image.

    :param stored: volume with a margin
    :param sigma: (3,) standard deviations in voxels
    :return: float32 array
    """
    if np.max(sigma) * TRUNCATE + 0.5 < 1:  # a Gaussian within one voxel
        return stored
    return ndimage.gaussian_filter(
        stored, sigma, truncate=TRUNCATE, mode="mirror", output=empty(stored.shape, np.float32)
    )


def composed(
    deformation: Deformation, first: Sequence[int] | np.ndarray, size: Sequence[int] | np.ndarray
) -> Map:
    """Compose all steps for a box; the arguments are those of :func:`box`."""
    target, source = np.array(deformation.shape), np.array(deformation.source_shape)
    lattice, weights, knots = control_points(deformation, first, size)
    rotation, shift, limit = np.eye(3), np.zeros(3), np.full(3, np.inf)
    low, high = -limit, limit
    if deformation.rotation is not None:
        centre = 0.5 * target  # NiftyNet's, half a voxel beyond the middle
        rotation, shift = deformation.rotation.T, centre - centre @ deformation.rotation
        low, high = np.zeros(3), target - 1.0
    flipped = np.isin(np.arange(3), deformation.flips)
    return Map(
        first=np.array(first, float),
        lattice=lattice,
        weights=weights,
        knots=knots,
        high=target - 0.5,
        rotation=np.ascontiguousarray(rotation, float),
        shift=shift,
        rotated_low=low,
        rotated_high=high,
        # SciPy's: the first and the last voxels stay where they are
        scale=(source - 1) / np.maximum(target - 1, 1),
        sign=np.where(flipped, -1.0, 1.0),
        offset=np.where(flipped, source - 1.0, 0.0),
    )


def control_points(
    deformation: Deformation, first: Sequence[int] | np.ndarray, size: Sequence[int] | np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Weigh the control points around each voxel of a box.

    :param deformation: what was drawn
    :param first: (3,) first voxel in the deformed volume
    :param size: (3,) sides in voxels
    :return: displacements (3, g, g, g), and for each axis the weights (n, 4) and first indices (n,)
        of the four control points around each voxel
    """
    lattice = deformation.lattice
    if lattice is None:
        lattice = np.zeros((3, 4, 4, 4))
    weights, knots = [], []
    for axis in range(3):
        origin, spacing = control_axis(deformation.shape[axis], lattice.shape[1] - 3)
        at = (first[axis] + np.arange(size[axis]) - origin) / spacing - 1
        knot = np.floor(at).astype(np.int64)
        weights.append(np.ascontiguousarray(spline_weights(at - knot).T))
        knots.append(knot)
    return np.ascontiguousarray(lattice, float), tuple(weights), tuple(knots)


@functools.lru_cache(maxsize=1024)
def control_axis(voxels: int, mesh: int) -> tuple[float, float]:
    """Return where ITK puts the control points along an axis: just beyond the outermost voxels.

    :param voxels: number of voxels along the axis
    :param mesh: intervals between control points inside the volume
    :return: position of the first control point and their spacing, in voxels
    """
    fixed = sitk.BSplineTransformInitializer(
        sitk.Image([voxels, 2, 2], sitk.sitkUInt8), [mesh] * 3
    ).GetFixedParameters()
    return fixed[3], fixed[6]
