"""How a training speaks to its user: a refusal, a warning, a name that was probably meant."""

import difflib
import sys

from niftynet_ext.core.errors import RefusedError

PROGRESS_PREFIX, CHECK_PREFIX = "[train]", "[check]"
"""How a line of :mod:`niftynet_ext.training.progress_line` begins, and one of :func:`say`."""


def say(text):
    """Print one line, e.g. a warning, that the training in rounds shows on the screen.

    :param text: what happened or is odd, and what to do
    """
    # a terminal may stand at the end of a progress line
    print(
        f"\r\033[K{CHECK_PREFIX} {text}" if sys.stdout.isatty() else f"{CHECK_PREFIX} {text}",
        flush=True,
    )


def did_you_mean(name, known):
    """
    :param name: what stands in the ini file
    :param known: names that exist
    :return: ``did you mean 'x'?`` or, where nothing is near, the names that exist
    """
    lower = {str(word).lower(): str(word) for word in known}
    near = difflib.get_close_matches(str(name).lower(), lower, n=1, cutoff=0.6)
    if near:
        return f"did you mean {lower[near[0]]!r}?"
    return f"known are: {', '.join(sorted(lower.values()))}"


def check_known(where, value, known):
    """
    :param where: section and key, for the message
    :param value: what stands there
    :param known: values that exist
    :raises RefusedError: it is none of them
    """
    if value not in known:
        raise RefusedError(f"{where} = {value} does not exist: {did_you_mean(value, known)}")


def some(items, most=5):
    """
    :param items: words
    :param most: how many of them to name
    :return: ``'a, b, c and 7 more'``
    """
    items = [str(item) for item in items]
    text = ", ".join(items[:most])
    return f"{text} and {len(items) - most} more" if len(items) > most else text
