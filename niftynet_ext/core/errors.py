"""Errors of training and inference; those of the data are in :mod:`data_prep.core.errors`."""

from data_prep.core.errors import NetLungError
from data_prep.core.exit_codes import ExitCode


class RoundsError(NetLungError):
    """A training in rounds that cannot start."""


class TrainingFailedError(RoundsError):
    """A training in rounds that did not reach its iteration."""

    exit_code = ExitCode.FAILED


class RefusedError(NetLungError, SystemExit, ValueError):
    """A mistake of the user; the text says what, where, expected, found and what to do.

    On the command line it ends the process with exit code 1 and its text, without a traceback.
    Code that calls NiftyNet catches it as a ValueError, like NiftyNet's own errors.
    """

    exit_code = ExitCode.FAILED  # as of net_segment

    def __init__(self, text: str) -> None:
        super().__init__(f"error: {text}")

    def __str__(self) -> str:
        return str(self.args[0])
