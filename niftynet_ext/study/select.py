"""Select each model's best checkpoint, by Dice3D on the validation patients (paper 4.3)."""

import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from data_prep.core import predictions
from data_prep.core.contracts import Contract, Part
from data_prep.core.errors import DataError, StepFailedError
from niftynet_ext.core import checkpoints
from niftynet_ext.evaluation.patient_scores import DICE_3D
from niftynet_ext.study import cases, rounds, scoring
from niftynet_ext.study.scoring import ModelPredictions
from niftynet_ext.study.tables import whole_iteration

CHECKPOINT_FILE = "checkpoint.json"
"""The file of a :class:`CheckpointRecord`, beside predictions."""

SELECTION_FILE = "selected.json"
"""Usual name of the file of a :class:`SelectionRecord`."""

_MEAN_DICE = f"{DICE_3D}_mean"


class CheckpointRecord(Contract):
    """Which checkpoint made the predictions of a folder: its iteration and SHA-256."""

    iteration: int
    sha256: str


class CheckpointScore(Part):
    """The mean Dice3D of a checkpoint over the patients of a set; where its predictions are."""

    model: str
    iteration: int | None
    set: str
    patients: int
    dice_3d: float
    folder: str

    @property
    def label(self) -> str:
        """Return the model and iteration as one word, see :func:`~.scoring.model_label`."""
        return scoring.model_label(self.model, self.iteration)


class SelectionRecord(Contract):
    """The best checkpoint of each model, and all that were compared."""

    best: list[CheckpointScore]
    compared: list[CheckpointScore]


@dataclass(frozen=True)
class Selection:
    """What :func:`select_checkpoints` found: the summary of all checkpoints, and the record."""

    summary: pd.DataFrame
    record: SelectionRecord


def infer(
    config: str | PathLike[str], iteration: int, only_set: str, wanted: Collection[str]
) -> ModelPredictions:
    """Run ``net_segment inference`` with one checkpoint, unless its predictions exist already.

    The hash of the checkpoint is noted beside its predictions. Predictions of a network that was
    trained again since, or of an inference that failed, are removed and made again.

    :param config: path of the network's ini file
    :param iteration: of the checkpoint
    :param only_set: NiftyNet's name of the set: Training, Validation, Inference or All
    :param wanted: ids of the patients in it
    :return: the name of the model folder, the iteration, and the folder of the predictions:
        ``<set>_<iteration>`` in the model folder
    :raises DataError: there is no such checkpoint, or patients were not predicted
    """
    model_dir, _ = rounds.read_folders(config)
    folder = model_dir / f"{only_set.lower()}_{iteration}"
    saved = checkpoints.whole(model_dir)
    if iteration not in saved:
        raise DataError(
            f"{model_dir} has no checkpoint of iteration {iteration}. Choose among "
            f"{', '.join(map(str, saved)) or 'none: train first'}."
        )
    log = model_dir / f"{folder.name}.log"
    digest = checkpoints.sha256(model_dir, iteration)
    checkpoint = CheckpointRecord(iteration=iteration, sha256=digest)
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
            only_set.lower(),
            "--save_seg_dir",
            str(folder),
        ]
        print(shlex.join(words), file=sys.stderr, flush=True)
        code = rounds.run_command(words, log)
        if code or not _complete(folder, wanted):
            raise StepFailedError(
                f"net_segment did not predict all {len(wanted)} patients of the set {only_set} "
                f"(exit code {code}). Read {log}."
            )
        checkpoint.write(folder / CHECKPOINT_FILE)
    return ModelPredictions(model_dir.name, iteration, folder)


def _noted(folder: Path) -> CheckpointRecord | None:
    """Return which checkpoint made the predictions of a folder, or None if that is unknown."""
    try:
        return CheckpointRecord.read(folder / CHECKPOINT_FILE, "")
    except DataError:
        return None


def _clear(folder: Path) -> None:
    """Remove predictions, NiftyNet's list of them, and the note on their checkpoint."""
    if folder.is_dir():
        (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
        (folder / predictions.INFERRED_LIST).unlink(missing_ok=True)
        for path in predictions.find(folder).values():
            path.unlink()


def _complete(folder: Path, wanted: Collection[str]) -> bool:
    return folder.is_dir() and set(wanted) <= set(predictions.find(folder))


def infer_all(
    configs: Sequence[str | PathLike[str]],
    iterations: Sequence[int],
    references_dir: str | PathLike[str],
    only_set: str,
) -> list[ModelPredictions]:
    """Run inference with some checkpoints of each network, where not yet done.

    :param configs: paths of ini files, one for each network
    :param iterations: of the checkpoints
    :param references_dir: folder that ``preprocess`` wrote
    :param only_set: the set to predict
    :raises DataError: see :func:`infer`; or the set is empty
    """
    references, _ = cases.find_references(Path(references_dir))
    wanted = [name for name, reference in references.items() if reference.set == only_set]
    if not wanted:
        raise DataError(
            f"{references_dir} has no patient in the set {only_set}. Run preprocess with another "
            "--split."
        )
    return [
        infer(config, iteration, only_set, wanted) for config in configs for iteration in iterations
    ]


def select_checkpoints(
    models: Sequence[ModelPredictions],
    references_dir: str | PathLike[str],
    only_set: str | None,
    path: str | PathLike[str],
) -> Selection:
    """Score checkpoints, select the best of each model, and write the choice.

    :param models: predictions of each checkpoint, see :func:`infer_all`
    :param references_dir: folder that ``preprocess`` wrote, or one of NIfTI masks
    :param only_set: the set to score
    :param path: JSON file to write, usually :data:`SELECTION_FILE`
    :raises DataError: patients or files do not match, or cannot be used
    """
    scored = scoring.score_models(models, Path(references_dir), only_set)
    summary = scoring.summarise(*scoring.join(scored))
    folders = {model.label: model.folder for model in models}
    record = SelectionRecord(
        best=_scores(select_best(summary), folders), compared=_scores(summary, folders)
    )
    record.write(Path(path))
    return Selection(summary, record)


def select_best(summary: pd.DataFrame) -> pd.DataFrame:
    """Select the checkpoint of each model with the highest mean Dice3D.

    :param summary: of one set, see :func:`~.scoring.summarise`
    :return: its row of each model; of equal ones, the row of the earlier iteration
    """
    ordered = summary.sort_values("iteration", kind="stable", na_position="last")
    best = ordered.loc[ordered.groupby("model", sort=False)[_MEAN_DICE].idxmax()]
    return best.reset_index(drop=True)


def read_selection(path: str | PathLike[str]) -> SelectionRecord:
    """Read the choice that :func:`select_checkpoints` wrote.

    :param path: the JSON file
    :raises DataError: absent, unreadable, damaged, or of a newer schema
    """
    return SelectionRecord.read(Path(path), "Run net_lung select again.")


def _scores(summary: pd.DataFrame, folders: Mapping[str, Path]) -> list[CheckpointScore]:
    """Return the rows of a summary as they are written.

    :param summary: see :func:`~.scoring.summarise`
    :param folders: of the predictions, by label
    """
    return [_score(row, folders) for row in summary.to_dict("records")]


def _score(row: Mapping[Any, Any], folders: Mapping[str, Path]) -> CheckpointScore:
    return CheckpointScore(
        model=row["model"],
        iteration=whole_iteration(row["iteration"]),
        set=row["set"],
        patients=int(row["patients"]),
        dice_3d=float(row[_MEAN_DICE]),
        folder=str(folders[scoring.model_label(row["model"], row["iteration"])]),
    )
