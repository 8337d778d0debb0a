"""The cubic B-spline."""

import numpy as np


def spline_weights(u):
    """
    :param u: (n,) distances from the second of four knots, in units of their spacing, in [0, 1]
    :return: (4, n) weights of the four knots
    """
    return (
        np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3])
        / 6
    )
