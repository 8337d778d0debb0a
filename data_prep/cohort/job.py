"""One patient is one job: read, resample, write, and leave a record of it.

The record, ``records/<id>.json``, is written last. A later run whose inputs and parameters are the
same, and that finds the outputs as the record has them, takes the record in the place of the work;
a run that was killed loses the patients it was working on, and no others.
"""

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from data_prep.cohort.layout import output_names, remove
from data_prep.cohort.split import PAPER_SHARES, PHASES, are_shares
from data_prep.core import files, geometry, resample
from data_prep.core.errors import DataError
from data_prep.dicom_in import rois
from data_prep.dicom_in.patient import PatientData, ReadOptions, read_patient
from data_prep.dicom_in.scan import PatientFiles
from data_prep.dicom_in.series import Volume

PRELOAD = ("data_prep.cohort.job", "data_prep.cohort.check", "data_prep.dicom_in.upright")
"""What a worker that reads patients imports before its first one."""

RECORDS = "records"
"""Folder of the patients' records, in the output folder."""

VARYING = ("seconds",)
"""Keys of a record that differ between runs on the same inputs; all else is equal to the byte."""


@dataclass(frozen=True)
class Parameters:
    """What the user chose; kept in the manifest.

    :param roi: for :func:`data_prep.dicom_in.rois.parse_rule`, as is ``policy``.
    :param reduce: in-plane factor.
    :param spacing_mm: (x, y, z) of the output, in the place of ``reduce``.
    :param method: of :data:`data_prep.core.resample.RESAMPLE_METHODS`, for the CT.
    :param split: shares of Training, Validation, Inference, which sum to 1, or numbers of patients.
    :param seed: of the split.
    """

    roi: str = ""
    policy: str = "one"
    reduce: int = 2
    spacing_mm: tuple[float, float, float] | None = None
    method: str = "cubic"
    split: tuple[float, float, float] = PAPER_SHARES
    seed: int = 0
    allow_unlabelled: bool = False
    resample_oblique: bool = False

    def check(self) -> None:
        """:raises DataError: a value makes no sense."""
        self.rule()
        if not 1 <= self.reduce <= 16:
            raise DataError(f"--reduce is {self.reduce}, expected a whole number from 1 to 16.")
        if self.spacing_mm is not None and not all(0 < mm < np.inf for mm in self.spacing_mm):
            raise DataError(f"--spacing is {self.spacing_mm} mm, expected three numbers above 0.")
        if self.method not in resample.RESAMPLE_METHODS:
            methods = " or ".join(resample.RESAMPLE_METHODS)
            raise DataError(f"--method is {self.method}, expected {methods}.")
        sound = all(0 <= one < np.inf for one in self.split) and sum(self.split) > 0
        if not sound or not (are_shares(self.split) or all(one % 1 == 0 for one in self.split)):
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

    def of_patient(self) -> dict:
        """Return what shapes a patient's files: all but the split, and the ROI rule spelt out."""
        chosen = asdict(self) | {"roi": self.rule().as_dict()}
        return {key: value for key, value in chosen.items() if key not in ("split", "seed")}


@dataclass(frozen=True)
class Job:
    """What a worker needs to prepare a patient."""

    patient_id: str
    patient: PatientFiles
    out_dir: Path
    parameters: Parameters


def run(job: Job) -> dict:
    """Prepare a patient, unless its record says that this is done.

    :return: the patient's record for the manifest; a refusal is a record too.
    """
    key = {
        "versions": files.versions(),
        "parameters": job.parameters.of_patient(),
        "source": job.patient.source,
        "unreadable": job.patient.unreadable,
    }
    path = job.out_dir / RECORDS / f"{job.patient_id}.json"
    done = _finished(path, key, job)
    if done is not None:
        return done
    path.unlink(missing_ok=True)  # from here on the files do not belong together
    record = _prepare(job)
    if not record["reason"].startswith(UNFORESEEN):  # a full disk may be emptied
        files.write_json(path, {"made_with": key, "record": record})
    return record


UNFORESEEN = "Unexpected "
"""How the reason begins where a patient was refused by no rule: another run may succeed."""


def refused(job: Job, reason: str) -> dict:
    """Return the record of a patient that cannot be used, or could not be worked on."""
    return _blank(job) | {"status": "refused", "reason": reason}


def _blank(job: Job) -> dict:
    return {
        "id": job.patient_id,
        "source": job.patient.source,
        "status": "ok",
        "reason": "",
        "warnings": unreadable_warning(job.patient.unreadable),
        "phase": None,
        "roi": None,
        "files": {},
        "inputs": [],
        "outputs": {},
    }


def _finished(path: Path, key: dict, job: Job) -> dict | None:
    """Return the record of an earlier run if its key, inputs and outputs are still the same."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        record = content["record"]
        same = content["made_with"] == key and record["inputs"] == _digests(job.patient, {})
        for name, digest in record["outputs"].items() if same else ():
            same = same and _digest(job.out_dir / name) == digest
        return record if same else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file; of one that cannot be read, that fact."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _digests(patient: PatientFiles, known: dict[Path, str]) -> list[str]:
    """Return the sorted SHA-256 of a patient's CT and structure files, wherever they lie.

    :param known: digests of files that have been read already.
    """
    paths = {header.path for one in patient.series.values() for header in one.slices}
    paths.update(patient.structure_paths, patient.seg_paths)
    return sorted(known.get(path) or _digest(path) for path in paths)


def _prepare(job: Job) -> dict:
    """Read, check, resample and write one patient."""
    start = time.perf_counter()
    record = _blank(job)
    known = {}
    try:
        data = read_patient(job.patient, job.parameters.rule(), job.parameters.reading())
        known = data.inputs or {}
        _note(data, record)
        _write_patient(data.volume, data.label, job, record)
    except DataError as error:
        record.update(status="refused", reason=str(error))
    except MemoryError:  # whoever set the bound says what to do
        raise
    except Exception as error:  # a fault of ours, or a full disk: the cohort goes on
        record.update(status="refused", reason=f"{UNFORESEEN}{type(error).__name__}: {error}")
    if record["status"] == "refused":
        record.update(files={}, outputs={})
    for kind, name in output_names(job.patient_id).items():  # nothing stale from an earlier run
        if kind not in record["files"]:
            record["warnings"] += remove(job.out_dir, name)
    record["inputs"] = _digests(job.patient, known)
    record["seconds"] = round(time.perf_counter() - start, 2)
    return record


def _note(data: PatientData, record: dict) -> None:
    """Note in a patient's record what was read."""
    record["warnings"] += data.warnings
    if data.label is None:
        return
    voxel_ml = geometry.voxel_volume_ml(data.volume.affine_lps)
    classes = [
        {"value": one.value, "name": one.name, "source": one.source, "voxels": one.voxels}
        for one in data.chosen
    ]
    record["roi"] = {
        "chosen": ", ".join(one.name for one in data.chosen),
        "classes": classes,
        "others": list(data.others),
    }
    record["voxels"] = int(np.count_nonzero(data.label))
    record["volume_ml"] = round(record["voxels"] * voxel_ml, 3)


def _write_patient(volume: Volume, label: np.ndarray | None, job: Job, record: dict) -> None:
    """Write the patient's NIfTI files and note grids, file names and digests in ``record``."""
    names = output_names(job.patient_id)
    native = geometry.lps_to_ras(volume.affine_lps)
    shape = volume.array.shape
    coarse = resample.coarse_grid(shape, native, job.parameters.reduce, job.parameters.spacing_mm)
    record["ct"] = {
        "series_uid": volume.series_uid,
        "slices": len(volume.slice_positions_mm),
        "interpolated_slices": np.flatnonzero(volume.interpolated).tolist(),
        "spacing_mm": geometry.spacing_mm(native).round(6).tolist(),
        "first_slice_mm": float(volume.slice_positions_mm[0]),
        "last_slice_mm": float(volume.slice_positions_mm[-1]),
    }
    record["native"] = {"shape": list(shape), "affine_ras": native.tolist()}
    record["coarse"] = {"shape": list(coarse.shape), "affine_ras": coarse.affine.tolist()}

    def write(kind, array, affine_ras):
        content = files.nifti_bytes(array, affine_ras)
        files.write_bytes(job.out_dir / names[kind], content)
        record["files"][kind] = names[kind]
        record["outputs"][names[kind]] = hashlib.sha256(content).hexdigest()

    image = resample.resample_image(volume.array, coarse, job.parameters.method)
    write("image", image, coarse.affine)
    if label is None:
        return
    small = resample.resample_label(label, coarse)
    record["warnings"] += [
        f"Class {value} is smaller than a voxel of the label: it has none."
        for value in sorted({one["value"] for one in record["roi"]["classes"]})
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
    more = f"; and {len(lines) - 20} more" if len(lines) > 20 else ""
    return [f"{len(lines)} files could not be read and were skipped: {'; '.join(lines[:20])}{more}"]
