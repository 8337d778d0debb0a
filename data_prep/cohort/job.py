"""One patient is one job: read, resample, write, and leave a record of it.

The record, ``records/<id>.json``, is written last. A later run whose inputs and parameters are the
same, and that finds the outputs as the record has them, takes the record instead of repeating the
work; a run that was killed loses the patients it was working on, and no others.
"""

import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from data_prep.cohort.draft import Draft
from data_prep.cohort.layout import output_names, remove
from data_prep.cohort.manifest import (
    MAX_REDUCE,
    GridRecord,
    MadeWith,
    ParametersRecord,
    PatientParametersRecord,
    PatientRecord,
    RecordFile,
    RoiRuleClassRecord,
    RoiRuleRecord,
    Status,
)
from data_prep.cohort.split import PAPER_SHARES, PHASES, Split, are_shares
from data_prep.core import files, geometry, resample
from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from data_prep.dicom_in import rois
from data_prep.dicom_in.patient import ReadOptions, read_patient
from data_prep.dicom_in.scan import PatientFiles
from data_prep.dicom_in.series import Volume

PRELOAD = ("data_prep.cohort.job", "data_prep.cohort.check", "data_prep.dicom_in.upright")
"""What a worker that reads patients imports before its first one."""

RECORDS = "records"
"""Folder of the patients' records, in the output folder."""

VARYING = ("seconds",)
"""Keys of a record that differ between runs on the same inputs; all else is equal to the byte."""

FILES_NAMED = 20
"""How many unreadable files a warning names."""


@dataclass(frozen=True)
class Parameters:
    """What the user chose; kept in the manifest.

    :param roi: for :func:`data_prep.dicom_in.rois.parse_rule`, as is ``policy``.
    :param policy: what to do where several ROIs match.
    :param reduce: in-plane factor.
    :param spacing_mm: (x, y, z) of the output, instead of ``reduce``.
    :param method: of :data:`data_prep.core.resample.RESAMPLE_METHODS`, for the CT.
    :param split: shares of Training, Validation, Inference, which sum to 1, or numbers of patients.
    :param seed: of the split.
    :param allow_unlabelled: prepare CTs without an ROI too, for inference.
    :param resample_oblique: resample tilted or oblique CTs on to an upright grid.
    """

    roi: str = ""
    policy: str = "one"
    reduce: int = 2
    spacing_mm: tuple[float, float, float] | None = None
    method: str = "cubic"
    split: Split = PAPER_SHARES
    seed: int = 0
    allow_unlabelled: bool = False
    resample_oblique: bool = False

    def check(self) -> None:
        """Check all values.

        :raises DataError: a value makes no sense.
        """
        self.rule()
        if not 1 <= self.reduce <= MAX_REDUCE:
            raise DataError(
                f"--reduce is {self.reduce}, expected a whole number from 1 to {MAX_REDUCE}."
            )
        if self.spacing_mm is not None and not all(0 < mm < np.inf for mm in self.spacing_mm):
            raise DataError(f"--spacing is {self.spacing_mm} mm, expected three numbers above 0.")
        if self.method not in resample.RESAMPLE_METHODS:
            raise DataError(
                f"--method is {self.method}, expected {' or '.join(resample.RESAMPLE_METHODS)}."
            )
        sound = all(0 <= number < np.inf for number in self.split) and sum(self.split) > 0
        whole = all(number % 1 == 0 for number in self.split)
        if not sound or not (are_shares(self.split) or whole):
            raise DataError(
                f"--split is {self.split}, expected shares that sum to 1 or whole numbers of "
                f"patients, not all 0, for {', '.join(PHASES)}."
            )
        if self.seed < 0:
            raise DataError(f"--seed is {self.seed}, expected a whole number of at least 0.")

    def rule(self) -> rois.RoiRule:
        """Return the ROI rule that ``roi`` and ``policy`` name.

        :raises DataError: they name none.
        """
        return rois.parse_rule(self.roi, self.policy)

    def reading(self) -> ReadOptions:
        """Return how to read a patient."""
        return ReadOptions(self.allow_unlabelled, self.resample_oblique)

    def record(self) -> ParametersRecord:
        """Return the parameters for the manifest, with the ROI rule spelt out.

        :raises DataError: ``roi`` and ``policy`` name no rule.
        """
        return ParametersRecord(**asdict(self), roi_rule=rule_record(self.rule()))

    def patient_record(self) -> PatientParametersRecord:
        """Return what shapes a patient's files: all but the split, and the ROI rule spelt out.

        :raises DataError: ``roi`` and ``policy`` name no rule.
        """
        return PatientParametersRecord(
            roi=rule_record(self.rule()),
            policy=self.policy,
            reduce=self.reduce,
            spacing_mm=self.spacing_mm,
            method=self.method,
            allow_unlabelled=self.allow_unlabelled,
            resample_oblique=self.resample_oblique,
        )


def rule_record(rule: rois.RoiRule) -> RoiRuleRecord:
    """Return an ROI rule as files have it."""
    classes = tuple(
        RoiRuleClassRecord(
            value=roi_class.value,
            names=roi_class.names,
            patterns=roi_class.patterns,
            policy=roi_class.policy,
        )
        for roi_class in rule.classes
    )
    return RoiRuleRecord(classes=classes, sources=rule.sources)


@dataclass(frozen=True)
class Job:
    """What a worker needs to prepare a patient."""

    patient_id: str
    patient: PatientFiles
    out_dir: Path
    parameters: Parameters


def run(job: Job) -> PatientRecord:
    """Prepare a patient, unless its record says that this is done.

    :return: the patient's record for the manifest; a refusal is a record too.
    """
    made_with = MadeWith(
        versions=files.versions(),
        parameters=job.parameters.patient_record(),
        source=job.patient.source,
        unreadable=tuple(job.patient.unreadable),
    )
    path = job.out_dir / RECORDS / f"{job.patient_id}.json"
    done = _finished(path, made_with, job)
    if done is not None:
        return done
    path.unlink(missing_ok=True)  # from here on the files do not belong together
    record = _prepare(job)
    if record.status is not Status.FAILED:  # a full disk may be emptied
        RecordFile(made_with=made_with, record=record).write(path)
    return record


def failed(job: Job, reason: str) -> PatientRecord:
    """Return the record of a patient that could not be worked on; another run may succeed."""
    draft = _new_draft(job)
    draft.end(Status.FAILED, reason)
    return draft.record()


def _new_draft(job: Job) -> Draft:
    warnings = unreadable_warning(job.patient.unreadable)
    return Draft(job.patient_id, job.patient.source, warnings)


def _finished(path: Path, made_with: MadeWith, job: Job) -> PatientRecord | None:
    """Return the record of an earlier run if its key, inputs and outputs are still the same."""
    try:
        earlier = RecordFile.read(path, "")
        record = earlier.record
        same = earlier.made_with == made_with and list(record.inputs) == _digests(job.patient, {})
        for name, digest in record.outputs.items() if same else ():
            same = same and _digest(job.out_dir / name) == digest
        return record if same else None
    except (DataError, ValueError):  # a name with a NUL is a ValueError
        return None


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or the reason why it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _digests(patient: PatientFiles, known: dict[Path, str]) -> list[str]:
    """Return the sorted SHA-256 of a patient's CT and structure files, wherever they lie.

    :param known: digests of files that have been read already.
    """
    paths = {header.path for series in patient.series.values() for header in series.slices}
    paths.update(patient.structure_paths, patient.seg_paths)
    return sorted(known.get(path) or _digest(path) for path in paths)


def _prepare(job: Job) -> PatientRecord:
    """Read, check, resample and write one patient."""
    start = time.perf_counter()
    draft = _new_draft(job)
    known: dict[Path, str] = {}
    try:
        data = read_patient(job.patient, job.parameters.rule(), job.parameters.reading())
        known = data.inputs or {}
        draft.note_label(data)
        _write_patient(data.volume, data.label, job, draft)
    except DataError as error:
        draft.end(Status.REFUSED, str(error))
    except MemoryError:  # the function that set the bound adds advice
        raise
    except Exception as error:  # our own fault, or a full disk: other patients continue
        draft.end(Status.FAILED, f"{type(error).__name__}: {error}")
    for kind, name in output_names(job.patient_id).names().items():
        if kind not in draft.files:  # nothing stale from an earlier run
            draft.warnings += remove(job.out_dir, name)
    draft.inputs = _digests(job.patient, known)
    draft.seconds = round(time.perf_counter() - start, 2)
    return draft.record()


def _write_patient(volume: Volume, label: np.ndarray | None, job: Job, draft: Draft) -> None:
    """Write the patient's NIfTI files and note grids, file names and digests in ``draft``."""
    parameters, names = job.parameters, output_names(job.patient_id).names()
    native = geometry.lps_to_ras(volume.affine_lps)
    shape = volume.array.shape
    coarse = resample.coarse_grid(shape, native, parameters.reduce, parameters.spacing_mm)
    draft.note_ct(volume)
    draft.coarse = GridRecord.of(coarse.shape, coarse.affine)

    def write(kind: str, array: np.ndarray, affine_ras: np.ndarray) -> None:
        content = files.nifti_bytes(array, affine_ras)
        files.write_bytes(job.out_dir / names[kind], content)
        draft.files[kind] = names[kind]
        draft.outputs[names[kind]] = hashlib.sha256(content).hexdigest()

    image = resample.resample_image(volume.array, coarse, parameters.method)
    write("image", image, coarse.affine)
    if label is None:
        return
    small = resample.resample_label(label, coarse)
    values = {roi_class.value for roi_class in draft.roi.classes} if draft.roi else set()
    draft.warnings += [
        f"Class {value} is too small for the voxels of the label: none is left of it."
        for value in sorted(values)
        if not (small == value).any()
    ]
    write("label", small, coarse.affine)
    write("native_label", label, native)


def remove_records(out_dir: Path, ids: set[str]) -> None:
    """Remove the records of patients that are not among ``ids``."""
    for path in (out_dir / RECORDS).glob("*.json"):
        if path.stem not in ids:
            path.unlink()


def unreadable_warning(lines: list[str]) -> list[str]:
    """Return one warning that counts and names unreadable files, or none."""
    if not lines:
        return []
    more = f"; and {len(lines) - FILES_NAMED} more" if len(lines) > FILES_NAMED else ""
    return [
        f"Skipped {count_of(len(lines), 'file')} that could not be read: "
        f"{'; '.join(lines[:FILES_NAMED])}{more}"
    ]
