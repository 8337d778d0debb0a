"""The progress line: its numbers, and when it is printed."""
import io
from types import SimpleNamespace

import pytest


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def handler(tf, monkeypatch):
    """Function: a handler on a stream, with a clock that the test moves."""
    from niftynet_ext import progress
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)

    def make(stream, **options):
        made = progress.ProgressLine(**options)
        made.stream = stream
        made.on_start(None)
        return made, clock
    return make


def message(iteration, loss=None, phase="training"):
    from niftynet.engine.application_variables import CONSOLE
    return SimpleNamespace(current_iter=iteration, current_iter_output={CONSOLE: {"loss": loss}},
                           is_validation=phase == "validation", is_training=phase == "training")


def test_plain_lines_every_five_seconds_and_at_the_end(handler):
    out = io.StringIO()
    made, clock = handler(out, initial_iter=10, final_iter=22)
    for iteration in range(11, 23):
        clock.now += 1.0
        made.on_iteration(None, iter_msg=message(iteration, loss=0.5))
        made.on_iteration(None, iter_msg=message(iteration, 9.0, "validation"))
    assert out.getvalue().splitlines() == [
        "[train] 15/22  loss 0.5000  1.00 s/iteration  0:00:07 left",
        "[train] 20/22  loss 0.5000  1.00 s/iteration  0:00:02 left",
        "[train] 22/22  loss 0.5000  1.00 s/iteration  0:00:00 left"]


def test_moving_average_and_eta(handler):
    made, clock = handler(io.StringIO(), final_iter=10_000)
    for iteration, loss in ((1, 1.0), (2, 0.0)):
        clock.now += 2.0
        made.on_iteration(None, iter_msg=message(iteration, loss))
    assert made.average == pytest.approx(0.95)
    assert made.line(2, clock.now) == (
        "[train] 2/10000  loss 0.9500  2.00 s/iteration  5:33:16 left")


def test_one_line_is_rewritten_on_a_terminal(handler):
    out = Terminal()
    made, clock = handler(out, final_iter=3)
    for iteration in (1, 2, 3):
        clock.now += 0.1
        made.on_iteration(None, iter_msg=message(iteration, 0.25))
    made.on_end(None)
    assert out.getvalue().count("\r\033[K") == 3 and out.getvalue().count("\n") == 1


def test_inference_counts_windows(handler):
    out = io.StringIO()
    made, clock = handler(out, is_training_action=False)
    clock.now += 6.0
    made.on_iteration(None, iter_msg=message(2, phase="inference"))
    assert out.getvalue() == "[infer] 3 windows, 2.00 s each\n"
