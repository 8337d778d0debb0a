"""Layers in NumPy and float64, to compare with."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.ndimage import correlate

R = 2  # factor of DDC and DUC
CELL = list(itertools.product(range(R), repeat=3))


def ddc_numpy(image: np.ndarray) -> np.ndarray:
    """Channel ((c*r + z)*r + y)*r + x of a cell is the voxel at offset (x, y, z)."""
    *space, channels = image.shape[1:]
    out = np.empty((len(image), *(s // R for s in space), channels * R**3), image.dtype)
    for c in range(channels):
        for x, y, z in CELL:
            out[..., ((c * R + z) * R + y) * R + x] = image[:, x::R, y::R, z::R, c]
    return out


def duc_numpy(features: np.ndarray) -> np.ndarray:
    """Channel ((x*r + y)*r + z)*K + k goes to class k of the voxel at offset (x, y, z)."""
    *space, channels = features.shape[1:]
    classes = channels // R**3
    out = np.empty((len(features), *(s * R for s in space), classes), features.dtype)
    for k in range(classes):
        for x, y, z in CELL:
            out[:, x::R, y::R, z::R, k] = features[..., ((x * R + y) * R + z) * classes + k]
    return out


def group_norm_numpy(
    image: np.ndarray, groups: int, gamma: np.ndarray, beta: np.ndarray, epsilon: float = 1e-5
) -> np.ndarray:
    """Normalise each group of each image to mean 0 and variance 1, then gamma and beta."""
    grouped = image.astype(np.float64).reshape(*image.shape[:4], groups, -1)
    mean = grouped.mean(axis=(1, 2, 3, 5), keepdims=True)
    variance = grouped.var(axis=(1, 2, 3, 5), keepdims=True)
    return ((grouped - mean) / np.sqrt(variance + epsilon)).reshape(image.shape) * gamma + beta


def conv_numpy(image: np.ndarray, kernel: np.ndarray, dilation: int) -> np.ndarray:
    """Zero-padded correlation with a 3x3x3 kernel spread over ``dilation`` voxels."""
    side = 2 * dilation + 1
    out = np.zeros((*image.shape[:4], kernel.shape[-1]))
    for b, i, o in np.ndindex(len(image), *kernel.shape[3:]):
        spread = np.zeros((side,) * 3)
        spread[::dilation, ::dilation, ::dilation] = kernel[..., i, o]
        out[b, ..., o] += correlate(image[b, ..., i].astype(np.float64), spread, mode="constant")
    return out
