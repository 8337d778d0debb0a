"""Blend the windows of a volume: where they overlap, a mean weighted towards their centres."""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SIGMA = 1 / 8
"""Standard deviation of the weights, in sides of the window; nnU-Net and MONAI use the same."""

LEAST_WEIGHT = 1e-3
"""Weight at the corners of a window; not 0, since the result is divided by the sum of weights."""


@functools.lru_cache(4)
def gaussian(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return the weights of a window's voxels.

    :param shape: three sides of the window, in voxels
    :return: (X, Y, Z), 1 in the centre
    """
    along = [
        np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (side * SIGMA)) ** 2) for side in shape
    ]
    weights = np.einsum("x,y,z->xyz", *along)
    return np.maximum(weights / weights.max(), LEAST_WEIGHT).astype(np.float32)


class Blend:
    """A volume to which windows are added.

    :param shape: (X, Y, Z) of the volume
    :param channels: number of values per voxel
    """

    def __init__(self, shape: Sequence[int], channels: int) -> None:
        self.sums = np.zeros((*shape, channels), np.float32)
        self.weights = np.zeros((*shape, 1), np.float32)

    def add(self, window: np.ndarray, first: Sequence[int]) -> None:
        """Add a window.

        :param window: (x, y, z, channels); what lies beyond the volume (padding) is left out
        :param first: the voxel of the volume where the window begins
        """
        inside = tuple(
            slice(0, min(side, whole - start))
            for side, whole, start in zip(window.shape[:3], self.sums.shape[:3], first, strict=True)
        )
        target = tuple(
            slice(start, start + part.stop) for start, part in zip(first, inside, strict=True)
        )
        weights = gaussian(window.shape[:3])[inside][..., np.newaxis]
        self.sums[target] += weights * window[inside]
        self.weights[target] += weights

    def result(self) -> np.ndarray:
        """Return the weighted mean of the windows that cover each voxel, (X, Y, Z, channels)."""
        return self.sums / self.weights
