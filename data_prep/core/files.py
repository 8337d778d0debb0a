"""Write files whole or not at all, and the same bytes for the same data."""

import csv
import io
import json
import os
import platform
from importlib import metadata
from pathlib import Path

import nibabel as nib
import numpy as np
from isal import igzip

from data_prep.core.errors import DataError
from data_prep.core.identity import VERSION

GZIP_LEVEL = 2
"""Of ISA-L, 0 to 3. LUNG1-001 at 256 x 256 x 134 takes 0.05 s and 9.08 MB; zlib takes 0.22 s for
8.97 MB at its level 1, and 0.87 s for 8.82 MB at level 6. Labels come out smaller than zlib's."""


def make_folder(path: Path) -> None:
    """Make the folder that ``--out`` names, with its parents.

    :raises DataError: it cannot be made, or is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"--out {path} cannot be made a folder ({error.strerror}). Name a new or an existing "
            "folder that can be written."
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_drafts(folder: Path) -> None:
    """Remove the temporary files of a run that was killed."""
    for path in folder.rglob(".*.[0-9]*.part"):
        path.unlink(missing_ok=True)


def nifti_bytes(array: np.ndarray, affine_ras: np.ndarray, description: str = "") -> bytes:
    """Return ``.nii.gz`` with sform and qform both set to the affine (code 1, scanner).

    The same bytes for the same array on every run: no file name, no time.

    :param array: (x, y, z) of the type to be stored.
    :param description: for the header's ``descrip``, 79 characters at most.
    """
    image = nib.Nifti1Image(array, affine_ras)
    image.set_sform(affine_ras, code=1)
    image.set_qform(affine_ras, code=1)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description
    return igzip.compress(image.to_bytes(), GZIP_LEVEL, mtime=0)


def write_nifti(
    path: Path, array: np.ndarray, affine_ras: np.ndarray, description: str = ""
) -> None:
    """Write :func:`nifti_bytes` to a file."""
    write_bytes(path, nifti_bytes(array, affine_ras, description))


def write_json(path: Path, content: dict) -> None:
    """Write indented JSON."""
    write_bytes(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def write_csv(path: Path, rows: list) -> None:
    """Write rows without a header, as NiftyNet reads its lists."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_bytes(path, text.getvalue().encode())


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that shape the output."""
    libraries = ("numpy", "pydicom", "SimpleITK", "nibabel", "isal")
    ours = {"niftynet_ext": VERSION, "python": platform.python_version()}
    return ours | {name: metadata.version(name) for name in libraries}
