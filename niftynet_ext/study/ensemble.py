"""Combine the probability maps of several models into one (paper 4.3, last row of table 3).

The paper does not say how it combined its three models; the mean is this project's choice.
"""

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from data_prep.core import files, predictions, resample
from data_prep.core.console import count_of
from data_prep.core.contracts import Contract
from data_prep.core.errors import DataError
from data_prep.core.identity import RESEARCH_USE

METHODS = ("mean", "majority")
"""How to combine probabilities, see :func:`combine`."""

ENSEMBLE_FILE = "ensemble.json"
"""File of the :class:`EnsembleRecord`, beside the combined maps."""


class EnsembleRecord(Contract):
    """How the maps of a folder were combined."""

    notice: str
    method: str
    weights: list[float] | None
    models: list[str]
    software: dict[str, str]


def combine(
    maps: Iterable[np.ndarray], weights: Sequence[float] | None = None, method: str = "mean"
) -> np.ndarray:
    """Combine probability maps, one in memory at a time.

    ``mean``: the weighted mean of the probabilities. ``majority``: the share of the models' votes
    (weights) that are for tumour. A mask is made of it as of a probability, where it exceeds 0.5,
    so that half the votes are not enough.

    :param maps: float arrays of one shape; an iterator is read one map at a time
    :param weights: one positive number for each map; equal by default
    :param method: one of :data:`METHODS`
    :return: float32 array of the same shape, 0 to 1
    :raises ValueError: shapes differ, there is no map, or weights or method are invalid
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")
    weights = None if weights is None else check_weights(weights)
    combined: np.ndarray | None = None
    total, count = 0.0, 0
    for count, probability in enumerate(maps, 1):
        if weights is not None and count > len(weights):
            raise ValueError(f"{count_of(len(weights), 'weight')} for more maps; give one for each")
        weight = 1.0 if weights is None else weights[count - 1]
        votes = resample.native_mask(probability) if method == "majority" else probability
        if combined is None:
            combined = np.zeros_like(votes, dtype=np.float32)
        if votes.shape != combined.shape:
            raise ValueError(f"map {count} has shape {votes.shape}, the first {combined.shape}")
        combined += np.float32(weight) * votes
        total += weight
    if combined is None:
        raise ValueError("found no map, expected at least one map")
    if weights is not None and count != len(weights):
        raise ValueError(
            f"{count_of(len(weights), 'weight')} for {count_of(count, 'map')}; give one for each"
        )
    combined /= np.float32(total)
    return np.clip(combined, 0, 1, out=combined)  # rounding may exceed 1


def check_weights(weights: Iterable[float]) -> list[float]:
    """Check that weights are positive and finite.

    :param weights: numbers
    :return: the same numbers
    :raises ValueError: a number is not positive and finite
    """
    weights = [float(weight) for weight in weights]
    if not all(0 < weight < np.inf for weight in weights):
        raise ValueError(f"weights are {weights}, expected positive numbers")
    return weights


def ensemble(
    folders: Sequence[str | PathLike[str]],
    out_dir: str | PathLike[str],
    weights: Sequence[float] | None = None,
    method: str = "mean",
) -> dict[str, Path]:
    """Combine folders of probability maps into one that reads like the folder of a model.

    :param folders: one for each model: all with the same patients on the same grids
    :param out_dir: folder to write: ``<id>_niftynet_out.nii.gz``, ``inferred.csv`` and
        :data:`ENSEMBLE_FILE`
    :param weights: one for each folder; equal by default
    :param method: one of :data:`METHODS`
    :return: the files written, by patient id
    :raises DataError: fewer than two folders, patients or grids differ, or a map cannot be used
    :raises ValueError: weights or method are invalid
    """
    models, out_dir = [Path(folder) for folder in folders], Path(out_dir)
    if len(models) < 2:
        raise DataError(
            f"--predictions: found {count_of(len(models), 'folder')}"
            f"{''.join(f' ({folder})' for folder in models)}, expected two or more: one for each "
            "model."
        )
    if weights is not None and len(check_weights(weights)) != len(models):
        raise ValueError(
            f"{count_of(len(weights), 'weight')} for {len(models)} folders; give one for each"
        )
    if out_dir.resolve() in [folder.resolve() for folder in models]:
        raise DataError(f"--out {out_dir} is one of the models' folders. Name another folder.")
    found = [predictions.find(folder) for folder in models]
    _check_patients(models, found)
    files.make_folder(out_dir)
    listing = out_dir / predictions.INFERRED_LIST
    files.write_csv(listing, [])  # nothing in the folder is valid until all of it is written
    written: dict[str, Path] = {}
    for patient_id in sorted(found[0]):
        paths = [paths_of_model[patient_id] for paths_of_model in found]
        combined = combine(_read_all(paths), weights, method)
        _, affine = predictions.read_grid(paths[0])
        written[patient_id] = out_dir / f"{patient_id}{predictions.POSTFIX}.nii.gz"
        files.write_nifti(written[patient_id], combined, affine)
    files.write_csv(listing, [(patient_id, path.resolve()) for patient_id, path in written.items()])
    EnsembleRecord(
        notice=RESEARCH_USE,
        method=method,
        weights=None if weights is None else list(weights),
        models=[str(folder) for folder in models],
        software=files.versions(),
    ).write(out_dir / ENSEMBLE_FILE)
    return written


def _read_all(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    """Yield the maps of one patient, all on the grid of the first.

    :raises DataError: another grid, or not a probability map
    """
    shape, affine = predictions.read_grid(paths[0])
    for path in paths:
        array = predictions.read_on_grid(
            path,
            shape,
            affine,
            f"Expected the grid of {paths[0]}: predict with all models on the same images.",
        )
        try:
            resample.check_probability(array)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        yield array


def _check_patients(folders: Sequence[Path], found: Sequence[dict[str, Path]]) -> None:
    """Check that all folders have the same patients.

    :raises DataError: they do not; the message names the patients that each folder lacks
    """
    everybody = sorted({patient_id for paths in found for patient_id in paths})
    lacking = {
        folder: [patient_id for patient_id in everybody if patient_id not in paths]
        for folder, paths in zip(folders, found, strict=True)
    }
    faults = [f"{folder} has no {', '.join(ids)}" for folder, ids in lacking.items() if ids]
    if faults or not everybody:
        raise DataError(
            "The models have different patients, or none: "
            f"{'; '.join(faults) or 'no prediction in any folder'}. Run inference with all models "
            "on the same set."
        )
