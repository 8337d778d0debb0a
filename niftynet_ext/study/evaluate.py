"""Evaluate models against references: score them, test them, and write all of it."""

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from data_prep.core.errors import DataError
from niftynet_ext.study import scoring, tables
from niftynet_ext.study.scoring import ModelPredictions, ScoredModel
from niftynet_ext.study.tables import EvaluationTables


def evaluate(
    models: Sequence[ModelPredictions],
    references_dir: str | PathLike[str],
    out_dir: str | PathLike[str],
    only_set: str | None = None,
    seed: int = 0,
    compare: Sequence[str] | None = None,
) -> EvaluationTables:
    """Score one or several models, and write the tables as CSV and ``evaluation.json``.

    :param models: their predictions, see :func:`~.scoring.parse_model`
    :param references_dir: folder that ``preprocess`` wrote, or one of NIfTI masks
    :param out_dir: folder to write
    :param only_set: Training, Validation or Inference: score this set only; by default every set
        of which a model predicted a patient. The name of the set where the references are masks
    :param seed: of the bootstrap
    :param compare: labels of the models to test against each other; by default all of them
    :return: the tables
    :raises DataError: models, patients or files do not match, or cannot be used
    """
    references_dir, out_dir = Path(references_dir), Path(out_dir)
    labels = [model.label for model in models]
    unknown = [label for label in compare or () if label not in labels]
    if unknown:
        raise DataError(
            f"--compare {' '.join(unknown)}: there is no such model; found {', '.join(labels)}."
        )
    scored = scoring.score_models(models, references_dir, only_set)
    found = tabulate(scored, seed, among=compare)
    tables.write(
        out_dir,
        found,
        seed=seed,
        references=relative_path(references_dir, out_dir),
        predictions={model.label: relative_path(model.folder, out_dir) for model in models},
    )
    return found


def tabulate(
    scored: Sequence[ScoredModel],
    seed: int,
    against: str | None = None,
    among: Sequence[str] | None = None,
) -> EvaluationTables:
    """Summarise and compare models.

    :param scored: the tables of each model
    :param seed: of the bootstrap
    :param against: label of the only model to compare the others with; by default all pairs
    :param among: labels of the models to compare; by default all
    """
    patients, by_slice = scoring.join(scored)
    return EvaluationTables(
        summary=scoring.summarise(patients, by_slice, seed),
        patients=patients,
        slices=by_slice,
        tests=scoring.compare(patients, against, among),
    )


def relative_path(path: Path, folder: Path) -> str:
    """Return a path relative to a folder, so that both can be moved together.

    :param path: to be named in a file
    :param folder: of that file
    """
    return os.path.relpath(path, folder)
