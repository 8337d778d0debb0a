"""The errors of this project: one root class, so that a program can catch all of them."""


class NetLungError(Exception):
    """Root of all errors that this project raises for its user.

    The message is one paragraph for a reader: what is wrong, where, what was expected, what was
    found, and what to do. It never contains a patient's name.
    """


class DataError(NetLungError):
    """Something is wrong with the data or with an option."""
