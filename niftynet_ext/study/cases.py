"""Which prediction belongs to which reference, and both as masks on the reference's grid."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.cohort.manifest import MANIFEST, MAX_REDUCE, GridRecord, read_manifest
from data_prep.core import geometry, predictions, resample
from data_prep.core.errors import DataError

VALUES_SHOWN = 10
"""How many values of a mask that is none stand in the message."""


@dataclass(frozen=True)
class Reference:
    """A patient's set (NiftyNet's phase), reference mask, and CT and coarse grid where known."""

    set: str
    path: Path
    image: Path | None = None
    coarse: GridRecord | None = None


def find_references(
    folder: str | Path, which: str | None = None
) -> tuple[dict[str, Reference], list[str]]:
    """Find the reference masks in a folder.

    :param folder: folder that ``preprocess`` wrote, or one of NIfTI masks.
    :param which: of the latter, the name of the set that they are.
    :return: references by patient id, of all sets; ids of patients known to have no reference.
    :raises DataError: no reference there, or a manifest that cannot be read.
    """
    folder, unlabelled = Path(folder), []
    found: dict[str, Reference] = {}
    if (folder / MANIFEST).is_file():
        for patient in read_manifest(folder).usable:
            label, image = patient.files.native_label, patient.files.image
            if label is None:
                unlabelled.append(patient.id)
                continue
            found[patient.id] = Reference(
                patient.phase or "",
                folder / label,
                folder / image if image else None,
                patient.coarse,
            )
    else:
        masks = predictions.find(folder)
        found = {patient_id: Reference(which or "", path) for patient_id, path in masks.items()}
    if not found:
        raise DataError(
            f"{folder} holds no reference mask. Give the folder that preprocess wrote, "
            "or one with a mask <id>.nii.gz of each patient."
        )
    return found, unlabelled


def match(
    references: dict[str, Reference],
    folder: str | Path,
    which: str | None = None,
    unlabelled: Collection[str] = (),
) -> dict[str, tuple[Reference, Path]]:
    """Pair the references with a model's predictions.

    Without ``which``, the sets to score are those of the patients that the model predicted. In a
    set to score every patient must be predicted, and every predicted patient must be known.

    :param references: by id, of all sets.
    :param folder: the model's predictions.
    :param which: the set to score.
    :param unlabelled: ids that may be predicted though they have no reference.
    :return: by id, the reference and the prediction's path.
    :raises DataError: patients are missing or extra: all are named; or the set is empty.
    """
    found = predictions.find(Path(folder))
    predicted = {references[name].set for name in found if name in references}
    sets = [which] if which else predicted
    wanted = {name: reference for name, reference in references.items() if reference.set in sets}
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in references and name not in unlabelled]
    faults = [f"no prediction of {', '.join(missing)}"] if missing else []
    faults += [f"no reference of {', '.join(extra)}"] if extra else []
    if not wanted:
        present = sorted({reference.set for reference in references.values()})
        faults += [
            f"no patient to score; the sets with references are {', '.join(present) or 'none'}"
        ]
    if faults:
        raise DataError(
            f"{folder}: {'; '.join(faults)}. Expected a prediction of every patient of "
            "the set and of no unknown patient: run inference on the whole set, or choose "
            "another with --set."
        )
    return {name: (reference, found[name]) for name, reference in wanted.items()}


def read_pair(
    prediction_path: str | Path, reference_path: str | Path, coarse: GridRecord | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read a prediction and its reference as masks on the reference's grid.

    A prediction on the grid that ``preprocess`` makes of the reference's (in-plane smaller by a
    whole factor, or ``coarse``) is resized as ``restore`` does it. Fractions are probabilities of
    the tumour; the mask is where they are above 0.5.

    :param prediction_path: NIfTI file of a mask or of probabilities.
    :param reference_path: NIfTI file of a mask.
    :param coarse: the grid that ``preprocess`` made, from its manifest.
    :return: prediction and reference, boolean (x, y, z); their affine, RAS mm.
    :raises DataError: unreadable, another grid, or values other than 0 and 1 (or 0 to 1).
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


def to_grid(
    probability: np.ndarray,
    probability_affine: np.ndarray,
    shape: tuple[int, int, int],
    affine: np.ndarray,
    coarse: GridRecord | None = None,
) -> np.ndarray:
    """Return a mask on a grid, from one on the same grid or on a coarser one.

    :param probability: (x, y, z) mask or probability map, on the grid asked for or a coarser one.
    :param probability_affine: 4x4, RAS mm.
    :param shape: (x, y, z) of the grid asked for.
    :param affine: 4x4 of the grid asked for, RAS mm.
    :param coarse: see :func:`read_pair`.
    :return: boolean mask (x, y, z) on the grid asked for.
    :raises DataError: neither this grid nor a coarse one of it, or values beyond 0 to 1.
    """
    if probability.shape == shape and geometry.same_grid(probability_affine, affine, shape):
        resample.check_probability(probability)
        return resample.native_mask(probability)
    grids = [resample.reduced_grid(shape, affine, factor) for factor in range(2, MAX_REDUCE + 1)]
    known = [(grid.shape, grid.affine) for grid in grids]
    if coarse:
        known.append((coarse.shape, coarse.affine))
    for coarse_shape, coarse_affine in known:
        if probability.shape == coarse_shape and geometry.same_grid(
            probability_affine, coarse_affine, coarse_shape
        ):
            return resample.to_native_mask(probability, coarse_affine, shape, affine)
    raise DataError(
        f"found shape {probability.shape}, affine {np.round(probability_affine, 3).tolist()}; "
        f"expected the reference's shape {shape}, affine {np.round(affine, 3).tolist()} (RAS mm, "
        f"to within {geometry.GRID_TOLERANCE_MM} mm at the corners), or a grid in-plane smaller by "
        "a whole factor. Predict on the images that preprocess made of this patient."
    )


def _check_binary(array: np.ndarray, path: str | Path) -> None:
    """Check that a volume is a mask.

    :raises DataError: a value is neither 0 nor 1.
    """
    if array.dtype.kind in "bui":  # no copies of the volume, which take longer than all measures
        sound = not array.size or (array.min() >= 0 and array.max() <= 1)
    else:
        sound = ((array == 0) | (array == 1)).all()
    if not sound:
        values = np.unique(array)
        shown = ", ".join(f"{value:g}" for value in values[:VALUES_SHOWN])
        more = ", ..." if len(values) > VALUES_SHOWN else ""
        raise DataError(
            f"{path} has the values {shown}{more}; expected a mask of 0 and 1. Make "
            "a mask of one label first."
        )
