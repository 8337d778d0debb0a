"""Detection lesion by lesion: is each tumour found at all, and is each finding a tumour?

A lesion is a connected component; voxels that share a face, an edge or a corner are connected.
"""

import numpy as np
from scipy import ndimage

from data_prep.core.masks import bounding_box, check_pair

MIN_OVERLAP = 0.1
"""Share of a lesion's voxels that the other mask must cover."""


def lesion_counts(prediction, reference):
    """Count lesions of the reference and which of them were found, and false findings.

    A lesion of the reference is found where the prediction covers at least 10 % of its voxels; a
    lesion of the prediction is false where the reference covers less than 10 % of its voxels.

    :param prediction: boolean array
    :param reference: boolean array of the same shape
    :return: dict of int: ``lesions`` of the reference, ``lesions_found`` among them,
        ``lesions_false`` of the prediction
    :raises ValueError: shapes differ, or values are not boolean
    """
    check_pair(prediction, reference)
    box = bounding_box(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    covered = _covered_shares(reference, prediction)
    true = _covered_shares(prediction, reference)
    return {
        "lesions": len(covered),
        "lesions_found": int((covered >= MIN_OVERLAP).sum()),
        "lesions_false": int((true < MIN_OVERLAP).sum()),
    }


def components(mask):
    """
    :param mask: boolean array
    :return: int array of the same shape: 0 for background, 1, 2, ... for the connected components;
        and their number of voxels, from component 1 on
    """
    labels, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return labels, np.bincount(labels[mask], minlength=count + 1)[1:]


def _covered_shares(mask, other):
    """
    :param mask: boolean array
    :param other: boolean array of the same shape
    :return: (components of ``mask``,) share of each one's voxels that ``other`` has too
    """
    labels, sizes = components(mask)
    return np.bincount(labels[mask & other], minlength=len(sizes) + 1)[1:] / sizes
