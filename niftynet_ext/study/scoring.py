"""Score folders of predictions: the tables of slices, of patients and of the cohort.

Patients of different sets are never averaged together, nor slices of different models.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from data_prep.core import geometry
from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from niftynet_ext.evaluation.lesions import LesionCounts
from niftynet_ext.evaluation.patient_scores import (
    DICE_3D,
    HD95_3D,
    MSD_3D,
    PATIENT_COLUMNS,
    score_patient,
)
from niftynet_ext.evaluation.slices import DICE_2D, FP, HD95_2D, MSD_2D, SLICE_COLUMNS, TP
from niftynet_ext.evaluation.statistics import bootstrap_mean, holm, paired_test
from niftynet_ext.study import cases

GROUP_KEYS = ("model", "iteration", "set")
"""What the patients of a group have in common; columns of the tables of all but the tests."""

ROW_KEYS = (*GROUP_KEYS, "id")
"""First columns of the tables of patients and of slices."""

DICE_TP = "dice_tp"
"""Dice2D over TP slices only: column D of the paper's table 3."""

MEANS = ("mean", "low", "high")
"""Endings of the columns of a mean and its bounds."""

QUARTILES = {"q1": 25, "q2": 50, "q3": 75}
"""Endings of the columns of quartiles, and their percentiles."""

TESTED_MEASURES = (DICE_3D, DICE_2D, MSD_3D, HD95_3D)
"""Measures of a patient that :func:`compare` tests."""

TEST_COLUMNS = (
    "set",
    "measure",
    "first",
    "second",
    "patients",
    "mean_difference",
    "p",
    "p_holm",
)
"""Columns of the table of :func:`compare`."""

SCORING_THREADS = min(4, os.cpu_count() or 1)
"""Patients scored at once. A patient takes some 200 MB while it is read and resized."""

_KINDS_OF_FOLDERS = ("inference", "validation", "training", "predictions", "masks", "all", "")
"""Names of folders that say what they hold, and not which model it is of."""

Alter = Callable[[np.ndarray, np.ndarray, str], np.ndarray]
"""A post-processing: mask, boolean (x, y, z); its affine, RAS mm; patient id -> mask."""


def _columns(name: str, endings: Iterable[str]) -> list[str]:
    return [f"{name}_{ending}" for ending in endings]


SUMMARY_COLUMNS = (
    *GROUP_KEYS,
    "patients",
    "empty_predictions",
    "empty_references",
    *_columns(DICE_3D, (*MEANS, *QUARTILES)),
    *_columns(DICE_2D, (*MEANS, *QUARTILES)),
    *(column for name in (DICE_TP, MSD_2D, HD95_2D) for column in _columns(name, MEANS)),
    "tp",
    "fn",
    "fp",
    *(column for name in (MSD_3D, HD95_3D) for column in _columns(name, QUARTILES)),
    *_columns("volume_error_ml", MEANS),
    *LesionCounts._fields,
)
"""Columns of the table of :func:`summarise`."""

PATIENT_TABLE_COLUMNS = (*ROW_KEYS, *PATIENT_COLUMNS)
"""Columns of the table of patients."""

SLICE_TABLE_COLUMNS = (*ROW_KEYS, *SLICE_COLUMNS)
"""Columns of the table of slices."""


@dataclass(frozen=True)
class ModelPredictions:
    """A folder of predictions, the name of the network and the iteration of the checkpoint."""

    name: str
    iteration: int | None
    folder: Path

    @property
    def label(self) -> str:
        """Return the name and iteration as one word, see :func:`model_label`."""
        return model_label(self.name, self.iteration)


class ScoredModel(NamedTuple):
    """Tables by :data:`PATIENT_TABLE_COLUMNS` and :data:`SLICE_TABLE_COLUMNS`."""

    patients: pd.DataFrame
    slices: pd.DataFrame


def model_label(model: str, iteration: Any) -> str:
    """Return how a model and its iteration are written: ``densehighres3dnet_v1@60000``.

    :param model: the name
    :param iteration: a number, or None or pandas' missing value
    """
    return str(model) if pd.isna(iteration) else f"{model}@{int(iteration)}"


def parse_model(text: str) -> ModelPredictions:
    """Read from the command line which folder holds the predictions of which model.

    The default name is that of the folder, or of its parent where the name of the folder says only
    what it holds (``inference_60000``); the number there is then the default iteration.

    :param text: ``FOLDER``, ``NAME=FOLDER`` or ``NAME@ITERATION=FOLDER``
    :raises DataError: the iteration is not a number
    """
    label, separator, path = ("", "", text) if Path(text).is_dir() else text.rpartition("=")
    folder = Path(path)
    own_name = folder.absolute().name
    numbered = re.fullmatch(r"(.*?)_?(\d+)", own_name)
    kind, number = (numbered[1], numbered[2]) if numbered else (own_name, "")
    if kind in _KINDS_OF_FOLDERS:
        name = folder.absolute().parent.name
    else:  # v1, fold3, preds_2024: the number is part of the name
        name, number = own_name, ""
    if separator:
        name, _, given = label.partition("@")
        number = given or number
        if given and not given.isdecimal():
            raise DataError(
                f"{text}: the iteration {given!r} is not a number. Expected NAME@ITERATION=FOLDER."
            )
    return ModelPredictions(name, int(number) if number else None, folder)


def score_models(
    models: Sequence[ModelPredictions], references_dir: Path, only_set: str | None = None
) -> list[ScoredModel]:
    """Score models against the same references.

    :param models: their predictions
    :param references_dir: folder that ``preprocess`` wrote, or one of NIfTI masks
    :param only_set: the set to score; by default those of which a model predicted a patient
    :return: the tables of each model
    :raises DataError: two models have the same name and iteration, or a model cannot be scored
    """
    labels = [model.label for model in models]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise DataError(
            f"{', '.join(repeated)} is given more than once. Name the folders: "
            "NAME@ITERATION=FOLDER."
        )
    references, unlabelled = cases.find_references(references_dir, only_set)
    return [score_model(model, references, only_set, unlabelled) for model in models]


def score_model(
    model: ModelPredictions,
    references: dict[str, cases.Reference],
    only_set: str | None = None,
    unlabelled: Collection[str] = (),
    alter: Alter | None = None,
) -> ScoredModel:
    """Score all patients of a model.

    :param model: its predictions
    :param references: by patient id, see :func:`~.cases.find_references`
    :param only_set: the set to score; by default those of which the model predicted a patient
    :param unlabelled: ids that may be predicted without a reference
    :param alter: a post-processing, run before scoring
    :return: the tables of patients and of slices
    :raises DataError: patients are missing or extra, or files cannot be used: all are named
    """
    pairs = cases.match(references, model.folder, only_set, unlabelled)

    def score(patient_id: str) -> tuple[dict[str, Any], pd.DataFrame] | str:
        """Return the rows of a patient, or why there are none."""
        reference, prediction_path = pairs[patient_id]
        try:
            prediction, mask, affine = cases.read_pair(
                prediction_path, reference.path, reference.coarse
            )
            if alter:
                prediction = alter(prediction, affine, patient_id)
        except DataError as error:
            return str(error)
        scores = score_patient(prediction, mask, geometry.spacing_mm(affine))
        values = (model.name, model.iteration, reference.set, patient_id)
        keys = dict(zip(ROW_KEYS, values, strict=True))
        return keys | scores.row, pd.DataFrame(keys | scores.by_slice)

    with ThreadPoolExecutor(
        SCORING_THREADS
    ) as pool:  # NumPy, SciPy, ITK and zlib release Python's lock
        outcomes = list(pool.map(score, pairs))
    faults = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if faults:
        raise DataError(
            f"{len(faults)} of {count_of(len(pairs), 'patient')} cannot be scored:\n"
            + "\n".join(faults)
        )
    scored = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    by_slice = [rows for _, rows in scored]
    slices_of_all = pd.concat([rows for rows in by_slice if len(rows)] or by_slice[:1])
    patients = pd.DataFrame([row for row, _ in scored])
    return ScoredModel(_with_iterations(patients), _with_iterations(slices_of_all))


def join(scored: Sequence[ScoredModel]) -> ScoredModel:
    """Put the tables of several models together.

    :param scored: the tables of each model
    """
    return ScoredModel(
        pd.concat([model.patients for model in scored], ignore_index=True),
        pd.concat([model.slices for model in scored], ignore_index=True),
    )


def summarise(patients: pd.DataFrame, by_slice: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Make one row for each model, iteration and set: tables 1 to 3 of the paper, and more.

    Bounds ``low`` and ``high`` are those of the mean: 95 %, patients resampled. Quartiles of
    distances in 3-D count an infinite distance (an empty mask) as the worst.

    :param patients: of :func:`score_model`, of any number of models
    :param by_slice: the same, of slices
    :param seed: of the bootstrap
    :return: table by :data:`SUMMARY_COLUMNS`
    """
    rows = []
    for keys, group in _groups(patients, GROUP_KEYS):
        in_group = (
            (by_slice["model"] == keys[0])
            & (by_slice["set"] == keys[2])
            & (
                by_slice["iteration"].isna()
                if pd.isna(keys[1])
                else by_slice["iteration"] == keys[1]
            )
        )
        of_group = by_slice[in_group.fillna(False).astype(bool)]
        rows.append(dict(zip(GROUP_KEYS, keys, strict=True)) | _summary(group, of_group, seed))
    return _with_iterations(pd.DataFrame(rows))


def _summary(group: pd.DataFrame, of_group: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Summarise one model, iteration and set.

    :param group: the patients
    :param of_group: their slices
    :param seed: of the bootstrap
    :return: values by the columns of the summary
    """
    tp = of_group[of_group["kind"] == TP]
    scored = of_group[of_group["kind"] != FP]  # TP and FN
    row: dict[str, Any] = {"patients": len(group)}
    for empty in ("prediction", "reference"):
        row[f"empty_{empty}s"] = int(group["empty"].isin([empty, "both"]).sum())
    row |= _mean(DICE_3D, group, DICE_3D, group, seed)
    row |= _quartiles(DICE_3D, group[DICE_3D])
    row |= _mean(DICE_2D, scored, DICE_2D, group, seed)
    row |= _quartiles(DICE_2D, scored[DICE_2D])
    row |= _mean(DICE_TP, tp, DICE_2D, group, seed)
    row |= _mean(MSD_2D, tp, MSD_2D, group, seed)
    row |= _mean(HD95_2D, tp, HD95_2D, group, seed)
    row |= {kind: int(group[kind].sum()) for kind in ("tp", "fn", "fp")}
    for name in (MSD_3D, HD95_3D):
        row |= _quartiles(name, group[name])
    row |= _mean("volume_error_ml", group, "volume_error_ml", group, seed)
    row |= {name: int(group[name].sum()) for name in LesionCounts._fields}
    return row


def _mean(
    name: str, table: pd.DataFrame, column: str, group: pd.DataFrame, seed: int
) -> dict[str, float]:
    """Average a column, with its bounds, patients resampled; nan where the table is empty."""
    sums = table.groupby("id")[column].agg(["sum", "count"]).reindex(group["id"], fill_value=0)
    low, high = bootstrap_mean(sums["sum"], sums["count"], seed)
    mean = float(table[column].mean()) if len(table) else np.nan
    return dict(zip(_columns(name, MEANS), (mean, low, high), strict=True))


def _quartiles(name: str, values: pd.Series) -> dict[str, float]:
    """Take quartiles, linear between ranks; infinite where an infinite value has any share."""
    huge = 1e200  # as inf - inf and inf * 0 are not numbers
    if not len(values):
        return dict.fromkeys(_columns(name, QUARTILES), np.nan)
    found = np.percentile(np.minimum(values, huge), list(QUARTILES.values()))
    return {
        column: float(value) if value < huge / 1e50 else np.inf
        for column, value in zip(_columns(name, QUARTILES), found, strict=True)
    }


def compare(
    patients: pd.DataFrame,
    against: str | None = None,
    among: Collection[str] | None = None,
) -> pd.DataFrame:
    """Test every two models (or iterations) on the same patients of a set.

    Wilcoxon's signed-rank test on each of :data:`TESTED_MEASURES`, adjusted by Holm over all tests
    of the set: the fewer models are compared, the smaller the adjustment. Patients for whom a
    measure is undefined (nan) in either model are left out of its test; ``patients`` counts those
    that took part.

    :param patients: of :func:`score_model`, of any number of models
    :param against: label of the only model to compare the others with; by default all pairs
    :param among: labels of the models to compare; by default all
    :return: table by :data:`TEST_COLUMNS`; ``mean_difference`` is second - first, of the patients
        for whom both are finite
    :raises DataError: two models have different patients of a set
    """
    rows: list[dict[str, Any]] = []
    for group, table in patients.groupby("set", sort=False):
        models = {
            model_label(*keys): rows_of_model.set_index("id")
            for keys, rows_of_model in _groups(table, GROUP_KEYS[:2])
            if among is None or model_label(*keys) in among
        }
        pairs = (
            [(against, label) for label in models if label != against]
            if against
            else list(combinations(models, 2))
        )
        tests = [
            test
            for first, second in pairs
            for test in _test_pair(str(group), (first, models[first]), (second, models[second]))
        ]
        adjusted = holm([test["p"] for test in tests])
        rows += [test | {"p_holm": float(p)} for test, p in zip(tests, adjusted, strict=True)]
    return pd.DataFrame(rows, columns=list(TEST_COLUMNS))


def _test_pair(
    group: str, first: tuple[str, pd.DataFrame], second: tuple[str, pd.DataFrame]
) -> list[dict[str, Any]]:
    """Test two models on one set.

    :param group: name of the set
    :param first: label of the model, and its patients by id
    :param second: the same of the other model
    :return: a row for each measure, without the adjusted p
    :raises DataError: they have different patients
    """
    (first_label, a), (second_label, b) = first, second
    unpaired = sorted(set(a.index) ^ set(b.index))
    if unpaired:
        raise DataError(
            f"{first_label} and {second_label} have different patients in the set {group}: only "
            f"one of them has {', '.join(unpaired)}."
        )
    rows = []
    for measure in TESTED_MEASURES:
        pair = pd.concat([a[measure], b[measure]], axis=1, keys=["a", "b"]).dropna()
        finite = pair[np.isfinite(pair).all(axis=1)]
        rows.append(
            {
                "set": group,
                "measure": measure,
                "first": first_label,
                "second": second_label,
                "patients": len(pair),
                "mean_difference": float((finite["b"] - finite["a"]).mean()),
                "p": paired_test(pair["a"].to_numpy(), pair["b"].to_numpy()),
            }
        )
    return rows


def _groups(
    table: pd.DataFrame, columns: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Yield the values of some columns, and the rows that have them, in the order of the table."""
    for keys, rows in table.groupby(list(columns), dropna=False, sort=False):
        yield tuple(keys), rows


def _with_iterations(table: pd.DataFrame) -> pd.DataFrame:
    """Make iterations whole numbers, also beside missing ones."""
    return table.astype({"iteration": "Int64"}).reset_index(drop=True)
