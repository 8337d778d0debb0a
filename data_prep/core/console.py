"""What printing for a person needs in more than one place."""

from typing import Any

PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
"""How to print text that is not ours on rich's console: as it is, in one line."""


def count_of(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless it is 1.

    >>> count_of(1, "patient"), count_of(2, "patient")
    ('1 patient', '2 patients')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
