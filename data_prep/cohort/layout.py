"""The output folder: names that are safe in it, and what an earlier run left there."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from data_prep.cohort.manifest import Manifest, PatientFilesRecord, read_manifest
from data_prep.core.contracts import NewerSchemaError
from data_prep.core.errors import DataError

MAX_ID_LENGTH = 64

_READ_AS_MISSING = {"na", "nan", "null", "none"}
"""Ids that pandas, and so NiftyNet, would read from a csv as a missing value."""


def safe_ids(names: Iterable[str]) -> list[str]:
    """Turn Patient IDs into unique names that are harmless in a path and in a csv file.

    Letters without accents, digits, ``-`` and ``_`` remain, 64 at most; a second patient with the
    same name gets ``-2``.
    """
    taken: set[str] = set()
    ids = []
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        slug = re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")[:MAX_ID_LENGTH] or "patient"
        if slug.lower() in _READ_AS_MISSING:
            slug = f"patient-{slug}"
        unique, count = slug, 1
        while unique.lower() in taken:  # file systems may ignore case
            count += 1
            unique = f"{slug[: MAX_ID_LENGTH - len(str(count)) - 1]}-{count}"
        taken.add(unique.lower())
        ids.append(unique)
    return ids


def output_names(patient_id: str) -> PatientFilesRecord:
    """Return the files that a labelled patient has, relative to the output folder."""
    return PatientFilesRecord(
        image=f"images/{patient_id}.nii.gz",
        label=f"labels/{patient_id}.nii.gz",
        native_label=f"native/{patient_id}_label.nii.gz",
    )


def earlier_manifest(out_dir: Path) -> Manifest | None:
    """Return the manifest of an earlier run into the folder; None without a readable one.

    :raises NewerSchemaError: a newer version wrote it, and this one would replace it.
    """
    try:
        return read_manifest(out_dir)
    except NewerSchemaError:
        raise
    except DataError:
        return None


def remove_gone(earlier: Manifest | None, ids: set[str], out_dir: Path) -> list[str]:
    """Remove the files that an earlier manifest names of patients that are no longer there.

    :param earlier: the manifest of the earlier run, if there was one.
    :param ids: of the patients of this run.
    :param out_dir: the output folder of both.
    :return: a warning for each file that could not be removed.
    """
    present = {patient_id.lower() for patient_id in ids}  # file systems may ignore case
    faults = []
    for record in earlier.patients if earlier else ():
        if record.id.lower() in present:
            continue
        ours = output_names(record.id).names().values()
        for name in record.files.names().values():
            faults += remove(out_dir, name) if name in ours else []
    return faults


def remove(out_dir: Path, name: str) -> list[str]:
    """Remove a file of an earlier run.

    :param out_dir: the output folder.
    :param name: of the file, relative to the folder.
    :return: a warning if that failed, or none.
    """
    try:
        (out_dir / name).unlink(missing_ok=True)
    except OSError as error:
        return [
            f"{name} of an earlier run cannot be removed ({error.strerror}). Remove it yourself."
        ]
    return []
