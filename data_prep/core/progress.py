"""Progress with rate and remaining time: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from typing import TextIO

LINE_EVERY_S = 10.0
"""Off a terminal at most one line in this time, and one at the end: logs stay short."""


class Progress:
    """A context in which :meth:`update` shows how much of ``total`` is done.

    :param title: one word or two.
    :param unit: ``B`` for bytes, else the name of what is counted.
    :param stream: standard error by default.
    """

    def __init__(self, title: str, total: int, unit: str, stream: TextIO | None = None):
        self.title, self.total, self.unit = title, total, unit
        self.stream = stream or sys.stderr
        self.bar = None

    def __enter__(self) -> "Progress":
        self.start = self.shown = time.monotonic()
        self.first, self.done = None, 0
        if self.stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[text]}"),
                console=Console(file=self.stream),
            )
            self.task = self.bar.add_task(self.title, total=self.total, text="")
            self.bar.start()
        return self

    def __exit__(self, *_) -> None:
        if self.bar:
            self.bar.stop()

    def update(self, done: int) -> None:
        """Show that ``done`` of the total are done; what was done at the first call is not ours."""
        now = time.monotonic()
        self.first = done if self.first is None else self.first
        self.done = done
        line = self.line(done - self.first, now - self.start)
        if self.bar:
            self.bar.update(self.task, completed=done, text=line)
        elif done >= self.total or now - self.shown >= LINE_EVERY_S:
            self.shown = now
            print(f"{self.title}: {line}", file=self.stream, flush=True)

    def line(self, ours: int, seconds: float) -> str:
        """Return "done of total, rate, time left".

        :param ours: of ``done``, how much since the start.
        """
        rate = ours / seconds if ours and seconds else 0
        left = _clock((self.total - self.done) / rate) if rate else "-"
        if self.unit == "B":
            done, total = f"{self.done / 1e9:.2f}", f"{self.total / 1e9:.2f} GB"
            speed = f"{rate / 1e6:.1f} MB/s"
        else:
            done, total = f"{self.done}", f"{self.total} {self.unit}"
            speed = f"{rate * 60:.3g} a minute"
        return f"{done} of {total}, {speed}, {left} left"


def _clock(seconds: float) -> str:
    whole = int(seconds + 0.5)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
