"""Overlap of two masks (paper 4.2)."""
import numpy as np


def dice(prediction, reference):
    """``2 |P and Y| / (|P| + |Y|)`` (paper, eq. 4).

    Empty masks are scored, never dropped: 0 where one of the two is empty (a missed tumour, or
    one that is not there), 1 where both are.

    :param prediction: boolean array of any shape
    :param reference: boolean array of the same shape
    :return: float in [0, 1]
    :raises ValueError: shapes differ, or values are not boolean
    """
    for name, mask in (("prediction", prediction), ("reference", reference)):
        if mask.dtype != bool:
            raise ValueError(f"dice: {name} must be boolean, got {mask.dtype}: compare it first, "
                             f"e.g. {name} > 0.5")
    if prediction.shape != reference.shape:
        raise ValueError(f"dice: prediction has shape {prediction.shape}, "
                         f"reference {reference.shape}: bring them to one grid first")
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return 2.0 * np.count_nonzero(prediction & reference) / total if total else 1.0
