"""Steps of post-processing on a predicted mask. None is taken unless the user asks for it.

A plan is written ``"lung_box:10 components:0.5 fill_holes"``: steps in their order, with a number
where one is needed. Check on validation patients first whether a step helps:
:func:`niftynet_ext.study.postprocess_stages.score_stages` scores the masks after each.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from data_prep.core import geometry, lungs
from data_prep.core.errors import DataError
from data_prep.core.masks import bounding_box
from niftynet_ext.evaluation.lesions import components

BODY_HU = -300
"""Voxels above are body: far below fat (-100 HU), far above the air in a cushion."""


class Step(NamedTuple):
    """One step: its name in :data:`STEPS`, and its number in mL or mm, or None."""

    name: str
    value: float | None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value:g}"


def keep_components(mask: np.ndarray, spacing_mm: npt.ArrayLike, min_ml: float) -> np.ndarray:
    """Keep the connected components that have at least a given volume.

    :param mask: boolean (x, y, z)
    :param spacing_mm: voxel spacing along each axis
    :param min_ml: volume in mL
    :return: boolean (x, y, z)
    """
    voxel_ml = float(np.prod(np.asarray(spacing_mm, float))) / 1000.0
    return _keep(mask, lambda sizes: sizes * voxel_ml >= min_ml)


def keep_largest(mask: np.ndarray) -> np.ndarray:
    """Keep the largest connected component, the first of equal ones.

    :param mask: boolean (x, y, z)
    :return: boolean (x, y, z)
    """
    return _keep(mask, lambda sizes: np.arange(len(sizes)) == sizes.argmax())


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill the background that the mask encloses in an axial slice.

    :param mask: boolean (x, y, z)
    :return: boolean (x, y, z)
    """
    box = bounding_box(mask)
    filled = mask.copy()
    for k in range(mask.shape[2])[box[2]]:
        plane = (box[0], box[1], k)
        filled[plane] = ndimage.binary_fill_holes(mask[plane])
    return filled


def restrict(mask: np.ndarray, affine: np.ndarray, box_mm: npt.ArrayLike) -> np.ndarray:
    """Remove everything outside a box.

    :param mask: boolean (x, y, z)
    :param affine: (4, 4) of the mask, its axes along those of the patient
    :param box_mm: (2, 3) lowest and highest corner of the box, in the frame of the affine
    :return: boolean (x, y, z)
    """
    corners = geometry.to_index(np.asarray(box_mm, float), affine)
    low, high = corners.min(axis=0), corners.max(axis=0)
    inside = tuple(
        slice(max(0, int(np.ceil(a))), max(0, int(np.floor(b)) + 1))
        for a, b in zip(low, high, strict=True)
    )
    kept = np.zeros_like(mask)
    kept[inside] = mask[inside]
    return kept


def body_box(ct_hu: np.ndarray, affine: np.ndarray, margin_mm: float = 0.0) -> np.ndarray:
    """Find the box around the largest connected part of a CT that is not air.

    :param ct_hu: (x, y, z) in Hounsfield units
    :param affine: (4, 4) of the CT, its axes along those of the patient
    :param margin_mm: distance to add on all sides
    :return: (2, 3) lowest and highest corner, in the frame of the affine
    :raises DataError: there is no body
    """
    box = bounding_box(keep_largest(ct_hu > BODY_HU))
    if box[0].stop == 0:
        raise _not_found("body")
    ends = np.array([[extent.start for extent in box], [extent.stop - 1 for extent in box]])
    return _box_mm(ends, affine, margin_mm)


def lung_box(ct_hu: np.ndarray, affine: np.ndarray, margin_mm: float = 0.0) -> np.ndarray:
    """Find the box around the lungs, as ``check`` does (:mod:`data_prep.core.lungs`).

    :param ct_hu: (x, y, z) in Hounsfield units
    :param affine: (4, 4) of the CT, its axes along those of the patient
    :param margin_mm: distance to add on all sides
    :return: (2, 3) lowest and highest corner, in the frame of the affine
    :raises DataError: there is no lung
    """
    found = lungs.find_lungs(ct_hu, geometry.spacing_mm(affine), margin_mm=0.0)
    if found is None:
        raise _not_found("lung")
    return _box_mm(np.array([found.low, found.high]), affine, margin_mm)


class Needs(NamedTuple):
    """What a step needs: a number after its name, and the CT."""

    number: bool
    ct: bool


STEPS = {
    "components": Needs(number=True, ct=False),
    "largest": Needs(number=False, ct=False),
    "fill_holes": Needs(number=False, ct=False),
    "body_box": Needs(number=True, ct=True),
    "lung_box": Needs(number=True, ct=True),
}
"""The steps by name."""

STEP_FORMS = tuple(f"{name}:NUMBER" if needs.number else name for name, needs in STEPS.items())
"""How each step is written in a plan."""


def parse_plan(text: str) -> tuple[Step, ...]:
    """Read a plan.

    :param text: e.g. ``"lung_box:10 components:0.5 fill_holes"``: margin in mm, volume in mL
    :return: the steps in their order
    :raises ValueError: not of that form
    """
    plan: list[Step] = []
    for word in text.split():
        name, _, number = word.partition(":")
        try:
            value = float(number) if number else None
            if name not in STEPS or STEPS[name].number != (value is not None):
                raise ValueError
            if value is not None and not 0 <= value < np.inf:
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{word!r} is not a step of post-processing. Expected some of "
                f"{', '.join(STEP_FORMS)}; numbers from 0: mL for components, mm around a box."
            ) from None
        plan.append(Step(name, value))
    if not plan:
        raise ValueError(
            "--steps is not a step of post-processing but empty. Expected e.g. "
            "'components:0.5 fill_holes'."
        )
    return tuple(plan)


def needs_ct(plan: Sequence[Step]) -> bool:
    """Tell whether a step of a plan uses the CT.

    :param plan: the steps
    """
    return any(STEPS[step.name].ct for step in plan)


def apply(
    mask: np.ndarray,
    affine: np.ndarray,
    plan: Sequence[Step],
    ct: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Take the steps of a plan.

    :param mask: boolean (x, y, z)
    :param affine: (4, 4) of the mask, RAS or LPS mm, its axes along those of the patient
    :param plan: the steps
    :param ct: (x, y, z) in Hounsfield units on any grid, and its affine in the same frame; needed
        where :func:`needs_ct`
    :return: boolean (x, y, z)
    :raises DataError: the CT has no body, or no lung
    :raises ValueError: a step needs the CT, and there is none
    """
    for step in plan:
        mask = _apply_step(mask, affine, step, ct)
    return mask


def _apply_step(
    mask: np.ndarray,
    affine: np.ndarray,
    step: Step,
    ct: tuple[np.ndarray, np.ndarray] | None,
) -> np.ndarray:
    if step.name == "largest":
        return keep_largest(mask)
    if step.name == "fill_holes":
        return fill_holes(mask)
    if step.value is None:
        raise ValueError(f"the step {step.name} needs a number")
    if step.name == "components":
        return keep_components(mask, geometry.spacing_mm(affine), step.value)
    if ct is None:
        raise ValueError(f"the step {step} needs the CT")
    find_box = {"body_box": body_box, "lung_box": lung_box}[step.name]
    return restrict(mask, affine, find_box(*ct, step.value))


def _keep(mask: np.ndarray, choose: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Keep some of the connected components.

    :param mask: boolean (x, y, z)
    :param choose: called with the sizes of the components, (components,) voxels; returns which of
        them to keep, boolean (components,)
    :return: boolean (x, y, z)
    """
    kept = np.zeros_like(mask)
    box = bounding_box(mask)
    labels, sizes = components(mask[box])
    if len(sizes):
        kept[box] = np.append(False, choose(sizes))[labels]
    return kept


def _not_found(name: str) -> DataError:
    return DataError(
        f"the CT has no {name}: is it a thorax, in Hounsfield units? Leave out the step {name}_box."
    )


def _box_mm(ends: np.ndarray, affine: np.ndarray, margin_mm: float) -> np.ndarray:
    """Return the corners of a box of voxels, in the frame of the affine.

    :param ends: (2, 3) indices of the first and the last voxel
    :return: (2, 3) lowest and highest corner: the outer faces of these voxels, widened by the
        margin
    """
    faces = ends + [[-0.5], [0.5]]
    corners = faces @ affine[:3, :3].T + affine[:3, 3]
    return np.array([corners.min(axis=0) - margin_mm, corners.max(axis=0) + margin_mm])
