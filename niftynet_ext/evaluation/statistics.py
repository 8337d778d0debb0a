"""How sure the means are, and whether two models differ: with patients as the units."""

import numpy as np
import numpy.typing as npt
from scipy.stats import wilcoxon

RESAMPLES = 10_000
"""Number of resamples of a bootstrap."""

LEVEL = 0.95
"""Confidence level of the bounds of a mean."""


def bootstrap_mean(sums: npt.ArrayLike, counts: npt.ArrayLike, seed: int) -> tuple[float, float]:
    """Confidence interval of ``sum(sums) / sum(counts)``, resampling patients (percentile method).

    For a mean over patients, ``counts`` are 1. For a mean over slices of all patients, a patient
    is drawn with all its slices, because the slices of one patient are not independent.

    :param sums: (patients,) sum of each patient's values
    :param counts: (patients,) number of each patient's values, 0 allowed
    :param seed: of the resampling
    :return: lower and upper bound at 95 %; nan with fewer than two patients that have values
    """
    of_patients, weights = np.asarray(sums, float), np.asarray(counts, float)
    if np.count_nonzero(weights) < 2:
        return np.nan, np.nan
    number = len(of_patients)
    draws = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), RESAMPLES)
    totals = draws @ weights
    means = (draws @ of_patients)[totals > 0] / totals[totals > 0]
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(means, [tail, 100 - tail]).tolist()
    return low, high


def paired_test(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Wilcoxon's signed-rank test, two-sided, of one measure of two models on the same patients.

    The test works on ranks, so an infinite distance counts as the largest; two infinite ones are a
    tie. Ties are left out, as Wilcoxon did.

    :param first: (patients,) values of one model
    :param second: (patients,) values of the other model, in the same order
    :return: p value; 1 where all patients tie
    """
    with np.errstate(invalid="ignore"):
        differences = np.asarray(first, float) - np.asarray(second, float)
    differences = differences[np.not_equal(first, second)]
    return float(wilcoxon(differences).pvalue) if len(differences) else 1.0


def holm(p_values: npt.ArrayLike) -> np.ndarray:
    """Adjust p values for the number of tests (Holm 1979, step-down).

    :param p_values: (tests,)
    :return: (tests,) adjusted p values; below 0.05 is significant at 5 % over all tests together
    """
    raw = np.asarray(p_values, float)
    order = np.argsort(raw)
    stepped = raw[order] * np.arange(len(raw), 0, -1)
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted
