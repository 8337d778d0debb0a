"""Trainings killed, interrupted, on a full disk or with a NaN; each in its own process."""

import json
import random
import re
import signal
import time

import numpy as np
import pytest

from niftynet_ext.core import checkpoints
from tests.support.toy import NETWORK, kill, losses, wait_until

EVERY = 2  # save_every_n of the toy


def writing(job):
    """Files that TensorFlow is writing, or was when it was killed."""
    return set((job.model / "models").glob("*.tempstate*"))


def begun(log):
    """Number of training iterations in a log."""
    return len(losses(log.read_text())) if log.exists() else 0


def survive(job, kills, switch, seed):
    """Kill a training in rounds again and again, then let it end.

    :param switch: last iteration of the first stage; the second is as long
    :return: its calls of net_segment, as (loss, first iteration, last iteration, iterations logged)
    """
    draw = random.Random(seed)
    log = job.model / "rounds.log"
    words = job.rounds(f"DiceForeground:{switch} Focal:{2 * switch}")
    for number in range(kills):
        before = checkpoints.whole(job.model)
        known, left = begun(log), writing(job)
        process = job.start(*words)
        if number % 2:  # in the middle of a write
            assert wait_until(lambda left=left: writing(job) - left, process)
        else:
            wait_until(lambda known=known: begun(log) > known, process)
            time.sleep(draw.uniform(0, 1))
        kill(process)
        after = checkpoints.whole(job.model)
        assert max(after, default=0) >= max(before, default=0)
    code, text = job.run(*words)
    assert code == 0, text
    calls = re.split(r"^\$ ", log.read_text(), flags=re.MULTILINE)[1:]
    found = []
    for call in calls:
        flags = dict(re.findall(r"--(\w+) (\S+)", call.splitlines()[0]))
        found.append(
            (
                flags["loss_type"],
                int(flags["starting_iter"]),
                int(flags["max_iter"]),
                [int(iteration) for iteration, _ in losses(call)],
            )
        )
    return found


def check(job, calls, switch):
    """Every call resumes from the last complete checkpoint, with the loss of that iteration."""
    reached = 0
    for loss, first, last, iterations in calls:
        assert (loss, last) == (
            ("DiceForeground", switch) if first < switch else ("Focal", 2 * switch)
        )
        assert first >= reached - EVERY  # lost: at most save_every_n iterations
        assert iterations == list(range(first + 1, first + 1 + len(iterations)))
        reached = max([reached, *iterations])
    assert reached == checkpoints.whole(job.model)[-1] == 2 * switch
    assert {call[2] for call in calls} == {switch, 2 * switch}
    assert not writing(job)


@pytest.fixture
def slow_job(job):
    """Iterations of some 30 ms, so that a kill has something to hit."""
    job.write("toynet.py", [NETWORK.replace("FEATURES = 4", "FEATURES = 64")])
    job.set("SYSTEM", seed=1)
    return job


def test_a_training_killed_twice_resumes_from_the_last_whole_checkpoint(slow_job):
    check(slow_job, survive(slow_job, kills=2, switch=30, seed=0), switch=30)


@pytest.mark.long
def test_a_training_killed_at_twenty_random_moments_resumes_each_time(slow_job):
    check(slow_job, survive(slow_job, kills=20, switch=120, seed=1), switch=120)


def test_ctrl_c_saves_the_last_finished_iteration(slow_job):
    slow_job.set("TRAINING", max_iter=100_000, save_every_n=100_000)
    process = slow_job.start("net_segment", "train", "-c", "net.ini")
    log = slow_job.folder / "output.log"
    assert wait_until(lambda: begun(log) > 3, process)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    ended = int(losses(log.read_text())[-1][0])
    assert checkpoints.whole(slow_job.model) == [ended]


@pytest.mark.slow  # trains; test_lock.py tests the lock itself
def test_a_second_training_in_the_same_folder_is_refused(slow_job):
    slow_job.set("TRAINING", max_iter=100_000)
    first = slow_job.start("net_segment", "train", "-c", "net.ini", log="first.log")
    try:
        assert wait_until(lambda: begun(slow_job.folder / "first.log"), first)
        settings = slow_job.model / "settings_training.txt"
        before = settings.read_text(), settings.stat().st_mtime_ns
        code, text = slow_job.net_segment("train", "--lr", "0.02")
        assert (settings.read_text(), settings.stat().st_mtime_ns) == before
        log = (slow_job.model / "training_niftynet_log").read_text()
        rounds, said = slow_job.run(*slow_job.rounds("DiceForeground:100000"))
        assert rounds == 1 and "is training there" in said
        assert not (slow_job.model / "rounds.log").exists()
    finally:
        kill(first)
    assert code == 1 and "in use" not in log
    assert re.search(rf"^error: .*process {first.pid} on .* is training there", text, re.MULTILINE)
    assert "Traceback" not in text


# a limit on the size of files, which stands for the disk's; a training with FULL sets it
LIMIT = (
    "import os, resource\n"
    "if os.environ.get('FULL'):\n"
    "    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
)


def test_a_full_disk_keeps_the_last_whole_checkpoint(job):
    job.write("toynet.py", [LIMIT, NETWORK.replace("FEATURES = 4", "FEATURES = 16")])
    assert job.run(*job.rounds("DiceForeground:3"))[0] == 0
    code, text = job.run(*job.rounds("DiceForeground:3 Focal:7"), FULL="1")
    assert code == 1 and checkpoints.whole(job.model)[-1] == 3
    expected = r"^net_lung train: .*ckpt-4 could not be written: .*File too large"
    assert re.search(expected, text, re.MULTILINE)
    code, _ = job.run(*job.rounds("DiceForeground:3 Focal:7"))
    assert code == 0 and checkpoints.whole(job.model)[-1] == 7


@pytest.mark.slow  # five trainings; the other full disk is tested above
def test_a_full_disk_keeps_the_best_checkpoint(job):
    job.write("toynet.py", [LIMIT, NETWORK.replace("FEATURES = 4", "FEATURES = 16")])
    job.set("TRAINING", whole_volume_validation_every_n=2, save_every_n=100)
    job.add_handlers("best_checkpoint")
    best = job.model / "best"
    assert job.net_segment("train", "--max_iter", "2")[0] == 0
    record = {**json.loads((best / "best.json").read_text()), "dice": -1.0}  # any beats it
    (best / "best.json").write_text(json.dumps(record))

    resume = job.rounds("DiceForeground:8")
    ini = (job.folder / "net.ini").read_text()
    job.write("net.ini", [ini.replace("model_saver,", "")])  # else its refusal comes last
    code, text = job.run(*resume, FULL="1")
    assert code == 1 and "Traceback" not in text
    assert re.search(
        r"^net_lung train: .*best/models/model.ckpt-4 could not be written: .*File too large",
        text,
        re.MULTILINE,
    )
    assert json.loads((best / "best.json").read_text()) == record

    # no new best, so that only the events for TensorBoard are to be written
    (best / "best.json").write_text(json.dumps({**record, "dice": 2.0}))
    code, text = job.run(*resume, FULL="1")
    assert code == 1
    assert re.search(
        r"^net_lung train: .*_whole_volume could not be written: .*File too large",
        text,
        re.MULTILINE,
    )
    (best / "best.json").write_text(json.dumps(record))
    assert json.loads((best / "best.json").read_text()) == record
    assert checkpoints.whole(best) == checkpoints.whole(job.model) == [2]

    job.write("net.ini", [ini])
    assert job.run(*resume)[0] == 0
    found = json.loads((best / "best.json").read_text())
    assert checkpoints.whole(best) == [found["iteration"]] and found["iteration"] > 2
    assert not writing(job) and not list((best / "models").glob("*.tempstate*"))


def test_a_nan_loss_names_the_iteration_the_subjects_and_the_checkpoint(job):
    assert job.net_segment("train", "--max_iter", "4")[0] == 0
    job.save("images", "003", np.full((20, 20, 16), np.nan))
    code, text = job.net_segment("train", "--starting_iter", "-1", "--max_iter", "500")
    assert code == 1 and "Traceback" not in text
    iteration, subjects, saved = re.search(
        r"^error: the \w+ is .*in training iteration (\d+); subjects of the batch: ([\d, ]+)\. .* "
        r"resume from checkpoint (\d+) ",
        text,
        re.MULTILINE,
    ).groups()
    assert "003" in subjects.split(", ") and 4 <= int(saved) < int(iteration)
    assert checkpoints.whole(job.model)[-1] == int(saved)  # no weights that are not numbers


def test_a_checkpoint_of_another_network_names_the_variables(job):
    assert job.net_segment("train", "--max_iter", "2")[0] == 0
    job.write("toynet.py", [NETWORK.replace('"hidden"', '"first"')])
    code, text = job.net_segment("train", "--starting_iter", "2")
    assert code == 1 and "Traceback" not in text
    assert re.search(
        r"^error: .*model.ckpt-2 is not of this network: it lacks \w+/first.*"
        r"it has \w+/hidden",
        text,
        re.MULTILINE,
    )


@pytest.mark.slow  # trains twice; NiftyNet's own behaviour
def test_the_optimiser_is_reset_as_documented(tf, job):
    assert job.net_segment("train", "--max_iter", "3")[0] == 0
    assert (
        job.net_segment(
            "train",
            "--starting_iter",
            "3",
            "--max_iter",
            "5",
            "--vars_to_freeze",
            "^$",
            "--vars_to_restore",
            "^((?!Adam|beta[12]_power).)*$",
        )[0]
        == 0
    )
    first, last = (
        tf.train.load_checkpoint(str(job.model / "models" / f"model.ckpt-{i}")) for i in (3, 5)
    )
    (power,) = (name for name in first.get_variable_to_shape_map() if name.endswith("beta1_power"))
    (kernel,) = (name for name in first.get_variable_to_shape_map() if name.endswith("hidden/w"))
    # Adam's beta1^(steps + 1): two steps since the reset, not five
    assert last.get_tensor(power) == pytest.approx(0.9**3, rel=1e-5)
    # the weights went on: two steps of Adam are at most 0.01 each, a new kernel would differ more
    change = np.abs(first.get_tensor(kernel) - last.get_tensor(kernel)).max()
    assert 0 < change < 0.05
