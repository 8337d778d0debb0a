"""Show progress with rate and remaining time: a bar on a terminal, an occasional line elsewhere."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_EVERY_S = 10.0
"""Without a terminal, at most one line in this time, and one at the end: logs stay short."""


class Progress:
    """A context in which :meth:`update` shows how much of ``total`` is done.

    :param title: one or two words.
    :param total: the number of units, or of bytes, to do.
    :param unit: ``B`` for bytes, else the plural name of what is counted.
    :param stream: where to show it; standard error by default.
    """

    def __init__(self, title: str, total: int, unit: str, stream: TextIO | None = None) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.stream = stream or sys.stderr
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._start_s = self._shown_s = 0.0
        self._done_before: int | None = None

    def __enter__(self) -> "Progress":
        self._start_s = self._shown_s = time.monotonic()
        self._done_before = None
        if self.stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[text]}"),
                console=Console(file=self.stream),
            )
            self._task = self._bar.add_task(self.title, total=self.total, text="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int) -> None:
        """Show that ``done`` of the total are done.

        What was done at the first call was done by an earlier run: the rate leaves it out.
        """
        now_s = time.monotonic()
        if self._done_before is None:
            self._done_before = done
        line = self._line(done, done - self._done_before, now_s - self._start_s)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, text=line)
        elif done >= self.total or now_s - self._shown_s >= LINE_EVERY_S:
            self._shown_s = now_s
            print(f"{self.title}: {line}", file=self.stream, flush=True)

    def _line(self, done: int, done_now: int, seconds: float) -> str:
        """Return "done of total, rate, time left".

        :param done_now: how much of ``done`` was done in this run.
        :param seconds: since the start of this run.
        """
        rate = done_now / seconds if done_now and seconds else 0
        left = _clock((self.total - done) / rate) if rate else "-"
        if self.unit == "B":
            finished, total = f"{done / 1e9:.2f}", f"{self.total / 1e9:.2f} GB"
            speed = f"{rate / 1e6:.1f} MB/s"
        else:
            finished, total = f"{done}", f"{self.total} {self.unit}"
            speed = f"{rate * 60:.3g} per minute"
        return f"{finished} of {total}, {speed}, {left} left"


def _clock(seconds: float) -> str:
    whole = int(seconds + 0.5)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
