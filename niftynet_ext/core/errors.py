"""Errors of training and inference; those of the data are in :mod:`data_prep.core.errors`."""

from data_prep.core.errors import NetLungError


class RoundsError(NetLungError):
    """A training that cannot start, or did not reach its iteration."""


class RefusedError(NetLungError, SystemExit, ValueError):
    """A mistake of the user; the text says what, where, expected, found and what to do.

    On the command line it ends the process with exit code 1 and its text, without a traceback.
    Code that calls NiftyNet catches it as a ValueError, like NiftyNet's own errors.
    """

    def __init__(self, text: str) -> None:
        super().__init__(f"error: {text}")

    def __str__(self) -> str:
        return str(self.args[0])
