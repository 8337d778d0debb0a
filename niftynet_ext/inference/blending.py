"""Windows of a volume put together: where they overlap, their mean, weighted towards centres."""

import functools

import numpy as np

# of a window's side: as nnU-Net and MONAI weigh theirs
SIGMA = 1 / 8
# at a window's corners, of the centre's weight: keeps the division sound
LEAST_WEIGHT = 1e-3


@functools.lru_cache(4)
def gaussian(shape):
    """Weights of a window's voxels.

    :param shape: three sides of the window, in voxels
    :return: (X, Y, Z) float32, 1 in the centre
    """
    along = [
        np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (side * SIGMA)) ** 2) for side in shape
    ]
    weights = np.einsum("x,y,z->xyz", *along)
    return np.maximum(weights / weights.max(), LEAST_WEIGHT).astype(np.float32)


class Blend:
    """A volume that grows out of windows.

    :param shape: (X, Y, Z) of the volume
    :param channels: values a voxel
    """

    def __init__(self, shape, channels):
        self.sums = np.zeros((*shape, channels), np.float32)
        self.weights = np.zeros((*shape, 1), np.float32)

    def add(self, window, first):
        """
        :param window: (x, y, z, channels); what lies beyond the volume (padding) is left out
        :param first: voxel of the volume that the window begins at
        """
        inside = tuple(
            slice(0, min(side, whole - start))
            for side, whole, start in zip(window.shape[:3], self.sums.shape[:3], first, strict=True)
        )
        there = tuple(
            slice(start, start + part.stop) for start, part in zip(first, inside, strict=True)
        )
        weights = gaussian(window.shape[:3])[inside][..., np.newaxis]
        self.sums[there] += weights * window[inside]
        self.weights[there] += weights

    def result(self):
        """:return: (X, Y, Z, channels), a weighted mean of the windows that cover each voxel"""
        return self.sums / self.weights
