"""Find the lungs in a CT, roughly: well enough to say whether a tumour lies near them.

Air inside the body is found by threshold and connected components, on a coarse copy of the CT. This
distinguishes a label on the wrong scan from a correct one, and a prediction in the bowel from one
in the chest; it is not a lung segmentation.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

LUNG_BELOW_HU = -400
"""Below this a voxel is lung or air: midway between lung (-850) and soft tissue (50)."""

COARSE_MM = 4.0
"""Lungs are searched on every n-th voxel, about this far apart."""

MIN_LUNG_ML = 300
"""Smallest component of air inside the body that is taken for a lung: trachea and bowel gas are
smaller, an adult's lung has 1000 to 3500 mL."""

LUNG_MARGIN_MM = 10.0
"""Default by which the box is widened: some tumours lie on the wall of the lung."""


@dataclass(frozen=True)
class Lungs:
    """The box around the lungs, and the volume of air in them.

    :param low: (3,) lower corner of the box in fractional voxel indices.
    :param high: (3,) upper corner.
    """

    low: np.ndarray
    high: np.ndarray
    volume_ml: float

    def contains(self, index: np.ndarray) -> bool:
        """Tell whether a fractional voxel index (3,) lies in the box."""
        return bool(((index >= self.low) & (index <= self.high)).all())


def find_lungs(
    array: np.ndarray, spacing_mm: np.ndarray, margin_mm: float = LUNG_MARGIN_MM
) -> Lungs | None:
    """Find the lungs: the one or two largest pieces of air that do not reach the sides of the CT.

    Air around the patient reaches the sides and is left out; top and bottom of the lungs may be cut
    by the scan. A lung that is filled by a tumour or by fluid is not found.

    :param array: HU (x, y, z), z along the body's axis as CT slices lie.
    :param spacing_mm: (3,) voxel spacing.
    :param margin_mm: by how much the box is widened on all sides.
    :return: None where nothing is large enough, as in a CT cropped to the tumour.
    """
    step = np.maximum(1, np.floor(COARSE_MM / spacing_mm)).astype(int)
    air = array[:: step[0], :: step[1], :: step[2]] < LUNG_BELOW_HU
    pieces, count = ndimage.label(air)
    sides = (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1])
    reaching = np.unique(np.concatenate([side.ravel() for side in sides]))
    voxels = np.bincount(pieces.ravel(), minlength=count + 1)
    voxels[reaching] = 0
    voxels[0] = 0
    voxel_ml = float(np.prod(step * spacing_mm)) / 1000
    chosen = [k for k in np.argsort(voxels)[:-3:-1] if voxels[k] * voxel_ml >= MIN_LUNG_ML]
    if not chosen:
        return None
    boxes = ndimage.find_objects(pieces)
    low = np.min([[side.start for side in boxes[k - 1]] for k in chosen], axis=0)
    high = np.max([[side.stop - 1 for side in boxes[k - 1]] for k in chosen], axis=0)
    margin = margin_mm / spacing_mm
    return Lungs(
        low=low * step - margin,
        high=(high + 1) * step - 1 + margin,
        volume_ml=float(voxels[chosen].sum()) * voxel_ml,
    )
