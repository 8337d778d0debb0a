"""Masks whose measures are known, or that have every awkward feature at once."""

import numpy as np
from scipy import ndimage


def box(shape, *ranges):
    """Boolean array with one box: ``ranges`` are (first, last + 1) along each axis."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(first, end) for first, end in ranges)] = True
    return mask


def ball(shape, centre_mm, radius_mm, spacing_mm):
    """Boolean array with the voxels whose centre lies within a sphere (a disc in 2-D)."""
    grid = np.meshgrid(
        *(np.arange(n) * s for n, s in zip(shape, spacing_mm, strict=True)), indexing="ij"
    )
    return sum((g - c) ** 2 for g, c in zip(grid, centre_mm, strict=True)) <= radius_mm**2


def blobs(shape, seed):
    """Boolean array of random smooth blobs with holes, fragments and voxels on the edges."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 1.5) > 0.12
