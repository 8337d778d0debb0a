"""Draw a segmentation, patient by patient, in one PNG (:mod:`data_prep.pictures.panels`)."""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from data_prep.cohort.restore import SCORES
from data_prep.core import files
from data_prep.core.errors import DataError
from data_prep.pictures.panels import PanelRow, draw_panels
from data_prep.pictures.planes import ShownVolume, dice_3d

MAX_PATIENTS = 6


def _load(path):
    image = nib.load(path)
    return ShownVolume(np.asanyarray(image.dataobj), image.affine)


def _load_case(patient_id, image, mask, reference):
    """A case from its files' paths; ``reference`` may be None."""
    prediction, reference = _load(mask), _load(reference) if reference else None
    dice = dice_3d(prediction, reference) if reference else None
    return PanelRow(patient_id, _load(image), prediction, reference, dice)


def _find(data_dir, masks_dir):
    """Patients with an image and a restored mask: [(id, image, mask, reference or None)], paths."""
    patients = files.read_manifest(Path(data_dir))["patients"]
    restored = _restored(Path(masks_dir) / SCORES)
    found = []
    for patient in patients:
        names = patient.get("files") or {}
        paths = {kind: Path(data_dir) / name for kind, name in names.items() if name}
        mask = Path(masks_dir) / f"{patient['id']}_mask.nii.gz"
        reference = paths.get("native_label", paths.get("label"))
        current = restored is None or patient["id"] in restored
        if current and mask.is_file() and "image" in paths:
            found.append((patient["id"], paths["image"], mask, reference))
    if not found:
        raise DataError(
            f"nothing to draw: {masks_dir} holds no <id>_mask.nii.gz (that its "
            f"{SCORES} lists) for any of the {len(patients)} patients of "
            f"{data_dir}; restore the masks first"
        )
    return found


def _restored(scores):
    """The ids that a table of scores lists, None without it; other masks are of an earlier run."""
    if not scores.is_file():
        return None
    with scores.open(newline="", encoding="utf-8") as stream:
        return {row.get("id") for row in csv.DictReader(stream)}


def _spread(ranked, count):
    """``count`` of a list at even steps, the first and the last among them."""
    if len(ranked) <= count:
        return ranked
    return [ranked[i] for i in np.linspace(0, len(ranked) - 1, count).round().astype(int)]


def draw_cohort(data_dir, masks_dir, png_path):
    """Draw restored masks over the CT, with the reference where there is one.

    Of more than ``MAX_PATIENTS``, those at even ranks of Dice3D from the worst to the best are
    drawn, so the picture flatters nobody. Patients without a Dice follow if places are left.

    :param data_dir: what preprocessing wrote: ``manifest.json`` and the files it names
    :param masks_dir: ``<id>_mask.nii.gz``, on the native grid; where it holds ``scores.csv``, only
        patients listed there are drawn
    :param png_path: file to write
    :return: ``png_path`` as a ``Path``
    :raises DataError: if there is nothing to draw; a single patient's fault is noted in the picture
    """
    scored, unscored, faults = [], [], []
    for row in _find(data_dir, masks_dir):
        try:
            dice = _load_case(*row).dice
            unscored.append(row) if dice is None else scored.append((dice, row))
        except (OSError, ValueError, DataError, ImageFileError) as error:
            faults.append(f"{row[0]}: {error}")
    ranked = [row for _, row in sorted(scored, key=lambda item: item[0])]
    rows = (_spread(ranked, MAX_PATIENTS) + unscored)[:MAX_PATIENTS]
    if not rows:
        raise DataError("nothing to draw: " + "; ".join(faults))
    cases = [_load_case(*row) for row in rows]
    total = len(ranked) + len(unscored)
    notes = [f"{len(cases)} of {total} patients, from the worst Dice3D to the best"]
    notes += [f"not drawn: {len(faults)}: " + "; ".join(faults)[:120]] if faults else []
    files.write_bytes(Path(png_path), draw_panels(cases, "   ·   ".join(notes)))
    return Path(png_path)
