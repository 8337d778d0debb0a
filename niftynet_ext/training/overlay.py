"""Pictures for TensorBoard: a slice with the contours of the reference and the prediction."""

import numpy as np
from scipy import ndimage

from data_prep.core.colours import PREDICTION_RGB, REFERENCE_RGB

GREY_PERCENTILES = (1.0, 99.0)
"""Percentiles of the slice's values that become black and white."""


def draw_overlay(image: np.ndarray, reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Draw one axial slice with both contours.

    The slice is the one with most of the reference, or the middle one where that is empty.

    :param image: (X, Y, Z)
    :param reference: boolean (X, Y, Z)
    :param prediction: boolean (X, Y, Z)
    :return: uint8 (Y, X, 3); anterior is up where the axes are (R, A, S)
    """
    areas = np.count_nonzero(reference, axis=(0, 1))
    z = int(areas.argmax()) if areas.any() else image.shape[2] // 2
    low, high = np.percentile(image[..., z], GREY_PERCENTILES)
    grey = np.clip((image[..., z] - low) / max(high - low, 1e-6), 0, 1) * 255
    picture = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    for mask, colour in (
        (reference[..., z], REFERENCE_RGB),
        (prediction[..., z], PREDICTION_RGB),
    ):
        picture[contour(mask)] = colour
    return picture.astype(np.uint8).transpose(1, 0, 2)[::-1]


def contour(mask: np.ndarray) -> np.ndarray:
    """Return the voxels of a mask that have a neighbour outside it, or lie at the edge.

    :param mask: boolean (X, Y)
    :return: boolean (X, Y)
    """
    return mask & ~ndimage.binary_erosion(mask)
