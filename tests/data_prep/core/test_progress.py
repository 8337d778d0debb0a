import io

from data_prep.core import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, unit, steps, total):
    """Run through (second, done) steps on a clock that the test holds."""
    clock = iter([0.0, *(second for second, _ in steps)])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.Progress("Preparing", total, unit, stream) as bar:
        for _, done in steps:
            bar.update(done)
    return stream.getvalue()


def test_lines_have_rate_and_remaining_time_and_come_seldom(monkeypatch):
    steps = [(0, 4), (3, 5), (20, 8), (25, 9), (60, 40)]  # four were done before this run
    text = shown(monkeypatch, io.StringIO(), "patients", steps, 40)
    assert text.splitlines() == [
        "Preparing: 8 of 40 patients, 12 per minute, 0:02:40 left",
        "Preparing: 40 of 40 patients, 36 per minute, 0:00:00 left",
    ]


def test_bytes_are_shown_as_gigabytes(monkeypatch):
    text = shown(monkeypatch, io.StringIO(), "B", [(0, 0), (100, 10**9)], 73 * 10**9)
    assert text == "Preparing: 1.00 of 73.00 GB, 10.0 MB/s, 2:00:00 left\n"


def test_a_bar_on_a_terminal():
    stream = Terminal()
    with progress.Progress("Preparing", 2, "patients", stream) as bar:
        bar.update(0)
        bar.update(2)
    assert "Preparing" in stream.getvalue() and "2 of 2 patients" in stream.getvalue()
