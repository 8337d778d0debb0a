"""What a checked training would do next."""


class GraphReached(Exception):  # noqa: N818  (nothing went wrong)
    """The checks found nothing to refuse; says at which iteration the training would start."""
