import numpy as np
import pytest

from data_prep import DataError
from data_prep.split import PHASES, dealt_before, empty_phase_warnings, missing_ids, split_phases

WEIGHTS = (260, 40, 40)


def volumes_of(ids):
    """Return a volume for each id that does not follow its name: skewed, as those of tumours."""
    draws = np.random.default_rng(len(ids)).lognormal(3.5, 1.2, len(ids))
    return dict(zip(ids, draws.tolist(), strict=True))


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
        (421, (260, 40, 40), [322, 50, 49]),
        (10, (0.7, 0.1, 0.2), [7, 1, 2]),
    ],
)
def test_split_sizes(count, weights, sizes):
    volumes = volumes_of([f"P{k}" for k in range(count)])
    assert sizes_of(split_phases(volumes, weights, 0)) == sizes


@pytest.mark.parametrize("seed", range(10))
def test_small_and_large_tumours_are_in_every_phase(seed):
    volumes = volumes_of([f"P{k:03}" for k in range(340)])
    phases = split_phases(volumes, WEIGHTS, seed)
    ranked = sorted(volumes, key=volumes.get)
    for phase, size in zip(PHASES, WEIGHTS, strict=True):
        for quarter in range(4):  # at random a quarter of 40 would be 10 +- 2.6
            part = ranked[85 * quarter : 85 * (quarter + 1)]
            assert abs([phases[one] for one in part].count(phase) - size / 4) <= 2


def test_everybody_has_the_same_chance():
    volumes = volumes_of([f"P{k}" for k in range(10)])
    splits = [split_phases(volumes, (8, 1, 1), seed) for seed in range(1500)]
    tested = [one for split in splits for one in split if split[one] == "Inference"]
    # 1500 draws with a chance of 0.1: 150 +- 12
    assert all(abs(tested.count(one) - 150) < 5 * 12 for one in volumes)


def test_ids_are_text():
    assert list(split_phases({"007": 1.0, "7": 2.0, "1e3": 3.0}, WEIGHTS, 0)) == ["007", "7", "1e3"]


def test_split_depends_on_the_seed_and_not_on_the_order():
    volumes = volumes_of([f"P{k}" for k in range(60)])
    first = split_phases(volumes, (4, 1, 1), 0)
    assert split_phases(dict(reversed(volumes.items())), (4, 1, 1), 0) == first
    assert split_phases(volumes, (4, 1, 1), 1) != first


def test_the_first_split_never_changes():
    volumes = {f"P{k}": float(k) for k in range(5)}
    assert "".join(one[0] for one in split_phases(volumes, WEIGHTS, 0).values()) == "TTIVT"


def test_known_patients_keep_their_phase_and_new_ones_fill_what_is_missing():
    volumes = volumes_of([f"P{k:02}" for k in range(34)])
    early = {one: volumes[one] for one in list(volumes)[:20]}
    first = split_phases(early, WEIGHTS, 0)
    later = split_phases(volumes, WEIGHTS, 0, first)
    assert {one: later[one] for one in early} == first
    assert sizes_of(later) == sizes_of(split_phases(volumes, WEIGHTS, 0)) == [26, 4, 4]
    assert list(later) == list(volumes)
    assert split_phases(volumes, WEIGHTS, 0, first) == later
    fewer = {one: volume for one, volume in volumes.items() if one != "P03"}
    assert split_phases(fewer, WEIGHTS, 0, later) == {one: later[one] for one in fewer}


def test_a_phase_that_is_too_full_gets_nobody():
    known = {f"P{k}": "Inference" for k in range(4)} | {"gone": "Training"}
    volumes = volumes_of([f"P{k}" for k in range(9)])
    assert sizes_of(split_phases(volumes, (1, 1, 1), 0, known)) == [3, 2, 4]
    assert sizes_of(split_phases(volumes, (1, 0, 1), 0, known)) == [5, 0, 4]


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


def test_ids_missing_on_either_side_are_listed(tmp_path):
    lists = {
        "split.csv": "007,Training\nA,Validation\nNA,Inference\n",
        "ct.csv": "7,/x/7.nii.gz\nA,/x/A.nii.gz\nNA,/x/NA.nii.gz\n",
        "label.csv": "007,/x/7.nii.gz\nA,/x/A.nii.gz\nNA,/x/NA.nii.gz\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
    paths = [tmp_path / name for name in ("ct.csv", "label.csv")]
    assert missing_ids(tmp_path / "split.csv", paths) == {
        "split.csv": ["7"], "ct.csv": ["007"], "label.csv": ["7"]
    }
    assert missing_ids(tmp_path / "split.csv", []) == {}
    (tmp_path / "ct.csv").write_text("A,x\nA,y\n")
    with pytest.raises(DataError, match=r"ct\.csv lists 1 ids more than once: A"):
        missing_ids(tmp_path / "split.csv", paths)
    with pytest.raises(DataError, match="absent.csv cannot be read"):
        missing_ids(tmp_path / "absent.csv", [])
