"""Intervals and tests against SciPy, textbooks and plain reasoning."""

import numpy as np
import pytest
from scipy import stats

from niftynet_ext.evaluation.statistics import bootstrap_mean, holm, paired_test


def test_bootstrap_of_patients_equals_scipys():
    values = np.random.default_rng(3).beta(4, 2, 40)
    found = bootstrap_mean(values, np.ones(40), seed=0)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile"
    ).confidence_interval
    assert found == pytest.approx(expected, abs=0.005)
    assert found[0] < values.mean() < found[1]


def test_slices_of_a_patient_are_drawn_together():
    # all slices of a patient alike: as many observations as patients, however many the slices
    patients = np.random.default_rng(3).beta(4, 2, 40)
    assert bootstrap_mean(50 * patients, np.full(40, 50), seed=0) == pytest.approx(
        bootstrap_mean(patients, np.ones(40), seed=0)
    )


def test_bootstrap_is_seeded_and_weighs_by_slices():
    sums, counts = np.array([9.0, 0.0, 2.0]), np.array([10, 0, 4])
    assert bootstrap_mean(sums, counts, 5) == bootstrap_mean(sums, counts, 5)
    assert bootstrap_mean(sums, counts, 5) == pytest.approx((0.5, 0.9))  # one patient's mean each


@pytest.mark.parametrize("counts", [[1], [0, 7], [0, 0]])
def test_one_patient_has_no_interval(counts):
    assert np.isnan(bootstrap_mean(np.ones(len(counts)), counts, 0)).all()


def test_wilcoxon_of_a_textbook():
    # Siegel (1956), social perception of eight twins: T = 4, two-sided p = 0.054688
    nursery, home = [82, 69, 73, 43, 58, 56, 76, 85], [63, 42, 74, 37, 51, 43, 80, 82]
    differences = np.subtract(nursery, home)
    assert sorted(differences) == [-4, -1, 3, 6, 7, 13, 19, 27]
    ranks = stats.rankdata(abs(differences))
    assert ranks[differences < 0].sum() == 4
    assert paired_test(nursery, home) == pytest.approx(14 / 256)


def test_an_infinite_distance_counts_as_the_largest():
    first = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    better, best = first - 0.5 * np.arange(1, 7), first.copy()
    best[5] = 6.0
    worse = first.copy()
    worse[:] += 0.5 * np.arange(1, 7)
    missed = worse.copy()
    missed[5] = np.inf
    assert paired_test(first, missed) == paired_test(first, worse) == pytest.approx(2 / 64)
    assert paired_test(first, better) == pytest.approx(2 / 64)
    tie = np.array([np.inf, 1.0, 2.0])
    assert paired_test(tie, tie) == 1.0
    assert paired_test(np.r_[first, np.inf], np.r_[missed, np.inf]) == pytest.approx(2 / 64)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9, 0.001]) == pytest.approx([1.0, 1.0, 0.003])
    assert len(holm([])) == 0
