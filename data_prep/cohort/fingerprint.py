"""What a cohort is like in numbers: spacing, shape, Hounsfield units, tumour volumes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.core.contracts import Part

HU_RANGE = (-1024, 3072)
"""Hounsfield units counted individually; values beyond are metal and padding, and count at the
ends."""

PERCENTILES = (0.5, 5, 25, 50, 75, 95, 99.5)

Spread = tuple[float, ...]
"""Values at the :data:`PERCENTILES`."""


@dataclass(frozen=True)
class LabelProfile:
    """A label in numbers.

    ``proportion`` is its share of all voxels (the paper's figure 2). ``hu_counts`` (4096,) has the
    number of its voxels by Hounsfield unit, from the low end of :data:`HU_RANGE`.
    """

    volume_ml: float
    proportion: float
    hu_counts: np.ndarray


@dataclass(frozen=True)
class Profile:
    """What the cohort's numbers are made of, for one patient; ``label`` is None without one."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    label: LabelProfile | None = None


class Fingerprint(Part):
    """A cohort in numbers.

    Each spread has the values at the ``percentiles`` over patients; ``label_hu`` those over the
    voxels of all labels together, each voxel once. Keys of the label are absent without one, and
    all but ``patients`` without a patient.
    """

    patients: int
    labelled: int | None = None
    percentiles: tuple[int | float, ...] | None = None
    spacing_mm: tuple[Spread, Spread, Spread] | None = None
    shape: tuple[Spread, Spread, Spread] | None = None
    volume_ml: Spread | None = None
    label_proportion: Spread | None = None
    label_hu: tuple[int, ...] | None = None


def of_patient(array: np.ndarray, label: np.ndarray | None, spacing_mm: np.ndarray) -> Profile:
    """Profile one patient.

    :param array: HU, int (x, y, z).
    :param label: (x, y, z), 0 outside; or None.
    :param spacing_mm: (3,).
    """
    size_x, size_y, size_z = array.shape
    x_mm, y_mm, z_mm = (float(mm) for mm in spacing_mm)
    shape, spacing = (size_x, size_y, size_z), (x_mm, y_mm, z_mm)
    if label is None:
        return Profile(shape, spacing)
    inside = label > 0
    hu = np.clip(array[inside].astype(np.int64), HU_RANGE[0], HU_RANGE[1] - 1) - HU_RANGE[0]
    label_profile = LabelProfile(
        volume_ml=len(hu) * float(np.prod(spacing)) / 1000,
        proportion=len(hu) / array.size,
        hu_counts=np.bincount(hu, minlength=HU_RANGE[1] - HU_RANGE[0]),
    )
    return Profile(shape, spacing, label_profile)


def of_cohort(profiles: list[Profile]) -> Fingerprint:
    """Describe a cohort by the profiles of its patients."""
    if not profiles:
        return Fingerprint(patients=0)
    labels = [profile.label for profile in profiles if profile.label is not None]
    described = Fingerprint(
        patients=len(profiles),
        labelled=len(labels),
        percentiles=PERCENTILES,
        spacing_mm=_spreads([profile.spacing_mm for profile in profiles]),
        shape=_spreads([profile.shape for profile in profiles]),
    )
    if not labels:
        return described
    return described.model_copy(
        update={
            "volume_ml": _spread([label.volume_ml for label in labels]),
            "label_proportion": _spread([label.proportion for label in labels]),
            "label_hu": hu_percentiles(np.sum([label.hu_counts for label in labels], axis=0)),
        }
    )


def _spreads(vectors: Sequence[tuple[float, float, float]]) -> tuple[Spread, Spread, Spread]:
    """Return the spread along each axis."""
    along_x, along_y, along_z = zip(*vectors, strict=True)
    return _spread(along_x), _spread(along_y), _spread(along_z)


def _spread(values: Sequence[float]) -> Spread:
    """Return the :data:`PERCENTILES` of values, to six digits."""
    return tuple(float(f"{value:.6g}") for value in np.percentile(values, PERCENTILES))


def hu_percentiles(counts: np.ndarray) -> tuple[int, ...]:
    """Return the :data:`PERCENTILES` of counted Hounsfield units.

    Each is the lowest HU at or below which that share of the voxels lies.

    :param counts: (4096,) as in :class:`LabelProfile`; not all 0.
    """
    reached = np.cumsum(counts)
    wanted = np.ceil(np.array(PERCENTILES) / 100 * reached[-1])
    indices: list[int] = np.searchsorted(reached, wanted).tolist()
    return tuple(index + HU_RANGE[0] for index in indices)
