"""The errors of this project: one root class, so that a program can catch all of them."""

from data_prep.core.exit_codes import ExitCode


class NetLungError(Exception):
    """Root of all errors that this project raises for its user.

    The message is one paragraph for a reader: what is wrong, where, what was expected, what was
    found, and what to do. It never contains a patient's name.
    """

    exit_code = ExitCode.WRONG_INPUT
    """What a command that ends with this error returns to the shell."""


class DataError(NetLungError):
    """Something is wrong with the data or with an option."""


class StepFailedError(DataError):
    """A step of a longer run failed; what was finished before it is kept."""

    exit_code = ExitCode.FAILED
