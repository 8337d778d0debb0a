"""Detection of lesions: whether each tumour is found at all, and each finding is a tumour.

A lesion is a connected component; voxels that share a face, an edge or a corner are connected.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from data_prep.core.masks import bounding_box, check_pair

MIN_OVERLAP = 0.1
"""Share of a lesion's voxels that the other mask must cover."""


class LesionCounts(NamedTuple):
    """Lesions of the reference, those of them that were found, and false ones of the prediction."""

    lesions: int
    lesions_found: int
    lesions_false: int


def lesion_counts(prediction: np.ndarray, reference: np.ndarray) -> LesionCounts:
    """Count the lesions of the reference, those of them that were found, and false findings.

    A lesion of the reference is found where the prediction covers at least 10 % of its voxels; a
    lesion of the prediction is false where the reference covers less than 10 % of its voxels.

    :param prediction: boolean array
    :param reference: boolean array of the same shape
    :return: the three counts
    :raises ValueError: shapes differ, or values are not boolean
    """
    check_pair(prediction, reference)
    box = bounding_box(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    covered = _covered_shares(reference, prediction)
    true = _covered_shares(prediction, reference)
    return LesionCounts(
        lesions=len(covered),
        lesions_found=int((covered >= MIN_OVERLAP).sum()),
        lesions_false=int((true < MIN_OVERLAP).sum()),
    )


def components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label the connected components of a mask.

    :param mask: boolean array
    :return: int array of the same shape: 0 for background, 1, 2, ... for the components; and
        (components,) their number of voxels, from component 1 on
    """
    labels, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return labels, np.bincount(labels[mask], minlength=count + 1)[1:]


def _covered_shares(mask: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Measure how much of each component of a mask another mask covers.

    :param mask: boolean array
    :param other: boolean array of the same shape
    :return: (components of ``mask``,) share of the component's voxels that ``other`` has too
    """
    labels, sizes = components(mask)
    return np.bincount(labels[mask & other], minlength=len(sizes) + 1)[1:] / sizes
