"""What a training is doing: its loss, and how long it waits for data."""

import time

import tensorflow as tf
from niftynet.engine.application_variables import CONSOLE

from niftynet_ext.training.batch import window_location

SMOOTHING = 0.95  # weight of the past in the moving average of the loss
READY = "niftynet_ext_batch_ready"


class Meter:
    """Sums over the training iterations of one session.

    Each event handler that shows them asks and tells the same meter, in whatever order NiftyNet
    calls the handlers: what it has heard already it does not count again.

    :ivar iterations: number of training iterations
    :ivar loss: of the last one
    :ivar average: moving average of the loss
    :ivar lowest: lowest moving average
    :ivar seconds: in training steps
    :ivar waiting: of these, seconds until the batch was there
    """

    def __init__(self):
        self.iterations = 0
        self.loss = self.average = self.lowest = None
        self.seconds = self.waiting = 0.0
        self.ready = None
        self.asked = 0.0
        self.heard = None

    def on_graph(self):
        """Add a clock to the graph that is read once the batch is there."""
        if self.ready is not None:
            return
        location = window_location(tf.get_default_graph())
        if location is not None:
            with tf.control_dependencies([location]):
                self.ready = tf.timestamp("batch_ready")

    def ask(self, sender, message):
        """Before an iteration: fetch what NiftyNet's console would show, and the clock."""
        message.ops_to_run[CONSOLE] = sender.outputs_collector.variables(CONSOLE)
        if self.ready is not None:
            message.ops_to_run[READY] = self.ready
        self.asked = time.time()

    def tell(self, message):
        """After a training iteration."""
        if message is self.heard:
            return
        self.heard = message
        out = message.current_iter_output
        self.iterations += 1
        shown = out[CONSOLE]
        self.loss = float(shown["loss"] if "loss" in shown else next(iter(shown.values())))
        past = self.loss if self.average is None else self.average
        self.average = SMOOTHING * past + (1 - SMOOTHING) * self.loss
        self.lowest = self.average if self.lowest is None else min(self.lowest, self.average)
        self.seconds += time.time() - self.asked
        if READY in out:
            self.waiting += max(float(out[READY]) - self.asked, 0.0)

    @property
    def waiting_share(self):
        """Share of the steps' time spent on waiting for data, or None where it is not known."""
        return self.waiting / self.seconds if self.ready is not None and self.seconds else None
