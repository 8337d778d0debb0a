"""``label_values.json``: the values of each label file, so that a label is read only once.

A cache: a file that is absent, damaged or of another schema is made again. Imports no TensorFlow.
"""

from pathlib import Path

from data_prep.core.contracts import Contract, Part
from data_prep.core.errors import DataError

CACHE_FILE = "label_values.json"
"""Name of the file in the model folder."""


class LabelEntry(Part):
    """What was found in one label file."""

    size_bytes: int
    modified_ns: int
    """Time of the last change, in nanoseconds since the epoch."""
    values: list[int | float]
    """The distinct values, sorted; only the first few where there are many."""


class LabelValues(Contract):
    """The values of label files, by their paths."""

    labels: dict[str, LabelEntry]


def read_cache(path: Path) -> dict[str, LabelEntry]:
    """Return what is known of label files, by their paths; empty where the cache is no use."""
    try:
        return dict(LabelValues.read(path, "It will be made again.").labels)
    except DataError:
        return {}


def write_cache(path: Path, labels: dict[str, LabelEntry]) -> None:
    """Write the cache.

    :raises OSError: the file cannot be written
    """
    LabelValues(labels=labels).write(path)
