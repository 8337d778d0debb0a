"""Loops over the voxels of a box, compiled by Numba; they run without the interpreter's lock.

CPU time a voxel at order 3: these loops 0.04 us, displacement included; SciPy 0.2 us, points given;
SimpleITK 0.9 us (256 x 256 x 110 voxels: 0.3, 1.4 and 6.6 s).
"""

from typing import NamedTuple

import numpy as np
from numba import njit

MARGIN = 2  # voxels beyond each end that cubic weights of a point of the volume reach
# no more than that a product and a sum may be one instruction, and sums be taken in any order
FAST = {"contract", "reassoc", "nsz"}
compiled = njit(nogil=True, fastmath=FAST, error_model="numpy")


class Map(NamedTuple):
    """From the voxels of a box to points of the source volume, by the steps in this order.

    Vectors are (3,) float64 arrays along x, y, z; the box is (nx, ny, nz) voxels.
    """

    #: first voxel of the box
    first: np.ndarray
    #: displacements at control points, (3, gx, gy, gz), voxels
    lattice: np.ndarray
    #: three (n, 4) arrays: weights of four control points for each voxel along an axis
    weights: tuple
    #: three (n,) integer arrays: the first of those four
    knots: tuple
    #: a displaced point counts from -0.5 up to here
    high: np.ndarray
    #: (3, 3); rotated = rotation @ displaced + shift
    rotation: np.ndarray
    shift: np.ndarray
    #: a rotated point counts from ``rotated_low`` to ``rotated_high``
    rotated_low: np.ndarray
    rotated_high: np.ndarray
    #: in the source: sign * (scale * rotated) + offset
    scale: np.ndarray
    sign: np.ndarray
    offset: np.ndarray


@compiled
def nearest(source, size, point):
    """
    :param source: flat array of a volume without a margin
    :param size: its shape
    :param point: whole coordinates inside it
    :return: value there
    """
    index = (int(point[0]) * size[1] + int(point[1])) * size[2] + int(point[2])
    return source[np.uint64(index)]


@compiled
def linear(source, size, point):
    """
    :param source: flat array of a volume with a margin of MARGIN voxels
    :param size: its shape without the margin
    :param point: coordinates; beyond the volume the outermost voxels go on
    :return: interpolated value
    """
    one = np.float32(1)
    base, stride_x, stride_y, tx, ty, tz = locate(
        size,
        min(max(point[0], 0.0), size[0] - 1.0),
        min(max(point[1], 0.0), size[1] - 1.0),
        min(max(point[2], 0.0), size[2] - 1.0),
    )
    total = np.float32(0)
    for i, wx in enumerate((one - tx, tx)):
        for j, wy in enumerate((one - ty, ty)):
            at = base + np.uint64(i * stride_x + j * stride_y)
            total += wx * wy * ((one - tz) * source[at] + tz * source[at + np.uint64(1)])
    return total


@compiled
def cubic(source, size, point):
    """
    :param source: flat float32 array of spline coefficients with a mirrored margin of MARGIN voxels
    :param size: its shape without the margin
    :param point: coordinates; beyond the volume it is mirrored at its outermost voxels
    :return: value of the cubic spline
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


@compiled
def mirrored(value, last):
    return last - abs(last - abs(value))


@compiled
def locate(size, x, y, z):
    """
    :param size: shape of a volume without its margin
    :return: index of the voxel below a point in the flat array with margin, its strides along x
        and y, and the point's distance from that voxel along each axis
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


@compiled
def weights_at(t):
    """
    :param t: float32 distance from the second of four voxels, in [0, 1]
    :return: values of the cubic B-spline at the four
    """
    third, sixth, two, three = (np.float32(2 / 3), np.float32(1 / 6), np.float32(2), np.float32(3))
    u = np.float32(1) - t
    return (
        sixth * u * u * u,
        third - sixth * three * t * t * (two - t),
        third - sixth * three * u * u * (two - u),
        sixth * t * t * t,
    )


@compiled
def displace_plane(mapping, x, plane):
    """Weigh the control points along x for one x of the box, into ``plane`` (3, gy, gz)."""
    weights, knot = mapping.weights[0][x], mapping.knots[0][x]
    for axis in range(3):
        for j in range(plane.shape[1]):
            for k in range(plane.shape[2]):
                total = 0.0
                for i in range(4):
                    total += weights[i] * mapping.lattice[axis, knot + i, j, k]
                plane[axis, j, k] = total


@compiled
def displace_line(mapping, y, plane, line):
    """Weigh the control points of ``plane`` along y for one y, into ``line`` (3, gz)."""
    weights, knot = mapping.weights[1][y], mapping.knots[1][y]
    for axis in range(3):
        for k in range(line.shape[1]):
            total = 0.0
            for j in range(4):
                total += weights[j] * plane[axis, knot + j, k]
            line[axis, k] = total


@compiled
def trace(mapping, rounding, x, y, z, line):
    """Follow one voxel of the box to its point in the source.

    :param mapping: a :class:`Map`
    :param rounding: to the nearest voxel after each step, as labels are: NiftyNet makes a volume
        at every step
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


@compiled
def fill(take, rounding, source, size, mapping, out):
    """Interpolate every voxel of a box; 0 where its point lies outside.

    :param take: :func:`nearest`, :func:`linear` or :func:`cubic`
    :param rounding: whether ``take`` is :func:`nearest`
    :param source: flat array, as ``take`` wants it
    :param size: shape of the source volume, three integers
    :param mapping: a :class:`Map`
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
            for z in range(nz):  # apart from the next loop, which cannot use vector instructions
                inside[z], points[0, z], points[1, z], points[2, z] = trace(
                    mapping, rounding, x, y, z, line
                )
            for z in range(nz):
                out[x, y, z] = (
                    take(source, size, (points[0, z], points[1, z], points[2, z]))
                    if inside[z]
                    else 0
                )
