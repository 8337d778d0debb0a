"""The basis of the cubic B-spline, for all code that does not run inside a Numba kernel.

Two other places evaluate the same basis in a form of their own, because their results may not
change in the last bit or because Numba cannot call this function:
:func:`niftynet_ext.sampler.interpolation.weights_at` (float32, one point) and
``data_prep.core.resample`` (by distance; data_prep does not import this package). The tests compare
both with :func:`spline_weights`.
"""

import numpy as np


def spline_weights(u: np.ndarray) -> np.ndarray:
    """Weigh four neighbouring knots at points between the second and the third.

    :param u: (n,) distances from the second of the four knots, in knot spacings, in [0, 1]
    :return: (4, n) weights of the four knots; they sum to 1
    """
    return (
        np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3])
        / 6
    )
