"""Score folders of predictions: the tables of slices, of patients and of the cohort.

Patients of different sets are never averaged together, nor slices of different models.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from data_prep.core import geometry
from data_prep.core.errors import DataError
from niftynet_ext.evaluation import slices
from niftynet_ext.evaluation.patient_scores import score_patient
from niftynet_ext.evaluation.statistics import bootstrap_mean, holm, paired_test
from niftynet_ext.study import cases

KEYS = ["model", "iteration", "set"]
"""What a group of patients has in common; columns of all tables."""

QUARTILES = {"q1": 25, "q2": 50, "q3": 75}

TESTED = ("dice_3d", "dice_2d", "msd_3d_mm", "hd95_3d_mm")
"""Measures of a patient that :func:`compare` tests."""

# a patient takes some 200 MB while it is read and resized
THREADS = min(4, os.cpu_count() or 1)


class Model(NamedTuple):
    """A folder of predictions, the network's name and the checkpoint's iteration (or None)."""

    name: str
    iteration: int
    folder: Path


def parse_model(text):
    """
    :param text: ``FOLDER``, ``NAME=FOLDER`` or ``NAME@ITERATION=FOLDER``. The default name is the
        folder's, or its parent's where the folder's says only what it is (``inference_60000``); the
        number there is then the default iteration
    :return: :class:`Model`
    """
    label, separator, folder = ("", "", text) if Path(text).is_dir() else text.rpartition("=")
    folder = Path(folder)
    name = folder.absolute().name
    stem, number = re.fullmatch(r"(.*?)(?:_?(\d+))?", name).groups()
    if stem in ("inference", "validation", "training", "predictions", "masks", "all", ""):
        stem = folder.absolute().parent.name
    else:  # v1, fold3, preds_2024: part of a name
        stem, number = name, None
    if separator:
        stem, _, given = label.partition("@")
        number = given or number
        if given and not given.isdecimal():
            raise DataError(
                f"{text}: the iteration {given!r} is no number. Expected NAME@ITERATION=FOLDER."
            )
    return Model(stem, int(number) if number else None, folder)


def score_model(model, references, which=None, unlabelled=(), alter=None):
    """Score all patients of a model.

    :param model: :class:`Model`
    :param references: what :func:`~.cases.find_references` returns
    :param which: set to score; by default those that the model predicted
    :param unlabelled: ids that may be predicted without a reference
    :param alter: function (mask, affine, patient id) -> mask, a post-processing
    :return: DataFrames of patients and of slices: :data:`KEYS`, ``id`` and the columns of
        :mod:`.patient` and :mod:`.slices`
    :raises DataError: patients are missing or extra, or files cannot be used: all are named
    """
    pairs = cases.match(references, model.folder, which, unlabelled)

    def score(one):
        case, prediction_path = pairs[one]
        try:
            prediction, reference, affine = cases.read_pair(prediction_path, case.path, case.coarse)
            if alter:
                prediction = alter(prediction, affine, one)
        except DataError as error:
            return str(error)
        row, by_slice = score_patient(prediction, reference, geometry.spacing_mm(affine))
        keys = {"model": model.name, "iteration": model.iteration, "set": case.set, "id": one}
        return {**keys, **row}, pd.DataFrame({**keys, **by_slice})

    with ThreadPoolExecutor(THREADS) as pool:  # NumPy, SciPy, ITK and zlib release the lock
        scored = list(pool.map(score, pairs))
    faults = [one for one in scored if isinstance(one, str)]
    if faults:
        raise DataError(
            f"{len(faults)} of {len(pairs)} patients cannot be scored:\n" + "\n".join(faults)
        )
    rows, by_slice = zip(*scored, strict=True)
    slices_of_all = pd.concat([one for one in by_slice if len(one)] or by_slice[:1])
    return _with_iterations(pd.DataFrame(rows)), _with_iterations(slices_of_all)


def summarise(patients, by_slice, seed=0):
    """One row for each model, iteration and set: tables 1 to 3 of the paper, and more.

    Bounds ``low`` and ``high`` are of the mean: 95 %, patients resampled. Quartiles of distances
    in 3-D count an infinite one (an empty mask) as the worst.

    :param patients: DataFrame of :func:`score_model`, of any number of models
    :param by_slice: the same, of slices
    :param seed: of the bootstrap
    :return: DataFrame
    """
    rows = []
    for keys, group in patients.groupby(KEYS, dropna=False, sort=False):
        in_group = (
            (by_slice["model"] == keys[0])
            & (by_slice["set"] == keys[2])
            & (
                by_slice["iteration"].isna()
                if pd.isna(keys[1])
                else by_slice["iteration"] == keys[1]
            )
        )
        rows.append(
            {
                **dict(zip(KEYS, keys, strict=True)),
                **_summary(group, by_slice[in_group.fillna(False).astype(bool)], seed),
            }
        )
    return _with_iterations(pd.DataFrame(rows))


def _summary(group, in_slices, seed):
    """
    :param group: the patients' rows of one model, iteration and set
    :param in_slices: their slices' rows
    :return: dict: the columns of the cohort's table
    """
    tp = in_slices[in_slices["kind"] == slices.TP]
    scored = in_slices[in_slices["kind"] != slices.FP]  # TP and FN
    row = {"patients": len(group)}
    for which in ("prediction", "reference"):
        row[f"empty_{which}s"] = int(group["empty"].isin([which, "both"]).sum())
    row |= _mean("dice_3d", group, "dice_3d", group, seed)
    row |= _quartiles("dice_3d", group["dice_3d"])
    row |= _mean("dice_2d", scored, "dice_2d", group, seed)
    row |= _quartiles("dice_2d", scored["dice_2d"])
    row |= _mean("dice_tp", tp, "dice_2d", group, seed)
    row |= _mean("msd_2d_mm", tp, "msd_2d_mm", group, seed)
    row |= _mean("hd95_2d_mm", tp, "hd95_2d_mm", group, seed)
    row |= {kind: int(group[kind].sum()) for kind in ("tp", "fn", "fp")}
    for name in ("msd_3d_mm", "hd95_3d_mm"):
        row |= _quartiles(name, group[name])
    row |= _mean("volume_error_ml", group, "volume_error_ml", group, seed)
    row |= {name: int(group[name].sum()) for name in ("lesions", "lesions_found", "lesions_false")}
    return row


def _mean(name, table, column, group, seed):
    """Mean of a column with its bounds, patients resampled; nan where the table is empty."""
    sums = table.groupby("id")[column].agg(["sum", "count"]).reindex(group["id"], fill_value=0)
    low, high = bootstrap_mean(sums["sum"], sums["count"], seed)
    return {
        f"{name}_mean": float(table[column].mean()) if len(table) else np.nan,
        f"{name}_low": low,
        f"{name}_high": high,
    }


def _quartiles(name, values):
    """Linear between ranks; infinite where any share of an infinite value is in it."""
    huge = 1e200  # as inf - inf and inf * 0 are no numbers
    if not len(values):
        return {f"{name}_{quartile}": np.nan for quartile in QUARTILES}
    found = np.percentile(np.minimum(values, huge), list(QUARTILES.values()))
    return {
        f"{name}_{quartile}": float(value) if value < huge / 1e50 else np.inf
        for quartile, value in zip(QUARTILES, found, strict=True)
    }


def compare(patients, against=None, among=None):
    """Paired tests of every two models (or iterations) on the patients of a set.

    Wilcoxon's signed-rank test on each measure of :data:`TESTED`, adjusted by Holm over all tests
    of the set: the fewer models a question is about, the less is adjusted away. Patients for whom a
    measure is undefined (nan) in either model are left out of its test; ``patients`` counts those
    that took part.

    :param patients: DataFrame of :func:`score_model`, of any number of models
    :param against: :func:`label` of the one model to compare the others with; by default all pairs
    :param among: labels of the models to compare; by default all
    :return: DataFrame: set, measure, first, second, patients, mean difference (second - first) of
        those finite in both, p, p_holm
    :raises DataError: two models have different patients of a set
    """
    rows = []
    for group, table in patients.groupby("set", sort=False):
        models = {
            label(*keys): one.set_index("id")
            for keys, one in table.groupby(KEYS[:2], dropna=False, sort=False)
            if among is None or label(*keys) in among
        }
        tests = []
        pairs = (
            [(against, one) for one in models if one != against]
            if against
            else combinations(models, 2)
        )
        for first, second in pairs:
            a, b = models[first], models[second]
            odd = sorted(set(a.index) ^ set(b.index))
            if odd:
                raise DataError(
                    f"{first} and {second} have different patients in the set {group}: "
                    f"only one has {', '.join(odd)}."
                )
            for measure in TESTED:
                pair = pd.concat([a[measure], b[measure]], axis=1, keys=["a", "b"]).dropna()
                finite = pair[np.isfinite(pair).all(axis=1)]
                tests.append(
                    {
                        "set": group,
                        "measure": measure,
                        "first": first,
                        "second": second,
                        "patients": len(pair),
                        "mean_difference": float((finite["b"] - finite["a"]).mean()),
                        "p": paired_test(pair["a"].to_numpy(), pair["b"].to_numpy()),
                    }
                )
        for one, adjusted in zip(tests, holm([one["p"] for one in tests]), strict=True):
            rows.append({**one, "p_holm": float(adjusted)})
    return pd.DataFrame(rows)


def label(model, iteration):
    """
    :return: how a model and its iteration are written: ``densehighres3dnet_v1@60000``
    """
    return str(model) if pd.isna(iteration) else f"{model}@{int(iteration)}"


def _with_iterations(table):
    """Iterations as whole numbers, also beside missing ones."""
    return table.astype({"iteration": "Int64"}).reset_index(drop=True)
