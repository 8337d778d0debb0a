"""Each model's best checkpoint, by Dice3D on the validation patients (paper 4.3)."""

import json
import shlex
from pathlib import Path

import pandas as pd

from data_prep.core import files, predictions
from data_prep.core.errors import DataError
from niftynet_ext.core import checkpoints
from niftynet_ext.study import cases, rounds
from niftynet_ext.study.scoring import Model

CHECKPOINT = "checkpoint.json"
"""File beside predictions: iteration and SHA-256 of the checkpoint that made them."""


def infer(config, iteration, which, wanted):
    """Run ``net_segment inference`` of one checkpoint, unless its predictions are there already.

    Beside the predictions the hash of their checkpoint is noted: those of a network that was
    trained anew since, or of an inference that broke off, are removed and made again.

    :param config: path of the network's ini file
    :param iteration: of the checkpoint
    :param which: NiftyNet's name of the set: Training, Validation or Inference
    :param wanted: ids of the patients in it
    :return: :class:`~.evaluation.cohort.Model`: the model folder's name, the iteration, and the
        folder ``<set>_<iteration>`` in the model folder, which holds the predictions
    :raises DataError: there is no such checkpoint, or patients were not predicted
    """
    model_dir, _ = rounds.read_folders(config)
    folder = model_dir / f"{which.lower()}_{iteration}"
    saved = checkpoints.whole(model_dir)
    if iteration not in saved:
        raise DataError(
            f"{model_dir} has no checkpoint of iteration {iteration}. Choose among "
            f"{', '.join(map(str, saved)) or 'none: train first'}."
        )
    log = model_dir / f"{folder.name}.log"
    checkpoint = {"iteration": iteration, "sha256": checkpoints.sha256(model_dir, iteration)}
    if _noted(folder) != checkpoint or not _complete(folder, wanted):
        _clear(folder)
        words = [
            "net_segment",
            "inference",
            "-c",
            str(config),
            "--inference_iter",
            str(iteration),
            "--dataset_to_infer",
            which.lower(),
            "--save_seg_dir",
            str(folder),
        ]
        print(shlex.join(words), flush=True)
        code = rounds.run_command(words, log)
        if code or not _complete(folder, wanted):
            raise DataError(
                f"net_segment did not predict all {len(wanted)} patients of the set "
                f"{which} (exit code {code}). Read {log}."
            )
        files.write_json(folder / CHECKPOINT, checkpoint)
    return Model(model_dir.name, iteration, folder)


def _noted(folder):
    """
    :return: what is noted of the checkpoint that a folder's predictions are of, or None
    """
    try:
        return json.loads((folder / CHECKPOINT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _clear(folder):
    """Remove predictions, NiftyNet's list of them, and what is noted of them."""
    if folder.is_dir():
        (folder / CHECKPOINT).unlink(missing_ok=True)
        (folder / predictions.INFERRED_LIST).unlink(missing_ok=True)
        for path in predictions.find(folder).values():
            path.unlink()


def _complete(folder, wanted):
    return folder.is_dir() and set(wanted) <= set(predictions.find(folder))


def infer_all(configs, iterations, references_dir, which):
    """
    :param configs: paths of ini files, one for each network
    :param iterations: of the checkpoints
    :param references_dir: folder that ``data_prep preprocess`` wrote
    :param which: set to predict
    :return: list of :class:`~.evaluation.cohort.Model`
    :raises DataError: see :func:`infer`; or the set is empty
    """
    references, _ = cases.find_references(references_dir)
    wanted = [one for one, reference in references.items() if reference.set == which]
    if not wanted:
        raise DataError(
            f"{references_dir} has no patient in the set {which}. Preprocess with another --split."
        )
    return [infer(config, one, which, wanted) for config in configs for one in iterations]


def select_best(cohort):
    """
    :param cohort: DataFrame of :func:`~.evaluation.cohort.summarise`, of one set
    :return: its row of each model with the highest mean Dice3D, the earlier iteration among equals
    """
    ordered = cohort.sort_values("iteration", kind="stable", na_position="last")
    best = ordered.loc[ordered.groupby("model", sort=False)["dice_3d_mean"].idxmax()]
    return best.reset_index(drop=True)


def write(path, cohort, best, folders):
    """Write the choice as JSON: for each model the best checkpoint, and all that were compared.

    :param path: file to write
    :param cohort: DataFrame of all checkpoints
    :param best: DataFrame of :func:`select_best`
    :param folders: dict of folders by (model, iteration or None)
    """

    def record(row):
        iteration = None if pd.isna(row["iteration"]) else int(row["iteration"])
        return {
            "model": row["model"],
            "iteration": iteration,
            "set": row["set"],
            "patients": int(row["patients"]),
            "dice_3d": float(row["dice_3d_mean"]),
            "folder": str(folders[row["model"], iteration]),
        }

    files.write_json(
        Path(path),
        {
            "best": [record(row) for row in best.to_dict("records")],
            "compared": [record(row) for row in cohort.to_dict("records")],
        },
    )
