"""How sure the means are, and whether two models differ: with patients as the units."""

import numpy as np
from scipy.stats import wilcoxon

RESAMPLES = 10_000
LEVEL = 0.95


def bootstrap_mean(sums, counts, seed):
    """Confidence interval of ``sum(sums) / sum(counts)``, resampling patients (percentile method).

    For a mean over patients, ``counts`` are 1. For a mean over slices of all patients, a patient
    is drawn with all its slices, as slices of one patient are no independent observations.

    :param sums: (patients,) sum of each patient's values
    :param counts: (patients,) number of each patient's values, 0 allowed
    :param seed: of the resampling
    :return: lower and upper bound at 95 %; nan with fewer than two patients that have values
    """
    sums, counts = np.asarray(sums, float), np.asarray(counts, float)
    if np.count_nonzero(counts) < 2:
        return np.nan, np.nan
    draws = np.random.default_rng(seed).multinomial(
        len(sums), np.full(len(sums), 1 / len(sums)), RESAMPLES
    )
    totals = draws @ counts
    means = (draws @ sums)[totals > 0] / totals[totals > 0]
    tail = 50 * (1 - LEVEL)
    return tuple(np.percentile(means, [tail, 100 - tail]).tolist())


def paired_test(first, second):
    """Wilcoxon's signed-rank test, two-sided, of one measure of two models on the same patients.

    The test works on ranks, so an infinite distance takes part as the largest; two infinite ones
    are a tie. Ties are left out, as Wilcoxon did.

    :param first: (patients,)
    :param second: (patients,)
    :return: p value; 1 where all patients tie
    """
    with np.errstate(invalid="ignore"):
        differences = np.asarray(first, float) - np.asarray(second, float)
    differences = differences[np.not_equal(first, second)]
    return float(wilcoxon(differences).pvalue) if len(differences) else 1.0


def holm(p_values):
    """Adjust p values for the number of tests (Holm 1979, step-down).

    :param p_values: (tests,)
    :return: (tests,) adjusted p values; below 0.05 is significant at 5 % over all tests together
    """
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values)
    stepped = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted
