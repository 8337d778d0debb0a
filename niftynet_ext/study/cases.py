"""Which prediction belongs to which reference, and both as masks on the reference's grid."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.core import files, geometry, predictions, resample
from data_prep.core.errors import DataError

MAX_FACTOR = 16
"""Largest in-plane factor between reference and prediction, as of ``data_prep preprocess``."""


class Reference(NamedTuple):
    """A patient's set (NiftyNet's phase), reference mask, and CT and coarse grid where known."""

    set: str
    path: Path
    image: Path = None
    coarse: dict = None


def find_references(folder, which=None):
    """
    :param folder: folder that ``data_prep preprocess`` wrote, or one of NIfTI masks
    :param which: of the latter, the name of the set that they are
    :return: dict of :class:`Reference` by patient id, of all sets; ids of patients known to have no
        reference
    :raises DataError: no reference there, or a manifest of an earlier version
    """
    folder, unlabelled = Path(folder), []
    if (folder / files.MANIFEST).is_file():
        usable = [one for one in files.read_manifest(folder)["patients"] if one["status"] == "ok"]
        if any("phase" not in one for one in usable):
            raise DataError(
                f"{folder / files.MANIFEST} does not say who is in which set: an "
                f"earlier version wrote it. Run preprocess again."
            )
        found = {
            one["id"]: Reference(
                one["phase"],
                folder / one["files"]["native_label"],
                folder / one["files"]["image"],
                one.get("coarse"),
            )
            for one in usable
            if "native_label" in one["files"]
        }
        unlabelled = [one["id"] for one in usable if one["id"] not in found]
    else:
        found = {
            one: Reference(which or "", path) for one, path in predictions.find(folder).items()
        }
    if not found:
        raise DataError(
            f"{folder} holds no reference mask. Give the folder that preprocess wrote, "
            f"or one with a mask <id>.nii.gz of each patient."
        )
    return found, unlabelled


def match(references, folder, which=None, unlabelled=()):
    """Pair the references with a model's predictions.

    Without ``which``, the sets to score are those that the model predicted somebody of. In a set to
    score everybody must be predicted, and whoever is predicted must be known.

    :param references: dict of :class:`Reference` by id, of all sets
    :param folder: the model's predictions
    :param which: the one set to score
    :param unlabelled: ids that may be predicted though they have no reference
    :return: dict by id of (:class:`Reference`, prediction's path)
    :raises DataError: patients are missing or extra: all are named; or nobody is in the set
    """
    found = predictions.find(Path(folder))
    sets = [which] if which else {references[one].set for one in found if one in references}
    wanted = {one: reference for one, reference in references.items() if reference.set in sets}
    missing = [one for one in wanted if one not in found]
    extra = [one for one in found if one not in references and one not in unlabelled]
    faults = [f"no prediction of {', '.join(missing)}"] if missing else []
    faults += [f"no reference of {', '.join(extra)}"] if extra else []
    if not wanted:
        present = sorted({reference.set for reference in references.values()})
        faults += [f"nobody to score; the sets with references are {', '.join(present) or 'none'}"]
    if faults:
        raise DataError(
            f"{folder}: {'; '.join(faults)}. Expected a prediction of every patient of "
            f"the set and of nobody unknown: run inference on the whole set, or choose "
            f"another with --set."
        )
    return {one: (reference, found[one]) for one, reference in wanted.items()}


def read_pair(prediction_path, reference_path, coarse=None):
    """Read a prediction and its reference as masks on the reference's grid.

    A prediction on the grid that ``data_prep preprocess`` makes of the reference's (in-plane
    smaller by a whole factor, or ``coarse``) is resized as ``data_prep restore`` does it. Fractions
    are probabilities of the tumour, and cut at 0.5.

    :param coarse: ``shape`` and ``affine_ras`` of the grid that preprocess made, from its manifest
    :return: prediction and reference, boolean (x, y, z); their affine, RAS mm
    :raises DataError: unreadable, another grid, or values other than 0 and 1 (or 0 to 1)
    """
    reference, affine = predictions.read_foreground(Path(reference_path))
    _check_binary(reference, reference_path)
    found, found_affine = predictions.read_foreground(Path(prediction_path))
    if np.issubdtype(found.dtype, np.integer) or found.dtype == bool:
        _check_binary(found, prediction_path)
    try:
        mask = to_grid(found, found_affine, reference.shape, affine, coarse)
    except DataError as error:
        raise DataError(f"{prediction_path}: {error}") from error
    return mask, reference == 1, affine


def to_grid(probability, probability_affine, shape, affine, coarse=None):
    """
    :param probability: (x, y, z) mask or probability map, on the grid asked for or a coarser one
    :param probability_affine: 4x4, RAS mm
    :param shape: (x, y, z) of the grid asked for
    :param affine: 4x4 of the grid asked for, RAS mm
    :param coarse: see :func:`read_pair`
    :return: boolean mask (x, y, z) on the grid asked for
    :raises DataError: neither this grid nor a coarse one of it, or values beyond 0 to 1
    """
    if probability.shape == shape and geometry.same_grid(probability_affine, affine, shape):
        resample.check_probability(probability)
        return resample.native_mask(probability)
    grids = [resample.reduced_grid(shape, affine, factor) for factor in range(2, MAX_FACTOR + 1)]
    known = [(grid.shape, grid.affine) for grid in grids]
    if coarse:
        known.append((tuple(coarse["shape"]), np.array(coarse["affine_ras"])))
    for coarse_shape, coarse_affine in known:
        if probability.shape == coarse_shape and geometry.same_grid(
            probability_affine, coarse_affine, coarse_shape
        ):
            return resample.to_native_mask(probability, coarse_affine, shape, affine)
    raise DataError(
        f"found shape {probability.shape}, affine {np.round(probability_affine, 3).tolist()}; "
        f"expected the reference's shape {shape}, affine {np.round(affine, 3).tolist()} (RAS mm, "
        f"to within {geometry.GRID_TOLERANCE_MM} mm at the corners), or a grid in-plane smaller by "
        f"a whole factor. Predict on the images that preprocess made of this patient."
    )


def _check_binary(array, path):
    """:raises DataError: a value is neither 0 nor 1."""
    if array.dtype.kind in "bui":  # no copies of the volume, which take longer than all measures
        sound = not array.size or (array.min() >= 0 and array.max() <= 1)
    else:
        sound = ((array == 0) | (array == 1)).all()
    if not sound:
        values = np.unique(array)
        shown = ", ".join(f"{value:g}" for value in values[:10])
        more = ", ..." if len(values) > 10 else ""
        raise DataError(
            f"{path} has the values {shown}{more}; expected a mask of 0 and 1. Make "
            f"one label of it first."
        )
