"""NiftyNet's probability maps back on each CT's own grid, as masks, with Dice in 3-D."""

import math
from pathlib import Path

import nibabel as nib
import numpy as np
from rich.console import Console
from rich.table import Table

from data_prep.cohort.split import PHASES, UNUSED
from data_prep.core import files, geometry, predictions, resample
from data_prep.core.console import PLAIN
from data_prep.core.dice import dice
from data_prep.core.errors import DataError

SCORES = "scores.csv"
"""The table of :data:`SCORE_COLUMNS` beside the masks: whom the last run restored."""

SCORE_COLUMNS = ("id", "phase", "dice_3d", "reference_ml", "predicted_ml")


def read_probability(path: Path, grid: dict) -> np.ndarray:
    """Read a foreground probability map and check that it lies on the patient's coarse grid.

    :param grid: ``shape`` and ``affine_ras`` of the manifest's ``coarse``.
    :return: float32 (x, y, z).
    :raises DataError: unreadable, too many channels, another shape, or another place.
    """
    array = predictions.read_on_grid(
        path,
        tuple(grid["shape"]),
        np.array(grid["affine_ras"]),
        "Predict on the images of this --data folder.",
    )
    return np.asarray(array, np.float32)


def restore_patient(record: dict, prediction: Path, data_dir: Path, out_dir: Path) -> dict:
    """Write one patient's mask on the CT's own grid and score it where there is a label.

    :param record: the patient's record in the manifest.
    :return: a row of ``SCORE_COLUMNS``; nan where there is no reference.
    :raises DataError: the prediction or the label cannot be used.
    """
    native = record["native"]
    native_affine, shape = np.array(native["affine_ras"]), tuple(native["shape"])
    coarse_affine = np.array(record["coarse"]["affine_ras"])
    probability = read_probability(prediction, record["coarse"])
    try:
        mask = resample.to_native_mask(probability, coarse_affine, shape, native_affine)
    except DataError as error:
        raise DataError(f"{prediction}: {error}") from error
    files.write_nifti(out_dir / f"{record['id']}_mask.nii.gz", mask.astype(np.uint8), native_affine)
    voxel_ml = geometry.voxel_volume_ml(native_affine)
    row = {
        "id": record["id"],
        "phase": record["phase"],
        "dice_3d": math.nan,
        "reference_ml": math.nan,
        "predicted_ml": float(mask.sum()) * voxel_ml,
    }
    if "native_label" in record["files"]:
        path = data_dir / record["files"]["native_label"]
        try:
            reference = np.asanyarray(nib.load(path).dataobj) > 0
        except Exception as error:
            raise DataError(f"{path} cannot be read ({error}). Run preprocess again.") from error
        row["dice_3d"] = float(dice(reference, mask))
        row["reference_ml"] = float(reference.sum()) * voxel_ml
    return row


def restore_cohort(
    data_dir: Path, predictions_dir: Path, out_dir: Path, postfix: str = predictions.POSTFIX
) -> dict:
    """Restore every predicted patient; write the masks and ``scores.csv``.

    :return: ``scores`` (rows), ``failed`` (id: reason) and ``missing`` (ids without a prediction).
    :raises DataError: no manifest, no folder of predictions, no prediction in it, or no folder
        to write.
    """
    manifest = files.read_manifest(data_dir)
    records = {one["id"]: one for one in manifest["patients"] if one["status"] == "ok"}
    if any(one.get("phase") not in (*PHASES, UNUSED) for one in records.values()):
        raise DataError(
            f"{data_dir / files.MANIFEST} does not say who is for training and who for a test: an "
            "earlier version wrote it. Run preprocess again."
        )
    found = predictions.find(predictions_dir, postfix)
    found = {one: found[one] for one in records if one in found}
    if not found:
        raise DataError(
            f"No prediction in {predictions_dir}: expected {predictions.INFERRED_LIST} or files "
            f"named <id>{postfix}.nii.gz for ids such as {', '.join(list(records)[:3])}. "
            "Run inference."
        )
    files.make_folder(out_dir)
    scores, failed = [], {}
    for one, path in found.items():
        try:
            scores.append(restore_patient(records[one], path, data_dir, out_dir))
        except DataError as error:
            failed[one] = str(error)
    rows = [
        [row["id"], row["phase"], *(f"{row[key]:.6g}" for key in SCORE_COLUMNS[2:])]
        for row in scores
    ]
    files.write_csv(out_dir / SCORES, [SCORE_COLUMNS, *rows])
    missing = [one for one in records if one not in found and records[one]["phase"] != UNUSED]
    return {"scores": scores, "failed": failed, "missing": missing}


def report(result: dict, console: Console) -> None:
    """Print Dice and volumes per patient, the mean of each phase, and who is missing or failed."""
    table = Table("id", "set", "Dice3D", "reference mL", "predicted mL", box=None)
    for row in result["scores"]:
        values = (row[key] for key in SCORE_COLUMNS[2:])
        formats = (".4f", ".1f", ".1f")
        table.add_row(
            row["id"],
            row["phase"],
            *("-" if math.isnan(v) else format(v, f) for v, f in zip(values, formats, strict=True)),
        )
    for phase in PHASES:  # never one mean of all: training patients would pass for a test
        scored = [row["dice_3d"] for row in result["scores"] if row["phase"] == phase]
        scored = [value for value in scored if not math.isnan(value)]
        if scored:
            table.add_row(f"mean of {len(scored)}, {phase}", "", f"{np.mean(scored):.4f}", "", "")
    console.print(table)
    for one, reason in result["failed"].items():
        console.print(f"{one} failed: {reason}", **PLAIN)
    missing = result["missing"]
    if missing:
        names = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        patients = "1 patient" if len(missing) == 1 else f"{len(missing)} patients"
        console.print(f"No prediction for {patients}: {names}", **PLAIN)
