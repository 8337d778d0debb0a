"""Loops over the voxels of a box, compiled by Numba; they run without the interpreter's lock.

CPU time per voxel at order 3: these loops 0.04 us, displacement included; SciPy 0.2 us for given
points; SimpleITK 0.9 us (256 x 256 x 110 voxels: 0.3, 1.4 and 6.6 s).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

MARGIN = 2
"""Voxels beyond each end that the cubic weights of a point of the volume reach."""

FAST_MATH = {"contract", "reassoc", "nsz"}
"""All that LLVM may do: make a product and a sum one instruction, and reorder sums."""

numba_compiled = njit(nogil=True, fastmath=FAST_MATH, error_model="numpy")
"""Decorator of the loops. Scalars in them are Any: Numba chooses their types."""

Point = tuple[Any, Any, Any]
"""Coordinates x, y, z: floats of Numba."""

Size = tuple[int, ...]
"""Shape of a volume without its margin."""


class Map(NamedTuple):
    """From the voxels of a box to points of the source volume, by the steps in this order.

    Vectors are (3,) float64 arrays along x, y, z; the box is (nx, ny, nz) voxels.
    """

    first: np.ndarray
    """First voxel of the box."""
    lattice: np.ndarray
    """Displacements at control points, (3, gx, gy, gz), voxels."""
    weights: tuple[np.ndarray, ...]
    """Three (n, 4) arrays: weights of four control points for each voxel along an axis."""
    knots: tuple[np.ndarray, ...]
    """Three (n,) integer arrays: the index of the first of those four."""
    high: np.ndarray
    """A displaced point is inside from -0.5 up to here."""
    rotation: np.ndarray
    """(3, 3); rotated = rotation @ displaced + shift."""
    shift: np.ndarray
    rotated_low: np.ndarray
    """A rotated point is inside from here to ``rotated_high``."""
    rotated_high: np.ndarray
    scale: np.ndarray
    """In the source: sign * (scale * rotated) + offset."""
    sign: np.ndarray
    offset: np.ndarray


@numba_compiled
def nearest(source: np.ndarray, size: Size, point: Point) -> Any:
    """Return the value at a voxel.

    :param source: flat array of a volume without a margin
    :param size: its shape
    :param point: whole coordinates inside it
    """
    index = (int(point[0]) * size[1] + int(point[1])) * size[2] + int(point[2])
    return source[np.uint64(index)]


@numba_compiled
def linear(source: np.ndarray, size: Size, point: Point) -> Any:
    """Interpolate linearly.

    :param source: flat array of a volume with a margin of MARGIN voxels
    :param size: its shape without the margin
    :param point: coordinates; beyond the volume the outermost voxels are repeated
    """
    unit = np.float32(1)
    base, stride_x, stride_y, tx, ty, tz = locate(
        size,
        min(max(point[0], 0.0), size[0] - 1.0),
        min(max(point[1], 0.0), size[1] - 1.0),
        min(max(point[2], 0.0), size[2] - 1.0),
    )
    total = np.float32(0)
    for i, wx in enumerate((unit - tx, tx)):
        for j, wy in enumerate((unit - ty, ty)):
            at = base + np.uint64(i * stride_x + j * stride_y)
            total += wx * wy * ((unit - tz) * source[at] + tz * source[at + np.uint64(1)])
    return total


@numba_compiled
def cubic(source: npt.NDArray[np.float32], size: Size, point: Point) -> Any:
    """Return the value of a cubic spline.

    :param source: flat array of spline coefficients with a mirrored margin of MARGIN voxels
    :param size: its shape without the margin
    :param point: coordinates; beyond the volume it is mirrored at its outermost voxels
    """
    zero = np.float32(0)
    base, stride_x, stride_y, tx, ty, tz = locate(
        size,
        mirrored(point[0], size[0] - 1.0),
        mirrored(point[1], size[1] - 1.0),
        mirrored(point[2], size[2] - 1.0),
    )
    wx, wy, wz = weights_at(tx), weights_at(ty), weights_at(tz)
    first = base - np.uint64(stride_x + stride_y + 1)
    a, b, c, d = zero, zero, zero, zero
    for i in range(4):
        for j in range(4):
            weight = wx[i] * wy[j]
            at = first + np.uint64(i * stride_x + j * stride_y)
            a += weight * source[at]
            b += weight * source[at + np.uint64(1)]
            c += weight * source[at + np.uint64(2)]
            d += weight * source[at + np.uint64(3)]
    return wz[0] * a + wz[1] * b + wz[2] * c + wz[3] * d


@numba_compiled
def mirrored(value: Any, last: Any) -> Any:
    """Mirror a coordinate at the first voxel, 0, and at the last."""
    return last - abs(last - abs(value))


@numba_compiled
def locate(size: Size, x: Any, y: Any, z: Any) -> tuple[Any, ...]:
    """Find the voxel at or below a point.

    :param size: shape of a volume without its margin
    :param x: coordinate of the point, like y and z
    :return: index of the voxel in the flat array with margin, strides of that array along x and y,
        and the point's distance from the voxel along each axis
    """
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    stride_y = size[2] + 2 * MARGIN
    stride_x = (size[1] + 2 * MARGIN) * stride_y
    base = (int(fx) + MARGIN) * stride_x + (int(fy) + MARGIN) * stride_y + int(fz) + MARGIN
    return (
        np.uint64(base),
        stride_x,
        stride_y,
        np.float32(x - fx),
        np.float32(y - fy),
        np.float32(z - fz),
    )


@numba_compiled
def weights_at(t: Any) -> tuple[Any, Any, Any, Any]:
    """Return the cubic B-spline at four voxels: core.spline in float32, for compiled loops.

    :param t: float32 distance from the second of the four voxels, in [0, 1]
    """
    third, sixth, two, three = (np.float32(2 / 3), np.float32(1 / 6), np.float32(2), np.float32(3))
    u = np.float32(1) - t
    return (
        sixth * u * u * u,
        third - sixth * three * t * t * (two - t),
        third - sixth * three * u * u * (two - u),
        sixth * t * t * t,
    )


@numba_compiled
def displace_plane(mapping: Map, x: int, plane: np.ndarray) -> None:
    """Weigh the control points along x, for a single x of the box, into ``plane`` (3, gy, gz)."""
    weights, knot = mapping.weights[0][x], mapping.knots[0][x]
    for axis in range(3):
        for j in range(plane.shape[1]):
            for k in range(plane.shape[2]):
                total = 0.0
                for i in range(4):
                    total += weights[i] * mapping.lattice[axis, knot + i, j, k]
                plane[axis, j, k] = total


@numba_compiled
def displace_line(mapping: Map, y: int, plane: np.ndarray, line: np.ndarray) -> None:
    """Weigh the control points of ``plane`` along y, for a single y, into ``line`` (3, gz)."""
    weights, knot = mapping.weights[1][y], mapping.knots[1][y]
    for axis in range(3):
        for k in range(line.shape[1]):
            total = 0.0
            for j in range(4):
                total += weights[j] * plane[axis, knot + j, k]
            line[axis, k] = total


@numba_compiled
def trace(
    mapping: Map, rounding: bool, x: int, y: int, z: int, line: np.ndarray
) -> tuple[Any, Any, Any, Any]:
    """Map a voxel of the box to its point in the source.

    :param mapping: of the box
    :param rounding: whether to round to the nearest voxel after each step, as for labels: NiftyNet
        makes a volume at every step
    :param x: index of the voxel in the box, like y and z
    :param line: displacements of the control points along z at this x and y
    :return: whether the point lies inside, and its three coordinates
    """
    px, py, pz = mapping.first[0] + x, mapping.first[1] + y, mapping.first[2] + z
    knot = mapping.knots[2][z]
    for k in range(4):
        weight = mapping.weights[2][z, k]
        px += weight * line[0, knot + k]
        py += weight * line[1, knot + k]
        pz += weight * line[2, knot + k]
    high = mapping.high
    inside = (
        (px >= -0.5)
        & (px < high[0])
        & (py >= -0.5)
        & (py < high[1])
        & (pz >= -0.5)
        & (pz < high[2])
    )
    if rounding:
        px, py, pz = np.floor(px + 0.5), np.floor(py + 0.5), np.floor(pz + 0.5)
    turn, shift = mapping.rotation, mapping.shift
    qx = turn[0, 0] * px + turn[0, 1] * py + turn[0, 2] * pz + shift[0]
    qy = turn[1, 0] * px + turn[1, 1] * py + turn[1, 2] * pz + shift[1]
    qz = turn[2, 0] * px + turn[2, 1] * py + turn[2, 2] * pz + shift[2]
    low, high = mapping.rotated_low, mapping.rotated_high
    inside &= (
        (qx >= low[0])
        & (qx <= high[0])
        & (qy >= low[1])
        & (qy <= high[1])
        & (qz >= low[2])
        & (qz <= high[2])
    )
    scale, sign, offset = mapping.scale, mapping.sign, mapping.offset
    if rounding:
        qx, qy, qz = np.floor(qx + 0.5), np.floor(qy + 0.5), np.floor(qz + 0.5)
        return (
            inside,
            sign[0] * np.floor(qx * scale[0] + 0.5) + offset[0],
            sign[1] * np.floor(qy * scale[1] + 0.5) + offset[1],
            sign[2] * np.floor(qz * scale[2] + 0.5) + offset[2],
        )
    return (
        inside,
        sign[0] * qx * scale[0] + offset[0],
        sign[1] * qy * scale[1] + offset[1],
        sign[2] * qz * scale[2] + offset[2],
    )


@numba_compiled
def fill(
    take: Callable[..., Any],
    rounding: bool,
    source: np.ndarray,
    size: Size,
    mapping: Map,
    out: np.ndarray,
) -> None:
    """Interpolate every voxel of a box; 0 where its point lies outside.

    :param take: :func:`nearest`, :func:`linear` or :func:`cubic`
    :param rounding: whether ``take`` is :func:`nearest`
    :param source: flat array, as ``take`` needs it
    :param size: shape of the source volume, three integers
    :param mapping: of the box
    :param out: (nx, ny, nz) array to write to
    """
    nx, ny, nz = out.shape
    plane = np.empty((3, mapping.lattice.shape[2], mapping.lattice.shape[3]))
    line = np.empty((3, mapping.lattice.shape[3]))
    points, inside = np.empty((3, nz)), np.empty(nz, np.bool_)
    for x in range(nx):
        displace_plane(mapping, x, plane)
        for y in range(ny):
            displace_line(mapping, y, plane, line)
            for z in range(nz):  # not in the next loop, which cannot use vector instructions
                inside[z], points[0, z], points[1, z], points[2, z] = trace(
                    mapping, rounding, x, y, z, line
                )
            for z in range(nz):
                out[x, y, z] = (
                    take(source, size, (points[0, z], points[1, z], points[2, z]))
                    if inside[z]
                    else 0
                )
