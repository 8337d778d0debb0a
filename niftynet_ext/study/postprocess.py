"""Steps that may be taken on a predicted mask. None is taken unless it is asked for.

A plan is written ``"lung_box:10 components:0.5 fill_holes"``: steps in their order, with a number
where one is needed. Whether a step helps is to be seen on validation patients first:
``python -m niftynet_ext postprocess`` prints the figures after each.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from data_prep.core import geometry, lungs
from data_prep.core.errors import DataError
from data_prep.core.masks import bounding_box
from niftynet_ext.evaluation.lesions import components

BODY_HU = -300
"""Above it is body, in the mean of fat, bone and cushions' air."""


class Step(NamedTuple):
    """One step: its name in :data:`STEPS`, and its number or None."""

    name: str
    value: float

    def __str__(self):
        return self.name if self.value is None else f"{self.name}:{self.value:g}"


def keep_components(mask, spacing_mm, min_ml):
    """Keep connected components of at least a volume.

    :param mask: boolean (x, y, z)
    :param spacing_mm: voxel spacing along each axis
    :param min_ml: volume in mL
    :return: boolean (x, y, z)
    """
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    return _keep(mask, lambda sizes: sizes * voxel_ml >= min_ml)


def keep_largest(mask):
    """Keep the largest connected component, the first among equals.

    :param mask: boolean (x, y, z)
    :return: boolean (x, y, z)
    """
    return _keep(mask, lambda sizes: np.arange(len(sizes)) == sizes.argmax())


def fill_holes(mask):
    """Fill background that the mask encloses in a slice along z.

    :param mask: boolean (x, y, z)
    :return: boolean (x, y, z)
    """
    box = bounding_box(mask)
    filled = mask.copy()
    for k in range(mask.shape[2])[box[2]]:
        filled[(*box[:2], k)] = ndimage.binary_fill_holes(mask[(*box[:2], k)])
    return filled


def restrict(mask, affine, box_mm):
    """Remove all outside a box.

    :param mask: boolean (x, y, z)
    :param affine: 4x4 of the mask, axes along the patient's
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


def body_box(ct_hu, affine, margin_mm=0.0):
    """Box of the largest connected part of a CT that is no air.

    :param ct_hu: (x, y, z) in Hounsfield units
    :param affine: 4x4 of the CT, axes along the patient's
    :param margin_mm: to add on all sides
    :return: (2, 3) lowest and highest corner, in the frame of the affine
    :raises DataError: there is no body
    """
    box = bounding_box(keep_largest(ct_hu > BODY_HU))
    if box[0].stop == 0:
        raise _not_there("body")
    ends = np.array([[one.start for one in box], [one.stop - 1 for one in box]])
    return _box_mm(ends, affine, margin_mm)


def lung_box(ct_hu, affine, margin_mm=0.0):
    """Box of the lungs as ``data_prep check`` finds them (:func:`data_prep.core.lungs.find_lungs`).

    :param ct_hu: (x, y, z) in Hounsfield units
    :param affine: 4x4 of the CT, axes along the patient's
    :param margin_mm: to add on all sides
    :return: (2, 3) lowest and highest corner, in the frame of the affine
    :raises DataError: there is no lung
    """
    found = lungs.find_lungs(ct_hu, geometry.spacing_mm(affine), margin_mm=0.0)
    if found is None:
        raise _not_there("lung")
    return _box_mm(np.array([found.low, found.high]), affine, margin_mm)


# name: (needs a number, needs the CT)
STEPS = {
    "components": (True, False),
    "largest": (False, False),
    "fill_holes": (False, False),
    "body_box": (True, True),
    "lung_box": (True, True),
}


def parse_plan(text):
    """
    :param text: e.g. ``"lung_box:10 components:0.5 fill_holes"``: margin in mm, volume in mL
    :return: tuple of :class:`Step`
    :raises ValueError: not of that form
    """
    plan = []
    for word in text.split():
        name, _, number = word.partition(":")
        try:
            value = float(number) if number else None
            if name not in STEPS or STEPS[name][0] != (value is not None):
                raise ValueError
            if value is not None and not 0 <= value < np.inf:
                raise ValueError
        except ValueError:
            known = ", ".join(
                f"{one}:NUMBER" if needs else one for one, (needs, _) in STEPS.items()
            )
            raise ValueError(
                f"{word!r} is no step of post-processing. Expected some of {known}; "
                f"numbers from 0: mL for components, mm around a box."
            ) from None
        plan.append(Step(name, value))
    if not plan:
        raise ValueError("the plan has no step, expected e.g. 'components:0.5 fill_holes'")
    return tuple(plan)


def needs_ct(plan):
    """
    :param plan: tuple of :class:`Step`
    :return: whether one of them looks at the CT
    """
    return any(STEPS[step.name][1] for step in plan)


def apply(mask, affine, plan, ct=None):
    """Take the steps of a plan.

    :param mask: boolean (x, y, z)
    :param affine: 4x4 of the mask, RAS or LPS mm, axes along the patient's
    :param plan: tuple of :class:`Step`
    :param ct: (x, y, z) in Hounsfield units and its affine, where :func:`needs_ct`; any grid
    :return: boolean (x, y, z)
    :raises DataError: the CT has no body, or no lung
    """
    actions = {
        "components": lambda value: keep_components(mask, geometry.spacing_mm(affine), value),
        "largest": lambda value: keep_largest(mask),
        "fill_holes": lambda value: fill_holes(mask),
        "body_box": lambda value: restrict(mask, affine, body_box(*ct, value)),
        "lung_box": lambda value: restrict(mask, affine, lung_box(*ct, value)),
    }
    for step in plan:
        mask = actions[step.name](step.value)
    return mask


def _keep(mask, choose):
    """
    :param choose: function from the components' sizes to which of them to keep
    """
    kept = np.zeros_like(mask)
    box = bounding_box(mask)
    labels, sizes = components(mask[box])
    if len(sizes):
        kept[box] = np.append(False, choose(sizes))[labels]
    return kept


def _not_there(name):
    return DataError(
        f"the CT has no {name}: is it a thorax, in Hounsfield units? Leave out the step {name}_box."
    )


def _box_mm(ends, affine, margin_mm):
    """
    :param ends: (2, 3) indices of the first and the last voxel
    :return: (2, 3) corners: their outer faces, widened by the margin
    """
    faces = ends + [[-0.5], [0.5]]
    corners = faces @ affine[:3, :3].T + affine[:3, 3]
    return np.array([corners.min(axis=0) - margin_mm, corners.max(axis=0) + margin_mm])
