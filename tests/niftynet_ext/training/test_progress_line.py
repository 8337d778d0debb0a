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
    from niftynet_ext.training import progress_line

    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress_line.time, "monotonic", lambda: clock.now)

    def make(stream, **options):
        made = progress_line.ProgressLine(**options)
        made.stream = stream
        made.on_start(None)
        return made, clock

    return make


def message(iteration, loss=None, phase="training"):
    from niftynet.engine.application_variables import CONSOLE

    return SimpleNamespace(
        current_iter=iteration,
        current_iter_output={CONSOLE: {"loss": loss}},
        is_validation=phase == "validation",
        is_training=phase == "training",
    )


def test_plain_lines_every_five_seconds_and_at_the_end(handler):
    out = io.StringIO()
    made, clock = handler(out, initial_iter=10, final_iter=22)
    for iteration in range(11, 23):
        clock.now += 1.0
        made.on_iteration(None, iter_msg=message(iteration, loss=0.5))
        made.on_iteration(None, iter_msg=message(iteration, 9.0, "validation"))
    assert out.getvalue().splitlines() == [
        "[train] 15/22  loss 0.5000  mean 0.5000  1.00 s/iteration  0:00:07 left",
        "[train] 20/22  loss 0.5000  mean 0.5000  1.00 s/iteration  0:00:02 left",
        "[train] 22/22  loss 0.5000  mean 0.5000  1.00 s/iteration  0:00:00 left",
    ]


def test_moving_average_and_eta(handler):
    made, clock = handler(io.StringIO(), final_iter=10_000)
    for iteration, loss in ((1, 1.0), (2, 0.0)):
        clock.now += 2.0
        made.on_iteration(None, iter_msg=message(iteration, loss))
    assert made.meter.average == pytest.approx(0.95)
    assert made.line(2, clock.now) == (
        "[train] 2/10000  loss 0.0000  mean 0.9500  2.00 s/iteration  5:33:16 left"
    )


def test_a_shared_meter_counts_an_iteration_once(handler):
    """Two event handlers, as progress_line and train_summary, in any order."""
    from niftynet_ext.training.meter import Meter

    meter = Meter()
    made, clock = handler(io.StringIO(), final_iter=10, meter=meter)
    for iteration, loss in ((1, 1.0), (2, 0.0)):
        step = message(iteration, loss)
        if iteration == 1:
            meter.finish(step)
        clock.now += 1.0
        made.on_iteration(None, iter_msg=step)
        meter.finish(step)
    assert (meter.iterations, meter.average) == (2, pytest.approx(0.95))


def test_one_line_is_rewritten_on_a_terminal(handler):
    out = Terminal()
    made, clock = handler(out, final_iter=3)
    for iteration in (1, 2, 3):
        clock.now += 0.1
        made.on_iteration(None, iter_msg=message(iteration, 0.25))
    made.on_end(None)
    assert out.getvalue().count("\r\033[K") == 3 and out.getvalue().count("\n") == 1


@pytest.mark.parametrize("checkpoint", [0, 100])
def test_inference_counts_batches_from_its_start_whatever_the_checkpoint(handler, checkpoint):
    """The driver's initial_iter is the number of the checkpoint; NiftyNet's messages begin at 0."""
    from niftynet.engine.application_iteration import IterationMessageGenerator

    out = io.StringIO()
    made, clock = handler(out, initial_iter=checkpoint, is_training_action=False)
    messages = IterationMessageGenerator(initial_iter=checkpoint, is_training_action=False)()
    for step in (next(messages), next(messages), next(messages)):
        clock.now += 6.0
        made.on_iteration(None, iter_msg=step)
    assert out.getvalue().splitlines() == [
        "[infer] 1 batch, 6.00 s each",
        "[infer] 2 batches, 6.00 s each",
        "[infer] 3 batches, 6.00 s each",
    ]


def test_waiting_for_data_is_measured_apart_from_computing(tf, handler, monkeypatch):
    """A batch that takes 0.2 s, and a step of 0.2 s: about half of the time is waiting."""
    import time

    from niftynet.engine.application_variables import CONSOLE

    from niftynet_ext.training.meter import Meter

    def sleep(*values):
        time.sleep(0.2)
        return values

    def batch():
        location = tf.zeros([2, 7], tf.int32)
        (slow,) = tf.py_func(sleep, [location], [tf.int32])
        return tf.reshape(slow, [2, 7])

    location = tf.cond(tf.placeholder_with_default(False, []), lambda: batch() + 1, batch)
    with tf.control_dependencies([location]):
        (loss,) = tf.py_func(sleep, [tf.constant(1.0)], [tf.float32])
    meter = Meter()
    meter.on_graph()
    sender = SimpleNamespace(outputs_collector=SimpleNamespace(variables=lambda _: {"loss": loss}))
    # threads of its own: what else runs in this process must not hold up the clock
    threads = tf.ConfigProto(inter_op_parallelism_threads=4, use_per_session_threads=True)
    with tf.Session(config=threads) as session:
        for _ in range(3):
            step = SimpleNamespace(ops_to_run={})
            meter.start(sender, step)
            step.current_iter_output = session.run(step.ops_to_run)
            meter.finish(step)
    assert CONSOLE in step.ops_to_run
    assert meter.waiting >= 0.6 - 0.01 and meter.seconds - meter.waiting >= 0.6 - 0.01
    assert meter.waiting_share == pytest.approx(meter.waiting / meter.seconds)
