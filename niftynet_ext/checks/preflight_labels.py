"""Checks of the label values of a segmentation before its graph is built.

Values need the data: each label is read once, and what was found is kept in the model folder with
the file's size and time of change.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from niftynet.io.image_loader import load_image_obj

from data_prep.core.console import count_of
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import say, some

if TYPE_CHECKING:  # pydantic takes time to import, and inference does not need it
    from niftynet_ext.checks.label_cache import LabelEntry

# NiftyNet is untyped: its objects (application, images, parameters) are Any

READING_THREADS = 4
"""Labels read at once: decompressing releases the interpreter's lock."""

VALUES_KEPT = 50
"""How many distinct values of a label are kept; a label with more is wrong anyway."""


def check_labels(app: Any, model_dir: str) -> None:
    """Check the values of every label, training and validation.

    :param app: NiftyNet's segmentation application with its readers
    :param model_dir: NiftyNet's model folder, where what was found is kept
    :raises RefusedError: values outside 0..C-1, or nothing but background
    """
    task = app.segmentation_param
    if task.label_normalisation:
        return  # NiftyNet maps all values to 0..C-1
    labels = labels_of(app.readers)
    from niftynet_ext.checks.label_cache import CACHE_FILE

    found = read_label_values(labels, Path(model_dir, CACHE_FILE))
    allowed = set(range(task.num_classes))
    for subject, values in found.items():
        if not set(values) <= allowed:
            wrong = sorted(set(values) - allowed)
            raise RefusedError(
                f"subject {subject}: the label has the values {some(wrong)}; num_classes = "
                f"{task.num_classes} allows 0 to {task.num_classes - 1}. Change the values or "
                f"num_classes, or set label_normalisation ({labels[subject].file_path[0]})"
            )
    empty = [subject for subject, values in found.items() if set(values) == {0}]
    if found and len(empty) == len(found):
        raise RefusedError(
            f"no label has any foreground ({count_of(len(empty), 'label')}, e.g. "
            f"{labels[empty[0]].file_path[0]}): there is nothing to learn"
        )
    if empty:
        say(f"no foreground in {len(empty)} of {count_of(len(found), 'label')}: {some(empty)}")


def labels_of(readers: Any) -> dict[str, Any]:
    """Gather the labels, and warn of those that NiftyNet would interpolate.

    :param readers: NiftyNet's image readers
    :return: NiftyNet's image objects, by subject
    """
    labels = {}
    for reader in readers:
        for index, images in enumerate(reader.output_list):
            if "label" in images:
                label = images["label"]
                if label.interp_order[0] > 0:
                    say_once(
                        f"labels are interpolated (interp_order = {label.interp_order[0]}), which "
                        f"gives values between the classes; set interp_order = 0"
                    )
                labels[reader.get_subject_id(index)] = label
    return labels


_said: set[str] = set()


def say_once(text: str) -> None:
    """Say a text with :func:`~niftynet_ext.core.messages.say`, but only once in this process."""
    if text not in _said:
        _said.add(text)
        say(text)


def read_label_values(labels: Mapping[str, Any], cache: Path) -> dict[str, list[int | float]]:
    """Return the distinct values of each label, from the file or the cache.

    :param labels: NiftyNet's image objects, by subject
    :param cache: what was found before; written again when a label was read
    :return: sorted values, by subject
    :raises RefusedError: a label cannot be read
    """
    from niftynet_ext.checks.label_cache import read_cache, write_cache

    known = read_cache(cache)

    def entry_of(image: Any) -> tuple[str, LabelEntry]:
        path = image.file_path[0]
        return path, read_entry(image, known.get(path))

    with ThreadPoolExecutor(READING_THREADS) as pool:
        entries = dict(zip(labels, pool.map(entry_of, labels.values()), strict=True))
    current = known | dict(entries.values())
    if current != known:
        write_cache(cache, current)
    return {subject: entry.values for subject, (_, entry) in entries.items()}


def read_entry(image: Any, known: LabelEntry | None) -> LabelEntry:
    """Read the values of one label, unless the file is as it was.

    :param image: NiftyNet's image object
    :param known: what was found before, or None
    :raises RefusedError: the label cannot be read
    """
    from niftynet_ext.checks.label_cache import LabelEntry

    path = image.file_path[0]
    state = os.stat(path)
    if known and (known.size_bytes, known.modified_ns) == (state.st_size, state.st_mtime_ns):
        return known
    try:
        data = np.asanyarray(load_image_obj(path, image.loader[0]).dataobj)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise RefusedError(
            f"{path} cannot be read: {reason}. The file may be truncated: write it again"
        ) from error
    return LabelEntry(
        size_bytes=state.st_size, modified_ns=state.st_mtime_ns, values=label_values(data)
    )


def label_values(data: np.ndarray) -> list[int | float]:
    """Return the distinct values of a label, sorted; at most :data:`VALUES_KEPT` of them.

    :param data: array of any numbers
    """
    return [float(value) if value % 1 else int(value) for value in np.unique(data)[:VALUES_KEPT]]
