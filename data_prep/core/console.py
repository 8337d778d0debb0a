"""What printing on rich's console needs in more than one place."""

PLAIN = {"markup": False, "highlight": False, "soft_wrap": True}
"""How to print text that is not ours: as it is, in one line."""


def count_of(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``1 contour``, ``2 contours``.

    :param plural: where it is not the noun and an "s".
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
