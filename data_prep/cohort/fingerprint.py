"""What a cohort is like in numbers: spacing, shape, Hounsfield units, tumour volumes."""

from dataclasses import dataclass

import numpy as np

HU_RANGE = (-1024, 3072)
"""Hounsfield units counted one by one; beyond lie metal and padding, counted at the ends."""

PERCENTILES = (0.5, 5, 25, 50, 75, 95, 99.5)


@dataclass(frozen=True)
class Profile:
    """What the cohort's numbers are made of, for one patient.

    ``label_hu`` (4096,) counts the label's voxels by Hounsfield unit, from the low end of
    :data:`HU_RANGE`; the three about the label are None without one. ``label_proportion`` is the
    label's share of all voxels (the paper's figure 2).
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    volume_ml: float | None = None
    label_proportion: float | None = None
    label_hu: np.ndarray | None = None


def of_patient(array: np.ndarray, label: np.ndarray | None, spacing_mm: np.ndarray) -> Profile:
    """Profile one patient.

    :param array: HU, int (x, y, z).
    :param label: (x, y, z), 0 outside; or None.
    :param spacing_mm: (3,).
    """
    shape, spacing = tuple(array.shape), tuple(float(mm) for mm in spacing_mm)
    if label is None:
        return Profile(shape, spacing)
    inside = label > 0
    hu = np.clip(array[inside].astype(np.int64), HU_RANGE[0], HU_RANGE[1] - 1) - HU_RANGE[0]
    return Profile(
        shape,
        spacing,
        volume_ml=len(hu) * float(np.prod(spacing)) / 1000,
        label_proportion=len(hu) / array.size,
        label_hu=np.bincount(hu, minlength=HU_RANGE[1] - HU_RANGE[0]),
    )


def of_cohort(profiles: list[Profile]) -> dict:
    """Describe a cohort; lists of seven are the :data:`PERCENTILES` over patients.

    ``label_hu`` is over the voxels of all labels together, each voxel once.
    """
    if not profiles:
        return {"patients": 0}
    labelled = [one for one in profiles if one.label_hu is not None]
    described = {
        "patients": len(profiles),
        "labelled": len(labelled),
        "percentiles": list(PERCENTILES),
        "spacing_mm": [_spread([one.spacing_mm[axis] for one in profiles]) for axis in range(3)],
        "shape": [_spread([one.shape[axis] for one in profiles]) for axis in range(3)],
    }
    if labelled:
        described |= {
            "volume_ml": _spread([one.volume_ml for one in labelled]),
            "label_proportion": _spread([one.label_proportion for one in labelled]),
            "label_hu": hu_percentiles(sum(one.label_hu for one in labelled)),
        }
    return described


def _spread(values: list[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in np.percentile(values, PERCENTILES)]


def hu_percentiles(counts: np.ndarray) -> list[int]:
    """Return the :data:`PERCENTILES` of counted Hounsfield units: the least HU that so many reach.

    :param counts: (4096,) as in :class:`Profile`; not all 0.
    """
    reached = np.cumsum(counts)
    wanted = np.ceil(np.array(PERCENTILES) / 100 * reached[-1])
    return (np.searchsorted(reached, wanted) + HU_RANGE[0]).tolist()
