"""Small images and labels."""

import numpy as np
from scipy import ndimage

SHAPE, WINDOW = (72, 60, 44), (40, 40, 24)


def make_image(shape, seed):
    """Smooth structures of some voxels and some noise, in the numbers of a CT."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 1.5)
    return np.round(smooth / smooth.std() * 300 + rng.normal(0, 20, shape)).astype(np.int16)


def make_label(shape, seed):
    """A ball in the middle third."""
    centre = np.random.default_rng(seed).uniform(0.4, 0.6, 3) * shape
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    return (sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < 8**2).astype(np.uint8)
