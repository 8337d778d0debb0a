"""``progress_line``: a compact line for each iteration instead of NiftyNet's log messages.

An event handler: list it in ``event_handler`` of [SYSTEM] instead of ``console_logger``.
NiftyNet's log then goes to its file in the model folder; warnings still appear on the screen.
"""

import logging
import sys
import time
from typing import Any, TextIO

from niftynet.engine.signal import (
    GRAPH_CREATED,
    ITER_FINISHED,
    ITER_STARTED,
    SESS_FINISHED,
    SESS_STARTED,
)

from niftynet_ext.core.messages import PROGRESS_PREFIX
from niftynet_ext.training.meter import Meter

# NiftyNet is untyped: its objects (application, iteration message) are Any

SECONDS_BETWEEN_LINES = 5.0
"""Where the output is not a terminal."""


class ProgressLine:
    """Event handler: show iteration, loss, speed and the remaining time.

    On a terminal one line is rewritten; elsewhere a plain line appears every five seconds.
    NiftyNet's driver passes the parameters to every event handler.

    :param initial_iter: iteration of the checkpoint that the action starts from
    :param final_iter: last iteration of the training
    :param meter: shared with other handlers, or None
    :param is_training_action: whether the action is ``train``
    """

    def __init__(
        self,
        initial_iter: int = 0,
        final_iter: int = 0,
        meter: Meter | None = None,
        is_training_action: bool = True,
        **_unused: Any,
    ) -> None:
        # NiftyNet counts the iterations of an inference from 0, whatever checkpoint it uses
        self.before_first = initial_iter if is_training_action else -1
        self.last = final_iter
        self.training = is_training_action
        self.stream: TextIO = sys.stdout
        self.meter = meter or Meter()
        self.start = self.printed = time.monotonic()
        quiet_console()
        GRAPH_CREATED.connect(self.on_graph)
        SESS_STARTED.connect(self.on_start)
        ITER_STARTED.connect(self.on_iteration_start)
        ITER_FINISHED.connect(self.on_iteration)
        SESS_FINISHED.connect(self.on_end)

    def on_graph(self, _sender: Any, **_unused: Any) -> None:
        """See :meth:`.Meter.on_graph`."""
        if self.training:
            self.meter.on_graph()

    def on_start(self, _sender: Any, **_msg: Any) -> None:
        """Start the clock with the session: building the graph does not count."""
        self.start = self.printed = time.monotonic()

    def on_iteration_start(self, sender: Any, **msg: Any) -> None:
        """See :meth:`.Meter.start`."""
        self.meter.start(sender, msg["iter_msg"])

    def on_iteration(self, _sender: Any, **msg: Any) -> None:
        """Print a line, if it is time for one."""
        message = msg["iter_msg"]
        if message.is_validation:
            return
        if message.is_training:
            self.meter.finish(message)
        now = time.monotonic()
        ended = self.training and message.current_iter == self.last
        if self.stream.isatty() or now - self.printed >= SECONDS_BETWEEN_LINES or ended:
            self.printed = now
            self._show(self.line(message.current_iter, now))

    def line(self, iteration: int, now: float) -> str:
        """Return the text to show.

        :param iteration: number of the iteration that has just finished
        :param now: ``time.monotonic()``
        """
        done = iteration - self.before_first
        pace = (now - self.start) / max(done, 1)
        if not self.training:
            return f"[infer] {done} {'batch' if done == 1 else 'batches'}, {pace:.2f} s each"
        left = int(pace * (self.last - iteration))
        eta = f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
        share = self.meter.waiting_share
        waiting = "" if share is None else f" ({share:.0%} waiting for data)"
        return (
            f"{PROGRESS_PREFIX} {iteration}/{self.last}  loss {self.meter.loss:.4f}  "
            f"mean {self.meter.average:.4f}  {pace:.2f} s/iteration{waiting}  {eta} left"
        )

    def on_end(self, _sender: Any, **_msg: Any) -> None:
        """End the last line of a terminal, so that it stays visible."""
        if self.stream.isatty():
            self.stream.write("\n")

    def _show(self, line: str) -> None:
        self.stream.write(f"\r\033[K{line}" if self.stream.isatty() else f"{line}\n")
        self.stream.flush()


def quiet_console() -> None:
    """Let only warnings of NiftyNet's log through to the screen; its file keeps everything."""
    for handler in logging.getLogger("tensorflow").handlers:
        if type(handler) is logging.StreamHandler:
            handler.setLevel(logging.WARNING)
