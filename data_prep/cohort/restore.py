"""NiftyNet's probability maps back on each CT's own grid, as masks, with Dice in 3-D."""

import math
from dataclasses import astuple, dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from data_prep.cohort.manifest import GridRecord, PatientRecord, Phase, read_manifest
from data_prep.cohort.split import PHASES, UNUSED
from data_prep.core import files, geometry, predictions, resample
from data_prep.core.console import PLAIN, count_of
from data_prep.core.errors import DataError
from data_prep.core.overlap import dice

if TYPE_CHECKING:
    from rich.console import Console

SCORES = "scores.csv"
"""The table of :data:`SCORE_COLUMNS` beside the masks: the patients that the last run restored."""

SCORE_COLUMNS = ("id", "phase", "dice_3d", "reference_ml", "predicted_ml")

IDS_SHOWN = 10
"""How many ids without a prediction are printed."""


@dataclass(frozen=True)
class Score:
    """One restored patient; Dice and the reference's volume are nan where there is no label."""

    patient_id: str
    phase: Phase
    dice_3d: float
    reference_ml: float
    predicted_ml: float


@dataclass(frozen=True)
class RestoreResult:
    """What became of the usable patients of a manifest.

    ``failed`` has the reason by id; ``missing`` are the ids of patients without a prediction.
    """

    scores: tuple[Score, ...]
    failed: dict[str, str]
    missing: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the result for a program; what is undefined is null, as JSON has no nan."""
        scores = []
        for score in self.scores:
            row = zip(SCORE_COLUMNS, astuple(score), strict=True)
            scores.append({key: None if value != value else value for key, value in row})
        return {"scores": scores, "failed": self.failed, "missing": list(self.missing)}


def read_probability(path: Path, grid: GridRecord) -> np.ndarray:
    """Read a foreground probability map and check that it lies on the patient's coarse grid.

    :param path: NIfTI file that NiftyNet wrote.
    :param grid: ``coarse`` of the patient's record.
    :return: float32 (x, y, z).
    :raises DataError: unreadable, too many channels, another shape, or another place.
    """
    array = predictions.read_on_grid(
        path, grid.shape, grid.affine, "Predict on the images of this --data folder."
    )
    return np.asarray(array, np.float32)


def restore_patient(
    record: PatientRecord, prediction: Path, data_dir: Path, out_dir: Path
) -> Score:
    """Write one patient's mask on the CT's own grid and score it where there is a label.

    :param record: of a usable patient, from the manifest.
    :param prediction: the patient's probability map.
    :param data_dir: folder that ``preprocess`` wrote.
    :param out_dir: folder for ``<id>_mask.nii.gz``.
    :raises DataError: the prediction or the label cannot be used.
    """
    native, coarse, phase = record.native, record.coarse, record.phase
    assert native and coarse and phase  # Manifest refuses a usable patient without them
    probability = read_probability(prediction, coarse)
    try:
        mask = resample.to_native_mask(probability, coarse.affine, native.shape, native.affine)
    except DataError as error:
        raise DataError(f"{prediction}: {error}") from error
    files.write_nifti(out_dir / f"{record.id}_mask.nii.gz", mask.astype(np.uint8), native.affine)
    voxel_ml = geometry.voxel_volume_ml(native.affine)
    dice_3d = reference_ml = math.nan
    if record.files.native_label:
        reference = _read_reference(data_dir / record.files.native_label)
        dice_3d = float(dice(reference, mask))
        reference_ml = float(reference.sum()) * voxel_ml
    return Score(record.id, phase, dice_3d, reference_ml, float(mask.sum()) * voxel_ml)


def _read_reference(path: Path) -> np.ndarray:
    """Read a label as a mask, bool (x, y, z).

    :raises DataError: it cannot be read.
    """
    try:
        return np.asanyarray(nib.load(path).dataobj) > 0
    except Exception as error:  # nibabel raises many kinds
        raise DataError(f"{path} cannot be read ({error}). Run preprocess again.") from error


def restore_cohort(
    data_dir: str | PathLike[str],
    predictions_dir: str | PathLike[str],
    out_dir: str | PathLike[str],
    postfix: str = predictions.POSTFIX,
) -> RestoreResult:
    """Restore every predicted patient; write the masks and ``scores.csv``.

    :param data_dir: folder that ``preprocess`` wrote.
    :param predictions_dir: NiftyNet's ``save_seg_dir``.
    :param out_dir: folder to write.
    :param postfix: NiftyNet's ``output_postfix``.
    :raises DataError: no manifest, no folder of predictions, no prediction in it, or no folder
        to write.
    """
    data_dir, predictions_dir, out_dir = Path(data_dir), Path(predictions_dir), Path(out_dir)
    records = {patient.id: patient for patient in read_manifest(data_dir).usable}
    predicted = predictions.find(predictions_dir, postfix)
    found = {name: predicted[name] for name in records if name in predicted}
    if not found:
        raise DataError(
            f"No prediction in {predictions_dir}: expected {predictions.INFERRED_LIST} or files "
            f"named <id>{postfix}.nii.gz for ids such as {', '.join(list(records)[:3])}. "
            "Run inference."
        )
    files.make_folder(out_dir)
    scores: list[Score] = []
    failed: dict[str, str] = {}
    for patient_id, path in found.items():
        try:
            scores.append(restore_patient(records[patient_id], path, data_dir, out_dir))
        except DataError as error:
            failed[patient_id] = str(error)
    files.write_csv(out_dir / SCORES, [SCORE_COLUMNS, *map(_row, scores)])
    missing = [
        name for name, record in records.items() if name not in found and record.phase != UNUSED
    ]
    return RestoreResult(tuple(scores), failed, tuple(missing))


def _row(score: Score) -> list[str]:
    """Return a row of :data:`SCORE_COLUMNS`."""
    numbers = (score.dice_3d, score.reference_ml, score.predicted_ml)
    return [score.patient_id, score.phase, *(f"{number:.6g}" for number in numbers)]


def print_scores(result: RestoreResult, console: "Console") -> None:
    """Print Dice and volumes per patient, the mean of each phase, and who is missing or failed."""
    from rich.table import Table

    table = Table("id", "set", "Dice3D", "reference mL", "predicted mL", box=None)
    for score in result.scores:
        table.add_row(
            score.patient_id,
            score.phase,
            _shown(score.dice_3d, ".4f"),
            _shown(score.reference_ml, ".1f"),
            _shown(score.predicted_ml, ".1f"),
        )
    for phase in PHASES:  # never one mean of all: training patients would pass for a test
        values = [score.dice_3d for score in result.scores if score.phase == phase]
        values = [value for value in values if not math.isnan(value)]
        if values:
            table.add_row(f"mean of {len(values)}, {phase}", "", f"{np.mean(values):.4f}", "", "")
    console.print(table)
    for patient_id, reason in result.failed.items():
        console.print(f"{patient_id} failed: {reason}", **PLAIN)
    if result.missing:
        more = ", ..." if len(result.missing) > IDS_SHOWN else ""
        console.print(
            f"No prediction for {count_of(len(result.missing), 'patient')}: "
            f"{', '.join(result.missing[:IDS_SHOWN])}{more}",
            **PLAIN,
        )


def _shown(value: float, form: str) -> str:
    """Return a number for the table; undefined is a dash."""
    return "-" if math.isnan(value) else format(value, form)
