"""The paper's protocol and its published tables: "Learning volumetric segmentation for lung tumor".

The protocol: :data:`PAPER_PLAN`, :data:`FOCAL_ALPHA` and :data:`FOCAL_GAMMA`. The sizes of the
three sets are :data:`data_prep.cohort.split.PAPER_SPLIT`, the threshold of a mask is
``data_prep.core.resample.MASK_THRESHOLD``; everything else (window, learning rate, augmentation) is
in the ini files of ``config_ini/``, each value with its source.

The tables: 1 and 2 have Dice3D over patients and Dice2D over the TP and FN slices of all patients,
each as mean, Q1, Q2, Q3. Table 3 has means over the TP slices of all patients, and numbers of FN
and FP slices.

The losses import this module, so that it also runs on Python 3.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = tuple[float, ...]
    Table = Mapping[tuple[str, int | None], Row]  # by network and iteration


class Stage(NamedTuple):
    """One loss, up to and including iteration ``last``."""

    loss: str
    last: int


PAPER_PLAN = (
    Stage("DiceForeground", 20_000),
    Stage("Focal", 30_000),
    Stage("DiceForeground", 50_000),
    Stage("Focal", 60_000),
)
"""Section 3.4: 20,000 iterations of Dice and then 10,000 of focal loss are a round; two rounds."""

FOCAL_ALPHA = 0.75
"""Constant factor of the focal loss (section 3.4, eq. 3)."""

FOCAL_GAMMA = 2.0
"""Exponent of the focal loss (section 3.4, eq. 3)."""

PAPER_NAMES = {
    "highres3dnet_matched": "Baseline",
    "densehighres3dnet_v1": "DenseHighRes3DNet-v1",
    "densehighres3dnet_v2": "DenseHighRes3DNet-v2",
    "ensemble": "Ensemble",
}
"""The paper's name of each network, by this project's short name."""

TABLE_1: Table = {
    ("highres3dnet_matched", 20_000): (0.601, 0.516, 0.722, 0.807, 0.552, 0.123, 0.717, 0.855),
    ("highres3dnet_matched", 30_000): (0.626, 0.545, 0.731, 0.812, 0.618, 0.480, 0.758, 0.851),
    ("highres3dnet_matched", 50_000): (0.691, 0.667, 0.782, 0.845, 0.618, 0.412, 0.789, 0.882),
    ("highres3dnet_matched", 60_000): (0.724, 0.700, 0.809, 0.853, 0.658, 0.550, 0.813, 0.883),
    ("densehighres3dnet_v1", 20_000): (0.557, 0.398, 0.661, 0.761, 0.563, 0.227, 0.725, 0.849),
    ("densehighres3dnet_v1", 30_000): (0.616, 0.524, 0.726, 0.810, 0.618, 0.459, 0.764, 0.863),
    ("densehighres3dnet_v1", 50_000): (0.631, 0.520, 0.720, 0.804, 0.648, 0.527, 0.793, 0.875),
    ("densehighres3dnet_v1", 60_000): (0.680, 0.645, 0.755, 0.820, 0.675, 0.600, 0.796, 0.873),
    ("densehighres3dnet_v2", 20_000): (0.481, 0.262, 0.549, 0.694, 0.590, 0.342, 0.744, 0.854),
    ("densehighres3dnet_v2", 30_000): (0.589, 0.491, 0.693, 0.772, 0.596, 0.404, 0.744, 0.846),
    ("densehighres3dnet_v2", 50_000): (0.617, 0.497, 0.714, 0.806, 0.637, 0.500, 0.781, 0.870),
    ("densehighres3dnet_v2", 60_000): (0.689, 0.650, 0.780, 0.834, 0.658, 0.561, 0.792, 0.872),
}
"""Training set: Dice3D mean, Q1, Q2, Q3; Dice2D mean, Q1, Q2, Q3."""

TABLE_2: Table = {
    ("highres3dnet_matched", 20_000): (0.491, 0.174, 0.550, 0.748, 0.421, 0.000, 0.510, 0.793),
    ("highres3dnet_matched", 30_000): (0.510, 0.309, 0.586, 0.747, 0.475, 0.000, 0.611, 0.815),
    ("highres3dnet_matched", 50_000): (0.493, 0.241, 0.538, 0.780, 0.422, 0.000, 0.494, 0.807),
    ("highres3dnet_matched", 60_000): (0.508, 0.324, 0.623, 0.747, 0.437, 0.000, 0.511, 0.826),
    ("densehighres3dnet_v1", 20_000): (0.456, 0.268, 0.568, 0.630, 0.402, 0.000, 0.477, 0.758),
    ("densehighres3dnet_v1", 30_000): (0.487, 0.286, 0.546, 0.724, 0.465, 0.000, 0.597, 0.800),
    ("densehighres3dnet_v1", 50_000): (0.492, 0.287, 0.572, 0.712, 0.438, 0.000, 0.542, 0.789),
    ("densehighres3dnet_v1", 60_000): (0.530, 0.367, 0.597, 0.751, 0.510, 0.007, 0.643, 0.825),
    ("densehighres3dnet_v2", 20_000): (0.451, 0.271, 0.514, 0.662, 0.452, 0.000, 0.569, 0.792),
    ("densehighres3dnet_v2", 30_000): (0.515, 0.383, 0.589, 0.724, 0.472, 0.000, 0.610, 0.811),
    ("densehighres3dnet_v2", 50_000): (0.490, 0.333, 0.562, 0.673, 0.478, 0.000, 0.630, 0.797),
    ("densehighres3dnet_v2", 60_000): (0.506, 0.342, 0.587, 0.757, 0.446, 0.000, 0.563, 0.790),
}
"""Validation set: Dice3D mean, Q1, Q2, Q3; Dice2D mean, Q1, Q2, Q3."""

TABLE_3: Table = {
    ("highres3dnet_matched", 30_000): (0.599, 12.538, 24.932, 176, 314),
    ("densehighres3dnet_v1", 60_000): (0.640, 9.178, 18.620, 173, 363),
    ("densehighres3dnet_v2", 30_000): (0.619, 9.966, 19.759, 202, 531),
    ("ensemble", None): (0.662, 8.440, 17.483, 195, 287),
}
"""Validation set: Dice, MSD in mm, 95 % HD in mm, FN slices, FP slices."""

DICE_TABLES: Mapping[str, Table] = {"Training": TABLE_1, "Validation": TABLE_2}
"""Tables 1 and 2, by NiftyNet's name of the set. The paper has no numbers on its test set."""

DISTANCE_TABLES: Mapping[str, Table] = {"Validation": TABLE_3}
"""Table 3, by NiftyNet's name of the set."""


def row_of(published: Table, model: str, iteration: int | None) -> tuple[int | None, Row] | None:
    """Return the row of a published table to show below a row of this project's.

    :param published: one of :data:`DICE_TABLES` or :data:`DISTANCE_TABLES`, of a set
    :param model: short name of the network
    :param iteration: of this project's row, or None
    :return: iteration and numbers of the same iteration, or else of the network's last; None where
        the paper does not have the network
    """
    rows = {found: numbers for (name, found), numbers in published.items() if name == model}
    if not rows:
        return None
    found = iteration if iteration in rows else list(rows)[-1]
    return found, rows[found]
