"""Pictures for TensorBoard: a slice with the contours of the reference and the prediction."""

import numpy as np
from scipy import ndimage

WINDOW = (1.0, 99.0)  # percentiles of the slice that become black and white
REFERENCE, PREDICTION = (60, 140, 255), (255, 150, 30)  # blue and orange, as in `data_prep picture`


def draw_overlay(image, reference, prediction):
    """
    :param image: (X, Y, Z)
    :param reference: boolean (X, Y, Z)
    :param prediction: boolean (X, Y, Z)
    :return: uint8 (Y, X, 3): the axial slice with most of the reference (the middle one if it is
        empty), anterior up where the axes are (R, A, S)
    """
    areas = np.count_nonzero(reference, axis=(0, 1))
    z = int(areas.argmax()) if areas.any() else image.shape[2] // 2
    low, high = np.percentile(image[..., z], WINDOW)
    grey = np.clip((image[..., z] - low) / max(high - low, 1e-6), 0, 1) * 255
    picture = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    for mask, colour in ((reference[..., z], REFERENCE), (prediction[..., z], PREDICTION)):
        picture[contour(mask)] = colour
    return picture.astype(np.uint8).transpose(1, 0, 2)[::-1]


def contour(mask):
    """
    :param mask: boolean (X, Y)
    :return: boolean (X, Y): voxels of the mask with a neighbour outside it, the edge included
    """
    return mask & ~ndimage.binary_erosion(mask)
