import numpy as np
import pytest

from data_prep.cohort.job import Parameters
from data_prep.cohort.split import (
    PAPER_SHARES,
    PAPER_SPLIT,
    PHASES,
    UNUSED,
    dealt_before,
    missing_ids,
    split_phases,
    split_warnings,
)
from data_prep.core.errors import DataError
from tests.support.manifests import manifest_of


def volumes_of(ids):
    """Return a volume for each id that does not follow its name: skewed, as those of tumours."""
    draws = np.random.default_rng(len(ids)).lognormal(3.5, 1.2, len(ids))
    return dict(zip(ids, draws.tolist(), strict=True))


def sizes_of(phases):
    return [list(phases.values()).count(phase) for phase in PHASES]


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
        (7, (1 / 3, 1 / 3, 1 / 3), [3, 2, 2]),
        (7, (1, 1, 1), [1, 1, 1]),
        (2, (1, 1, 1), [1, 1, 0]),
        (421, (260, 40, 40), [260, 40, 40]),
        (421, PAPER_SHARES, [322, 50, 49]),
        (340, PAPER_SHARES, [260, 40, 40]),
        (339, (260, 40, 40), [259, 40, 40]),
        (10, (0.7, 0.1, 0.2), [7, 1, 2]),
    ],
)
def test_split_sizes(count, weights, sizes):
    volumes = volumes_of([f"P{k}" for k in range(count)])
    assert sizes_of(split_phases(volumes, weights, 0)) == sizes


@pytest.mark.parametrize("seed", range(10))
def test_small_and_large_tumours_are_in_every_phase(seed):
    volumes = volumes_of([f"P{k:03}" for k in range(340)])
    phases = split_phases(volumes, PAPER_SPLIT, seed)
    ranked = sorted(volumes, key=volumes.get)
    for phase, size in zip(PHASES, PAPER_SPLIT, strict=True):
        for quarter in range(4):  # at random a quarter of 40 would be 10 +- 2.6
            part = ranked[85 * quarter : 85 * (quarter + 1)]
            assert abs([phases[name] for name in part].count(phase) - size / 4) <= 2


def test_everybody_has_the_same_chance():
    volumes = volumes_of([f"P{k}" for k in range(10)])
    splits = [split_phases(volumes, (0.8, 0.1, 0.1), seed) for seed in range(1500)]
    tested = [name for split in splits for name in split if split[name] == "Inference"]
    # 1500 draws with a chance of 0.1: 150 +- 12
    assert all(abs(tested.count(name) - 150) < 5 * 12 for name in volumes)


def test_ids_are_text():
    assert list(split_phases({"007": 1.0, "7": 2.0, "1e3": 3.0}, PAPER_SPLIT, 0)) == [
        "007",
        "7",
        "1e3",
    ]


def test_split_depends_on_the_seed_and_not_on_the_order():
    volumes = volumes_of([f"P{k}" for k in range(60)])
    for split in ((0.6, 0.2, 0.2), (20, 10, 10)):
        first = split_phases(volumes, split, 0)
        assert split_phases(dict(reversed(volumes.items())), split, 0) == first
        assert split_phases(volumes, split, 1) != first


def test_the_first_split_never_changes():
    volumes = {f"P{k}": float(k) for k in range(5)}
    assert "".join(phase[0] for phase in split_phases(volumes, PAPER_SPLIT, 0).values()) == "TTIVT"


def test_known_patients_keep_their_phase_and_new_ones_fill_what_is_missing():
    volumes = volumes_of([f"P{k:02}" for k in range(34)])
    early = {name: volumes[name] for name in list(volumes)[:20]}
    first = split_phases(early, PAPER_SPLIT, 0)
    later = split_phases(volumes, PAPER_SPLIT, 0, first)
    assert {name: later[name] for name in early} == first
    assert sizes_of(later) == sizes_of(split_phases(volumes, PAPER_SPLIT, 0)) == [26, 4, 4]
    assert UNUSED not in later.values()
    assert list(later) == list(volumes)
    assert split_phases(volumes, PAPER_SPLIT, 0, first) == later
    fewer = {name: volume for name, volume in volumes.items() if name != "P03"}
    assert split_phases(fewer, PAPER_SPLIT, 0, later) == {name: later[name] for name in fewer}


def test_a_phase_above_its_size_receives_no_patient():
    known = {f"P{k}": "Inference" for k in range(4)} | {"gone": "Training"}
    volumes = volumes_of([f"P{k}" for k in range(9)])
    thirds = (1 / 3, 1 / 3, 1 / 3)
    assert sizes_of(split_phases(volumes, thirds, 0, known)) == [3, 2, 4]
    assert sizes_of(split_phases(volumes, (0.5, 0, 0.5), 0, known)) == [5, 0, 4]


def test_dealt_before_counts_for_the_same_weights_and_seed_only():
    dealt = {"A": "Training", "B": UNUSED}
    manifest = manifest_of([], Parameters(split=(1, 1, 1), seed=3), dealt=dealt)
    assert dealt_before(manifest, (1, 1, 1), 3) == {"A": "Training"}
    assert dealt_before(manifest, (1, 1, 1), 4) == dealt_before(manifest, (1, 1, 2), 3) == {}
    assert dealt_before(None, (1, 1, 1), 3) == {}


def test_whom_numbers_of_patients_leave_out_is_of_all_sizes():
    volumes = volumes_of([f"P{k:03}" for k in range(421)])
    phases = split_phases(volumes, PAPER_SPLIT, 0)
    unused = [name for name in volumes if phases[name] == UNUSED]
    ranked = sorted(volumes, key=volumes.get)
    assert len(unused) == 81
    for third in range(3):  # at random a third would be 27 +- 4
        part = set(ranked[140 * third : 140 * (third + 1)])
        assert abs(len(part.intersection(unused)) - 27) <= 2


def test_an_unassigned_patient_replaces_a_removed_one():
    volumes = volumes_of([f"P{k:02}" for k in range(20)])
    first = split_phases(volumes, (6, 3, 3), 0)
    known = {name: phase for name, phase in first.items() if phase in PHASES}
    gone = next(name for name, phase in first.items() if phase == "Training")
    volumes.pop(gone)
    later = split_phases(volumes | {"Q": 3.0}, (6, 3, 3), 0, known)
    assert sizes_of(later) == [6, 3, 3]
    assert {name: later[name] for name in known if name != gone} == {
        name: phase for name, phase in known.items() if name != gone
    }
    # with fewer wanted, who was dealt stays
    assert sizes_of(split_phases(volumes, (1, 3, 3), 0, known)) == [5, 3, 3]


def test_a_phase_without_a_patient_is_a_warning_that_says_what_follows():
    train, valid = split_warnings(["Inference"], 1, (0.5, 0.25, 0.25))
    assert "No patient is for Training" in train and "--split" in train
    assert "validation_every_n = -1" in valid
    [infer] = split_warnings(["Training"], 1, (0.5, 0, 0.5))
    assert "`net_segment inference` then takes all patients" in infer
    assert split_warnings(list(PHASES), 3, (1, 1, 1)) == []
    assert split_warnings([], 0, (1, 1, 1)) == []


def test_numbers_that_the_cohort_does_not_have_are_a_warning():
    [more] = split_warnings([*PHASES, UNUSED, UNUSED], 5, (1, 1, 1))
    assert more.startswith("2 of 5 patients are in no set and in no list: --split 1 1 1 are")
    [less] = split_warnings(list(PHASES), 3, (260, 40, 40))
    assert less.startswith("--split 260 40 40 asks for 340 patients, but only 3 have a label")


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
        "split.csv": ["7"],
        "ct.csv": ["007"],
        "label.csv": ["7"],
    }
    assert missing_ids(tmp_path / "split.csv", []) == {}
    (tmp_path / "ct.csv").write_text("A,x\nA,y\n")
    with pytest.raises(DataError, match=r"ct\.csv lists 1 id more than once: A"):
        missing_ids(tmp_path / "split.csv", paths)
    with pytest.raises(DataError, match="absent.csv cannot be read"):
        missing_ids(tmp_path / "absent.csv", [])
