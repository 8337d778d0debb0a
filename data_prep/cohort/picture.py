"""Draw a segmentation, patient by patient, in one PNG (:mod:`data_prep.pictures.panels`)."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from data_prep.cohort.manifest import read_manifest
from data_prep.cohort.restore import SCORES
from data_prep.core import files
from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from data_prep.pictures.panels import PanelRow, draw_panels
from data_prep.pictures.planes import ShownVolume, dice_3d

MAX_PATIENTS = 6

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class _CasePaths:
    """The files of a case to draw; ``reference`` is None where there is no label."""

    patient_id: str
    image: Path
    mask: Path
    reference: Path | None


def _load(path: Path) -> ShownVolume:
    image = nib.load(path)
    return ShownVolume(np.asanyarray(image.dataobj), image.affine)


def _load_case(paths: _CasePaths) -> PanelRow:
    prediction = _load(paths.mask)
    reference = _load(paths.reference) if paths.reference else None
    dice = dice_3d(prediction, reference) if reference else None
    return PanelRow(paths.patient_id, _load(paths.image), prediction, reference, dice)


def _find(data_dir: Path, masks_dir: Path) -> list[_CasePaths]:
    """Return the patients with an image and a restored mask.

    :raises DataError: there are none.
    """
    patients = read_manifest(data_dir).patients
    restored = _restored(masks_dir / SCORES)
    found = []
    for patient in patients:
        mask = masks_dir / f"{patient.id}_mask.nii.gz"
        reference = patient.files.native_label or patient.files.label
        current = restored is None or patient.id in restored
        if current and mask.is_file() and patient.files.image:
            image = data_dir / patient.files.image
            label = data_dir / reference if reference else None
            found.append(_CasePaths(patient.id, image, mask, label))
    if not found:
        raise DataError(
            f"nothing to draw: {masks_dir} holds no <id>_mask.nii.gz (that its {SCORES} "
            f"lists) for any of the {count_of(len(patients), 'patient')} of {data_dir}; restore "
            "the masks first"
        )
    return found


def _restored(scores: Path) -> set[str | None] | None:
    """Return the ids that a table of scores lists, None without it; other masks are older."""
    if not scores.is_file():
        return None
    with scores.open(newline="", encoding="utf-8") as stream:
        return {row.get("id") for row in csv.DictReader(stream)}


def _spread(ranked: list[_Item], count: int) -> list[_Item]:
    """Return ``count`` items of a list at even steps, the first and the last among them."""
    if len(ranked) <= count:
        return ranked
    return [ranked[i] for i in np.linspace(0, len(ranked) - 1, count).round().astype(int)]


def draw_cohort(data_dir: Path, masks_dir: Path, png_path: Path) -> Path:
    """Draw restored masks over the CT, with the reference where there is one.

    Of more than :data:`MAX_PATIENTS`, those at even ranks of Dice3D from the worst to the best are
    drawn, so that the picture is not biased. Patients without a Dice follow if there is room.

    :param data_dir: what preprocessing wrote: ``manifest.json`` and the files it names.
    :param masks_dir: ``<id>_mask.nii.gz``, on the native grid; where it holds ``scores.csv``, only
        patients listed there are drawn.
    :param png_path: file to write.
    :return: ``png_path``.
    :raises DataError: if there is nothing to draw; a single patient's fault is noted in the
        picture.
    """
    scored: list[tuple[float, _CasePaths]] = []
    unscored, faults = [], []
    for paths in _find(data_dir, masks_dir):
        try:
            dice = _load_case(paths).dice
        except (OSError, ValueError, DataError, ImageFileError) as error:
            faults.append(f"{paths.patient_id}: {error}")
            continue
        if dice is None:
            unscored.append(paths)
        else:
            scored.append((dice, paths))
    ranked = [paths for _, paths in sorted(scored, key=lambda item: item[0])]
    drawn = (_spread(ranked, MAX_PATIENTS) + unscored)[:MAX_PATIENTS]
    if not drawn:
        raise DataError("nothing to draw: " + "; ".join(faults))
    cases = [_load_case(paths) for paths in drawn]
    total = count_of(len(ranked) + len(unscored), "patient")
    notes = [f"{len(cases)} of {total}, from the worst Dice3D to the best"]
    notes += [f"not drawn: {len(faults)}: " + "; ".join(faults)[:120]] if faults else []
    files.write_bytes(png_path, draw_panels(cases, "   ·   ".join(notes)))
    return png_path
