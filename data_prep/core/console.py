"""What printing on rich's console needs in more than one place."""

PLAIN = {"markup": False, "highlight": False, "soft_wrap": True}
"""How to print text that is not ours: as it is, in one line."""
