"""What the commands tell the shell: the one table of exit codes."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code of a command."""

    OK = 0
    """All that was asked for is done."""
    FAILED = 1
    """Nothing usable was left, or a patient or a step failed."""
    WRONG_INPUT = 2
    """An option, a file or a folder cannot be used; argparse ends with this code too."""
    INTERRUPTED = 130
    """Ctrl-C, as a shell reports it."""
