import pytest

from data_prep.split import PHASES, dealt_before, empty_phase_warnings, split_phases

WEIGHTS = (260, 40, 40)


def sizes_of(phases):
    return [list(phases.values()).count(one) for one in PHASES]


@pytest.mark.parametrize(
    ("count", "weights", "sizes"),
    [
        (340, (260, 40, 40), [260, 40, 40]),
        (10, (260, 40, 40), [8, 1, 1]),
        (3, (260, 40, 40), [1, 1, 1]),
        (2, (260, 40, 40), [2, 0, 0]),
        (1, (260, 40, 40), [1, 0, 0]),
        (0, (260, 40, 40), [0, 0, 0]),
        (5, (0, 0, 1), [0, 0, 5]),
        (7, (1, 1, 1), [3, 2, 2]),
    ],
)
def test_split_sizes(count, weights, sizes):
    ids = [f"P{k}" for k in range(count)]
    assert sizes_of(split_phases(ids, weights, 0)) == sizes


def test_split_depends_on_the_seed_and_not_on_the_order():
    ids = [f"P{k}" for k in range(60)]
    first = split_phases(ids, (4, 1, 1), 0)
    assert split_phases(ids[::-1], (4, 1, 1), 0) == first
    assert split_phases(ids, (4, 1, 1), 1) != first


def test_the_first_split_never_changes():
    ids = [f"P{k}" for k in range(5)]
    assert "".join(one[0] for one in split_phases(ids, WEIGHTS, 0).values()) == "VITTT"


def test_known_patients_keep_their_phase_and_new_ones_fill_what_is_missing():
    ids = [f"P{k:02}" for k in range(34)]
    first = split_phases(ids[:20], WEIGHTS, 0)
    later = split_phases(ids, WEIGHTS, 0, first)
    assert {one: later[one] for one in ids[:20]} == first
    assert sizes_of(later) == sizes_of(split_phases(ids, WEIGHTS, 0)) == [26, 4, 4]
    assert list(later) == ids
    assert split_phases(ids, WEIGHTS, 0, first) == later
    fewer = [one for one in ids if one != "P03"]
    assert split_phases(fewer, WEIGHTS, 0, later) == {one: later[one] for one in fewer}


def test_a_phase_that_is_too_full_gets_nobody():
    known = {f"P{k}": "Inference" for k in range(4)} | {"gone": "Training"}
    ids = [f"P{k}" for k in range(9)]
    assert sizes_of(split_phases(ids, (1, 1, 1), 0, known)) == [3, 2, 4]
    assert sizes_of(split_phases(ids, (1, 0, 1), 0, known)) == [5, 0, 4]


def test_dealt_before_counts_for_the_same_weights_and_seed_only():
    manifest = {"parameters": {"split": [1, 1, 1], "seed": 3}, "dealt": {"A": "Training", "B": ""}}
    assert dealt_before(manifest, (1, 1, 1), 3) == {"A": "Training"}
    assert dealt_before(manifest, (1, 1, 1), 4) == dealt_before(manifest, (1, 1, 2), 3) == {}
    assert dealt_before({}, (1, 1, 1), 3) == {}


def test_a_phase_without_a_patient_is_a_warning_that_says_what_follows():
    train, valid = empty_phase_warnings(["Inference"], (2, 1, 1))
    assert "No patient is for Training" in train and "--split" in train
    assert "validation_every_n = -1" in valid
    [infer] = empty_phase_warnings(["Training"], (1, 0, 1))
    assert "`net_segment inference` then takes all patients" in infer
    assert empty_phase_warnings(list(PHASES), (1, 1, 1)) == []
    assert empty_phase_warnings([], (1, 1, 1)) == []
