"""How a training speaks to its user: a refusal, a warning, a name that was probably meant."""

import difflib
import sys
from collections.abc import Iterable

from niftynet_ext.core.errors import RefusedError

PROGRESS_PREFIX = "[train]"
"""How a line of :mod:`niftynet_ext.training.progress_line` begins."""

CHECK_PREFIX = "[check]"
"""How a line of :func:`say` begins."""


def say(text: str) -> None:
    """Print one line, e.g. a warning, that the training in rounds shows on the screen.

    :param text: what happened or is unusual, and what to do
    """
    # the cursor of a terminal may be at the end of a progress line
    print(
        f"\r\033[K{CHECK_PREFIX} {text}" if sys.stdout.isatty() else f"{CHECK_PREFIX} {text}",
        flush=True,
    )


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Suggest the known name that is nearest to an unknown one.

    :param name: what the ini file has
    :param known: names that exist
    :return: ``did you mean 'x'?`` or, where nothing is near, the names that exist
    """
    lower = {str(word).lower(): str(word) for word in known}
    near = difflib.get_close_matches(str(name).lower(), lower, n=1, cutoff=0.6)
    if near:
        return f"did you mean {lower[near[0]]!r}?"
    return f"known are: {', '.join(sorted(lower.values()))}"


def check_known(where: str, value: object, known: Iterable[object]) -> None:
    """Refuse a value that does not exist.

    :param where: section and key, for the message
    :param value: the value of that key
    :param known: values that exist
    :raises RefusedError: the value is none of them
    """
    known = list(known)
    if value not in known:
        raise RefusedError(f"{where} = {value} does not exist: {did_you_mean(value, known)}")


def some(items: Iterable[object], most: int = 5) -> str:
    """Name the first of many items, and count the rest.

    >>> some("abcdefg", most=3)
    'a, b, c and 4 more'

    :param items: words
    :param most: how many of them to name
    :return: the words, separated by commas
    """
    words = [str(item) for item in items]
    text = ", ".join(words[:most])
    return f"{text} and {len(words) - most} more" if len(words) > most else text
