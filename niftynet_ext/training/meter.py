"""What a training is doing: its loss, and how long it waits for data."""

import time
from typing import Any

import tensorflow as tf
from niftynet.engine.application_variables import CONSOLE

from niftynet_ext.training.batch import window_location

# NiftyNet is untyped: its objects (application, iteration message) are Any

SMOOTHING = 0.95
"""Weight of the past in the moving average of the loss."""

READY = "niftynet_ext_batch_ready"
"""Key of the clock among the values that NiftyNet fetches from the session."""


class Meter:
    """Sums over the training iterations of one session.

    All event handlers that show them share one meter and report each iteration to it, in whatever
    order NiftyNet calls the handlers; an iteration that was reported before is not counted again.

    :ivar iterations: number of training iterations
    :ivar loss: of the last one
    :ivar average: moving average of the loss
    :ivar lowest: lowest moving average
    :ivar seconds: in training steps
    :ivar waiting: of these, seconds until the batch was available
    """

    def __init__(self) -> None:
        self.iterations = 0
        self.loss: float | None = None
        self.average: float | None = None
        self.lowest: float | None = None
        self.seconds = self.waiting = 0.0
        self.ready: tf.Tensor | None = None
        self.started = 0.0
        self.last_message: Any = None

    def on_graph(self) -> None:
        """Add a clock to the graph that is read as soon as the batch is available."""
        if self.ready is not None:
            return
        location = window_location(tf.get_default_graph())
        if location is not None:
            with tf.control_dependencies([location]):
                self.ready = tf.timestamp("batch_ready")

    def start(self, application: Any, message: Any) -> None:
        """Before an iteration: fetch what NiftyNet's console would show, and the clock.

        :param application: NiftyNet's application
        :param message: NiftyNet's iteration message
        """
        message.ops_to_run[CONSOLE] = application.outputs_collector.variables(CONSOLE)
        if self.ready is not None:
            message.ops_to_run[READY] = self.ready
        self.started = time.time()

    def finish(self, message: Any) -> None:
        """After a training iteration: add it to the sums.

        :param message: NiftyNet's iteration message
        """
        if message is self.last_message:
            return
        self.last_message = message
        output = message.current_iter_output
        self.iterations += 1
        shown = output[CONSOLE]
        loss = float(shown["loss"] if "loss" in shown else next(iter(shown.values())))
        past = loss if self.average is None else self.average
        self.loss = loss
        self.average = SMOOTHING * past + (1 - SMOOTHING) * loss
        self.lowest = self.average if self.lowest is None else min(self.lowest, self.average)
        self.seconds += time.time() - self.started
        if READY in output:
            self.waiting += max(float(output[READY]) - self.started, 0.0)

    @property
    def waiting_share(self) -> float | None:
        """Share of the steps' time spent on waiting for data; None where it is unknown."""
        return self.waiting / self.seconds if self.ready is not None and self.seconds else None
