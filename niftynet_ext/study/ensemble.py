"""Several models' probabilities of one patient become one (paper 4.3, table 3's last row).

The paper does not say how it combined its three models; the mean is this project's choice.
"""

from pathlib import Path

import numpy as np

from data_prep.core import files, predictions, resample
from data_prep.core.errors import DataError
from data_prep.core.identity import RESEARCH_USE

METHODS = ("mean", "majority")
RECORD = "ensemble.json"


def combine(maps, weights=None, method="mean"):
    """Combine probability maps, one in memory at a time.

    ``mean``: the weighted mean of the probabilities. ``majority``: the share of the models' votes
    (weights) that are for tumour; a mask is made of it like of a probability, where it exceeds
    0.5, so that half the votes are not enough.

    :param maps: iterable of float arrays of one shape, each read when its turn comes
    :param weights: one positive number for each map; equal by default
    :param method: one of :data:`METHODS`
    :return: float32 array of the same shape, 0 to 1
    :raises ValueError: shapes differ, no map, or weights or method that make no sense
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")
    weights = None if weights is None else check_weights(weights)
    combined, total, count = None, 0.0, 0
    for count, one in enumerate(maps, 1):
        if weights is not None and count > len(weights):
            raise ValueError(f"{len(weights)} weights for more maps")
        weight = 1.0 if weights is None else weights[count - 1]
        one = resample.native_mask(one) if method == "majority" else one
        if combined is None:
            combined = np.zeros_like(one, dtype=np.float32)
        if one.shape != combined.shape:
            raise ValueError(f"map {count} has shape {one.shape}, the first {combined.shape}")
        combined += np.float32(weight) * one
        total += weight
    if combined is None or (weights is not None and count != len(weights)):
        raise ValueError(
            f"{len(weights or [])} weights for {count} maps; expected one map at least"
            f" and a weight for each"
        )
    combined /= np.float32(total)
    return np.clip(combined, 0, 1, out=combined)  # rounding


def check_weights(weights):
    """
    :param weights: numbers
    :return: list of float
    :raises ValueError: one of them is not positive and finite
    """
    weights = [float(weight) for weight in weights]
    if not all(0 < weight < np.inf for weight in weights):
        raise ValueError(f"weights are {weights}, expected positive numbers")
    return weights


def ensemble(folders, out_dir, weights=None, method="mean"):
    """Combine folders of probability maps into one that reads like a model's own.

    :param folders: one for each model: all with the same patients on the same grids
    :param out_dir: folder to write: ``<id>_niftynet_out.nii.gz``, ``inferred.csv`` and
        ``ensemble.json``
    :param weights: one for each folder
    :param method: one of :data:`METHODS`
    :return: dict of the files written by patient id
    :raises DataError: patients or grids differ, or a map cannot be used
    :raises ValueError: weights or method make no sense
    """
    folders, out_dir = [Path(folder) for folder in folders], Path(out_dir)
    if weights is not None and len(check_weights(weights)) != len(folders):
        raise ValueError(f"{len(weights)} weights for {len(folders)} folders; give one for each")
    if out_dir.resolve() in [folder.resolve() for folder in folders]:
        raise DataError(f"--out {out_dir} is one of the models' folders. Name another.")
    found = [predictions.find(folder) for folder in folders]
    _check_patients(folders, found)
    files.make_folder(out_dir)
    listing = out_dir / predictions.INFERRED_LIST
    files.write_csv(listing, [])  # nothing here counts until all of it is written
    written = {}
    for one in sorted(found[0]):
        paths = [model[one] for model in found]
        combined = combine(_read_all(paths), weights, method)
        _, affine = predictions.read_grid(paths[0])
        written[one] = out_dir / f"{one}{predictions.POSTFIX}.nii.gz"
        files.write_nifti(written[one], combined, affine)
    files.write_csv(listing, [(one, path.resolve()) for one, path in written.items()])
    files.write_json(
        out_dir / RECORD,
        {
            "notice": RESEARCH_USE,
            "method": method,
            "weights": weights and list(weights),
            "models": [str(folder) for folder in folders],
            "software": files.versions(),
        },
    )
    return written


def _read_all(paths):
    """Yield the maps of one patient, each on the first one's grid.

    :raises DataError: another grid, or not a probability map
    """
    shape, affine = predictions.read_grid(paths[0])
    for path in paths:
        array = predictions.read_on_grid(
            path,
            shape,
            affine,
            f"That of {paths[0]} is expected of all: predict with all models on the same images.",
        )
        try:
            resample.check_probability(array)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        yield array


def _check_patients(folders, found):
    """:raises DataError: not all folders have the same patients: who lacks whom is named."""
    everybody = sorted(set().union(*found))
    lacking = {
        folder: [one for one in everybody if one not in model]
        for folder, model in zip(folders, found, strict=True)
    }
    faults = [f"{folder} has no {', '.join(ids)}" for folder, ids in lacking.items() if ids]
    if faults or not everybody:
        raise DataError(
            f"The models have different patients, or none: "
            f"{'; '.join(faults) or 'no prediction in any folder'}. Run inference of "
            f"all models on the same set."
        )
