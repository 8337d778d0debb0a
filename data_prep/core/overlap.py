"""Overlap of two masks (paper 4.2)."""

import numpy as np

from data_prep.core.masks import bounding_box, check_pair


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Return the Dice coefficient ``2 |P and Y| / (|P| + |Y|)`` of two masks (paper, eq. 4).

    Empty masks are scored, never dropped: 0 where exactly one of the two is empty (a missed tumour,
    or a false one), 1 where both are empty.

    :param prediction: boolean array of any shape.
    :param reference: boolean array of the same shape.
    :return: a value in [0, 1].
    :raises ValueError: shapes differ, or values are not boolean.
    """
    check_pair(prediction, reference)
    box = bounding_box(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return float(2.0 * np.count_nonzero(prediction & reference) / total) if total else 1.0
