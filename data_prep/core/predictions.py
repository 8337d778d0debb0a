"""Find and read the volumes that a segmentation left in a folder: NiftyNet's, or masks."""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np

from data_prep.core import geometry
from data_prep.core.errors import DataError

POSTFIX = "_niftynet_out"
"""NiftyNet's default ``output_postfix``."""

INFERRED_LIST = "inferred.csv"
"""The list ``id,path`` that NiftyNet writes beside its outputs."""

_PREFIX = "window_seg_"
_ENDINGS = ("_mask", "_label")


def find(folder: Path, postfix: str = POSTFIX) -> dict[str, Path]:
    """Return the volume of each patient in a folder of predictions, masks or labels.

    NiftyNet's own list is believed, and only that: a file it does not list is a leftover of an
    earlier inference. A listed file that was moved is sought beside the list; one that is nowhere
    is no prediction. Without a list, the id is the file's name without ``.nii`` or ``.nii.gz``,
    without NiftyNet's ``window_seg_`` in front and its ``_`` and postfix behind, and without the
    ``_mask`` or ``_label`` of this package.

    :raises DataError: the folder is absent, or two files are of one patient.
    """
    if not folder.is_dir():
        raise DataError(f"No folder {folder}. Give the folder that holds one volume per patient.")
    listing = folder / INFERRED_LIST
    if listing.is_file():
        with listing.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.reader(stream) if len(row) == 2]
        found = {}
        for one, listed in ((row[0].strip(), Path(row[1].strip())) for row in rows):
            beside = folder / listed.name
            found[one] = beside if beside.is_file() else listed
        return {one: path for one, path in found.items() if path.is_file()}
    found = {}
    for path in sorted([*folder.glob("[!.]*.nii.gz"), *folder.glob("[!.]*.nii")]):
        one = patient_id(path.name, postfix)
        if one in found:
            raise DataError(
                f"{folder} has two volumes of patient {one}: {found[one].name} and {path.name}. "
                "Remove the one that is not meant."
            )
        found[one] = path
    return found


def patient_id(name: str, postfix: str = POSTFIX) -> str:
    """Return the id in the name of a patient's file, as :func:`find` takes it."""
    stem = name.removesuffix(".gz").removesuffix(".nii").removeprefix(_PREFIX)
    if postfix and stem.endswith(postfix):
        return stem.removesuffix(postfix).removesuffix("_")
    for ending in _ENDINGS:
        if stem.endswith(ending):
            return stem.removesuffix(ending)
    return stem


def read_grid(path: Path) -> tuple[tuple[int, int, int], np.ndarray]:
    """Return shape (x, y, z) and affine of a volume, of its header alone.

    :raises DataError: unreadable.
    """
    try:
        image = nib.load(path)
    except Exception as error:  # nibabel, gzip and zlib each have their own
        raise DataError(f"{path} cannot be read ({error}). Run inference again.") from error
    return image.shape[:3], image.affine


def read_foreground(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the foreground of a mask or probability map of one or two channels.

    :return: (x, y, z) of the stored type, the last channel where there are two; and the affine.
    :raises DataError: unreadable, not a volume, or more channels.
    """
    try:
        image = nib.load(path)
        shape, data = image.shape, image.dataobj
        if len(shape) == 5 and shape[3] == 1:  # NiftyNet's (x, y, z, 1, channels)
            data, shape = data[..., 0, -1], (*shape[:3], shape[4])
        elif len(shape) == 4:
            data = data[..., -1]
        array = np.asanyarray(data)
    except Exception as error:  # nibabel, gzip and zlib each have their own
        raise DataError(f"{path} cannot be read ({error}). Run inference again.") from error
    if len(shape) == 4 and shape[-1] > 2:
        raise DataError(
            f"{path}: found {shape[-1]} channels, expected 1 or 2 (background, tumour). "
            "Predict with a network of two classes."
        )
    if array.ndim != 3:
        raise DataError(f"{path}: found shape {image.shape}, expected a volume (x, y, z).")
    return array, image.affine


def read_on_grid(
    path: Path, shape: tuple[int, int, int], affine_ras: np.ndarray, advice: str
) -> np.ndarray:
    """Read the foreground of a mask or probability map that is to lie on a grid.

    :param advice: what to do where it does not.
    :return: as :func:`read_foreground`.
    :raises DataError: see there; or another shape, or another place.
    """
    array, found = read_foreground(path)
    if array.shape != tuple(shape) or not geometry.same_grid(found, affine_ras, shape):
        raise DataError(
            f"{path} is on another grid: found shape {array.shape}, affine "
            f"{found.round(3).tolist()}; expected shape {tuple(shape)}, affine "
            f"{np.round(affine_ras, 3).tolist()} (RAS mm). {advice}"
        )
    return array
