"""Find and read the volumes of a segmentation in a folder: NiftyNet's output, or masks."""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np

from data_prep.core import geometry
from data_prep.core.errors import DataError

POSTFIX = "_niftynet_out"
"""NiftyNet's default ``output_postfix``."""

INFERRED_LIST = "inferred.csv"
"""The list of rows ``id,path`` that NiftyNet writes beside its output."""

_PREFIX = "window_seg_"
_ENDINGS = ("_mask", "_label")


def find(folder: Path, postfix: str = POSTFIX) -> dict[str, Path]:
    """Return the volume of each patient in a folder of predictions, masks or labels.

    If the folder has NiftyNet's own list, only listed files count: any other file was left by an
    earlier inference. A listed file that was moved is looked for beside the list; if it is not
    there either, it is no prediction. Without a list, the id is the file's name without ``.nii`` or
    ``.nii.gz``, without NiftyNet's prefix ``window_seg_`` and its ``_`` and postfix, and without
    the ``_mask`` or ``_label`` of this package.

    :param postfix: NiftyNet's ``output_postfix``.
    :return: path by patient id.
    :raises DataError: the folder is absent, two files belong to one patient, or an id in the list
        leads to another folder.
    """
    if not folder.is_dir():
        raise DataError(
            f"Folder {folder} does not exist. Give the folder that holds one volume per patient."
        )
    listing = folder / INFERRED_LIST
    if listing.is_file():
        with listing.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.reader(stream) if len(row) == 2]
        found = {}
        for row in rows:
            name, listed = row[0].strip(), Path(row[1].strip())
            if not name or name != Path(name).name:
                raise DataError(
                    f"{listing}: the id {name!r} is not a file name, but masks are named by ids. "
                    "Remove this line, or run inference again."
                )
            beside = folder / listed.name
            found[name] = beside if beside.is_file() else listed
        return {name: path for name, path in found.items() if path.is_file()}
    found = {}
    for path in sorted([*folder.glob("[!.]*.nii.gz"), *folder.glob("[!.]*.nii")]):
        name = patient_id(path.name, postfix)
        if name in found:
            raise DataError(
                f"{folder} has two volumes of patient {name}: {found[name].name} and {path.name}. "
                "Remove the file that is not wanted."
            )
        found[name] = path
    return found


def patient_id(name: str, postfix: str = POSTFIX) -> str:
    """Return the patient id that a file name contains, as :func:`find` reads it."""
    stem = name.removesuffix(".gz").removesuffix(".nii").removeprefix(_PREFIX)
    if postfix and stem.endswith(postfix):
        return stem.removesuffix(postfix).removesuffix("_")
    for ending in _ENDINGS:
        if stem.endswith(ending):
            return stem.removesuffix(ending)
    return stem


def read_grid(path: Path) -> tuple[tuple[int, int, int], np.ndarray]:
    """Read the grid of a volume from its header.

    :return: shape (x, y, z) and affine (4, 4), voxel indices to RAS mm.
    :raises DataError: the file cannot be read.
    """
    try:
        image = nib.load(path)
    except Exception as error:  # nibabel, gzip and zlib raise errors of their own
        raise DataError(f"{path} cannot be read ({error}). Run inference again.") from error
    return image.shape[:3], image.affine


def read_foreground(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the foreground of a mask or probability map of one or two channels.

    :return: (x, y, z) of the stored type, the last channel where there are two; and the affine
        (4, 4), voxel indices to RAS mm.
    :raises DataError: the file cannot be read, is not a volume, or has more channels.
    """
    try:
        image = nib.load(path)
        shape, data = image.shape, image.dataobj
        if len(shape) == 5 and shape[3] == 1:  # NiftyNet's (x, y, z, 1, channels)
            data, shape = data[..., 0, -1], (*shape[:3], shape[4])
        elif len(shape) == 4:
            data = data[..., -1]
        array = np.asanyarray(data)
    except Exception as error:  # nibabel, gzip and zlib raise errors of their own
        raise DataError(f"{path} cannot be read ({error}). Run inference again.") from error
    if len(shape) == 4 and shape[-1] > 2:
        raise DataError(
            f"{path}: found {shape[-1]} channels, expected 1 or 2 (background, tumour). "
            "Use a network of two classes."
        )
    if array.ndim != 3:
        raise DataError(f"{path}: found shape {image.shape}, expected a volume (x, y, z).")
    return array, image.affine


def read_on_grid(
    path: Path, shape: tuple[int, int, int], affine_ras: np.ndarray, advice: str
) -> np.ndarray:
    """Read the foreground of a mask or probability map that has to be on a given grid.

    :param shape: (x, y, z) of the grid.
    :param affine_ras: (4, 4) of the grid, voxel indices to RAS mm.
    :param advice: what to do if it is on another grid.
    :return: (x, y, z) of the stored type, as from :func:`read_foreground`.
    :raises DataError: as there; or the volume is on another grid.
    """
    array, found = read_foreground(path)
    if array.shape != tuple(shape) or not geometry.same_grid(found, affine_ras, shape):
        raise DataError(
            f"{path} is on another grid: found shape {array.shape}, affine "
            f"{found.round(3).tolist()}; expected shape {tuple(shape)}, affine "
            f"{np.round(affine_ras, 3).tolist()} (RAS mm). {advice}"
        )
    return array
