"""Learning curves from event files, written by TensorBoard's own writer."""

import subprocess
import sys

import numpy as np

from niftynet_ext.core.paper import Stage
from niftynet_ext.study import curves
from tests.support.training_logs import log


def test_rounds_lie_on_one_axis(tmp_path):
    log(tmp_path, "training", {20: 0.9, 40: 0.5}, clock=1000)
    log(tmp_path, "training", {60: 0.25, 80: 0.125}, clock=2000, run="1")
    log(tmp_path, "validation", {40: 0.75}, clock=1000)
    curve = curves.read_curve(tmp_path, "training")
    assert curve.iterations.tolist() == [20, 40, 60, 80]
    np.testing.assert_allclose(curve.losses, [0.9, 0.5, 0.25, 0.125], rtol=1e-6)
    assert curves.read_curve(tmp_path, "validation").losses.tolist() == [0.75]


def test_an_iteration_run_again_counts_as_it_was_last(tmp_path):
    log(tmp_path, "training", {20: 0.5, 40: 0.25}, clock=2000)
    log(tmp_path, "training", {20: 0.75, 40: 0.75, 60: 1.0}, clock=1000)
    assert curves.read_curve(tmp_path, "training").losses.tolist() == [0.5, 0.25, 1.0]


def test_no_events_no_curve(tmp_path):
    training = curves.read_training(tmp_path)
    assert len(training.training.losses) == len(training.validation.losses) == 0
    assert training.stages == []


def test_stages_from_the_log_of_rounds(tmp_path):
    call = "$ net_segment train -c 'my net.ini' --starting_iter {} --max_iter {} --loss_type {}\n"
    (tmp_path / "rounds.log").write_text(
        call.format(0, 20, "Dice")
        + "noise $ net_segment\n"
        + call.format(20, 30, "Focal")
        + call.format(25, 30, "Focal")
    )
    assert curves.read_stages(tmp_path) == [Stage("Dice", 20), Stage("Focal", 30)]


def test_smoothing_is_a_centred_mean():
    assert curves.smooth(np.array([0.0, 3.0, 6.0, 3.0]), 3).tolist() == [1.5, 3, 4, 4.5]
    assert curves.smooth(np.array([2.0, 4.0]), 9).tolist() == [3, 3]
    assert len(curves.smooth(np.array([]), 3)) == 0


def test_tensorflow_is_not_imported(root):
    code = (
        "import sys, niftynet_ext.study.report;"
        "sys.exit(any(m.split('.')[0] in ('tensorflow', 'niftynet') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
