import numpy as np
import pytest

from data_prep.cohort.fingerprint import PERCENTILES, of_cohort, of_patient


@pytest.fixture
def patients():
    rng = np.random.default_rng(0)
    made = []
    for shape, spacing in (((20, 22, 9), (1, 1, 3)), ((30, 20, 12), (0.5, 0.5, 5))):
        array = rng.normal(0, 400, shape).astype(np.int16)
        array[0, 0] = -3024 if spacing[0] == 1 else 20_000
        made.append((array, rng.random(shape) < 0.1, np.array(spacing, float)))
    return made


def test_hounsfield_units_of_all_labels_together_are_numpys_percentiles(patients):
    pooled = np.concatenate([array[label] for array, label, _ in patients]).clip(-1024, 3071)
    expected = np.percentile(pooled, PERCENTILES, method="inverted_cdf")
    got = of_cohort([of_patient(*patient) for patient in patients]).label_hu
    np.testing.assert_array_equal(got, expected)


def test_volume_proportion_spacing_and_shape(patients):
    profiles = [of_patient(*patient) for patient in patients]
    for (_, label, spacing), profile in zip(patients, profiles, strict=True):
        assert profile.label.volume_ml == pytest.approx(label.sum() * spacing.prod() / 1000)
        assert profile.label.proportion == pytest.approx(label.mean())
    cohort = of_cohort([*profiles, of_patient(patients[0][0], None, patients[0][2])])
    assert (cohort.patients, cohort.labelled) == (3, 2)
    median = [row[PERCENTILES.index(50)] for row in cohort.spacing_mm]
    assert median == [1, 1, 3]
    assert cohort.shape[0][3] == 20
    assert cohort.volume_ml[3] == pytest.approx(
        np.mean([p.label.volume_ml for p in profiles]), 1e-5
    )


def test_without_patients_or_labels():
    assert of_cohort([]).model_dump(exclude_unset=True) == {"patients": 0}
    bare = of_cohort([of_patient(np.zeros((4, 4, 4), np.int16), None, np.ones(3))])
    assert bare.labelled == 0 and bare.volume_ml is None
