"""The same training twice."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.support.graph_reached import GraphReached
from tests.support.toy import losses

ITERATIONS = 25


@pytest.fixture
def seeds(tf):
    from niftynet_ext.training import seeds

    return seeds


def test_a_thread_draws_from_its_own_stream_in_any_order(seeds):
    def draw(subject):
        with seeds.drawing_from(seeds.stream(3, subject)):
            return [np.random.randint(1000), np.random.uniform(), np.random.permutation(5).tolist()]

    alone = {subject: draw(subject) for subject in range(20)}
    with ThreadPoolExecutor(8) as pool:
        assert dict(zip(range(20)[::-1], pool.map(draw, range(20)[::-1]), strict=True)) == alone
    assert len({str(values) for values in alone.values()}) == 20


def test_a_stream_is_numpys_own_generator(seeds):
    """The functions of np.random give what a RandomState of the same state gives."""
    with seeds.drawing_from(np.random.RandomState(5)):
        found = np.random.randn(4)
    assert np.array_equal(found, np.random.RandomState(5).randn(4))


def test_drawing_leaves_the_global_random_stream_unchanged(seeds):
    np.random.seed(11)
    first = np.random.rand(3)
    np.random.seed(11)
    with seeds.drawing_from(seeds.stream(1)):
        np.random.rand(7)
    assert np.array_equal(np.random.rand(3), first)


@pytest.mark.parametrize(
    "others", [(4, 0, 0, 2, 1), (3, 5, 0, 2, 1), (3, 0, 1, 2, 1), (3, 0, 0, 1, 2), (3, 0, 0, 2, 2)]
)
def test_seed_start_phase_subject_and_visit_all_count(seeds, others):
    assert seeds.stream(3, 0, 0, 2, 1).randint(1 << 30) != seeds.stream(*others).randint(1 << 30)


def test_the_drawn_split_depends_on_the_seed(main, job):
    """NiftyNet draws a split when there is none and fractions are given."""
    split, found = job.folder / "split.csv", []
    job.set("TRAINING", exclude_fraction_for_validation=0.5)
    for seed in (1, 1, 2, 3, 4):
        split.unlink()
        with pytest.raises(GraphReached):
            main("train", "--seed", seed)
        found.append(split.read_text())
    assert found[0] == found[1] and len(set(found)) > 1


def train(job, iterations, **keys):
    """Return the losses of training and validation as printed, to the last digit."""
    job.set("SYSTEM", **keys)
    code, text = job.net_segment("train", "--max_iter", iterations, "--save_every_n", 100)
    assert code == 0
    found = losses(text) + losses(text, "validation")
    assert len(found) == iterations + iterations // 2
    return found


@pytest.mark.slow  # trains four times; seeds of each part are tested without a training
def test_two_runs_have_identical_losses_whatever_the_threads(job):
    """Initialisation, order of subjects, windows and augmentation."""
    once = train(job, ITERATIONS, seed=7, num_threads=1)
    assert train(job, ITERATIONS, seed=7, num_threads=1) == once
    assert train(job, ITERATIONS, seed=7, num_threads=3) == once
    assert train(job, ITERATIONS, seed=8, num_threads=1) != once


@pytest.mark.long
def test_two_runs_of_densehighres3dnet_have_identical_losses(job):
    job.set("NETWORK", name="densehighres3dnet_v1")
    once = train(job, 50, seed=7, num_threads=1)
    assert train(job, 50, seed=7, num_threads=1) == once
