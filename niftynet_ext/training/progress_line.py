"""A compact line for each iteration in place of NiftyNet's log flood (``progress_line``).

An event handler: in [SYSTEM], ``event_handler`` lists it where ``console_logger`` would stand.
NiftyNet's log then goes to its file in the model folder; warnings still come to the screen.
"""

import logging
import sys
import time

from niftynet.engine.signal import (
    GRAPH_CREATED,
    ITER_FINISHED,
    ITER_STARTED,
    SESS_FINISHED,
    SESS_STARTED,
)

from niftynet_ext.core.messages import PROGRESS_PREFIX
from niftynet_ext.training.meter import Meter

SECONDS_BETWEEN_LINES = 5.0  # where output is not a terminal


class ProgressLine:
    """Iteration, loss, its moving average, seconds an iteration, wait for data, remaining time.

    On a terminal one line is rewritten; elsewhere a plain line appears every five seconds.
    The parameters are those NiftyNet's driver gives every event handler.
    """

    def __init__(
        self, initial_iter=0, final_iter=0, meter=None, is_training_action=True, **_unused
    ):
        self.first = initial_iter
        self.last = final_iter
        self.training = is_training_action
        self.stream = sys.stdout
        self.meter = meter or Meter()
        self.start = self.printed = time.monotonic()
        quiet_console()
        GRAPH_CREATED.connect(self.on_graph)
        SESS_STARTED.connect(self.on_start)
        ITER_STARTED.connect(self.on_iteration_start)
        ITER_FINISHED.connect(self.on_iteration)
        SESS_FINISHED.connect(self.on_end)

    def on_graph(self, _sender, **_unused):
        """See :meth:`~niftynet_ext.training.meter.Meter.on_graph`."""
        if self.training:
            self.meter.on_graph()

    def on_start(self, _sender, **_msg):
        """The clock starts with the session, not with the building of the graph."""
        self.start = self.printed = time.monotonic()

    def on_iteration_start(self, sender, **msg):
        """See :meth:`~niftynet_ext.training.meter.Meter.ask`."""
        self.meter.ask(sender, msg["iter_msg"])

    def on_iteration(self, _sender, **msg):
        """Print a line, if it is time for one."""
        message = msg["iter_msg"]
        if message.is_validation:
            return
        if message.is_training:
            self.meter.tell(message)
        now = time.monotonic()
        ended = self.training and message.current_iter == self.last
        if self.stream.isatty() or now - self.printed >= SECONDS_BETWEEN_LINES or ended:
            self.printed = now
            self._show(self.line(message.current_iter, now))

    def line(self, iteration, now):
        """
        :param iteration: number of the iteration just finished
        :param now: ``time.monotonic()``
        :return: the text to show
        """
        done = iteration - self.first + (0 if self.training else 1)
        pace = (now - self.start) / max(done, 1)
        if not self.training:
            return f"[infer] {done} windows, {pace:.2f} s each"
        left = int(pace * (self.last - iteration))
        eta = f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
        share = self.meter.waiting_share
        waiting = "" if share is None else f" ({share:.0%} waiting for data)"
        return (
            f"{PROGRESS_PREFIX} {iteration}/{self.last}  loss {self.meter.loss:.4f}  "
            f"mean {self.meter.average:.4f}  {pace:.2f} s/iteration{waiting}  {eta} left"
        )

    def on_end(self, _sender, **_msg):
        """Leave the last line of a terminal where it is."""
        if self.stream.isatty():
            self.stream.write("\n")

    def _show(self, line):
        self.stream.write(f"\r\033[K{line}" if self.stream.isatty() else f"{line}\n")
        self.stream.flush()


def quiet_console():
    """Let only warnings of NiftyNet's log through to the screen; its file keeps everything."""
    for handler in logging.getLogger("tensorflow").handlers:
        if type(handler) is logging.StreamHandler:
            handler.setLevel(logging.WARNING)
