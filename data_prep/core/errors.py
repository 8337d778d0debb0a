"""The errors of this project: one root, so that a program can catch them all at once."""


class NetLungError(Exception):
    """Root of all errors that this project raises for its user.

    The message is one paragraph for a person: what is wrong, where, expected, found, and what to
    do. It holds no patient name.
    """


class DataError(NetLungError):
    """Something is wrong with the data or an option."""
