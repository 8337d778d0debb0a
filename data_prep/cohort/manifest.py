"""What preprocessing did to each patient, as types: ``manifest.json`` and ``records/<id>.json``.

These files are read and written here only. Paths in them are relative to the output folder, affines
are RAS mm. A key whose value is optional (it has the default None below) is left out where there is
no value.
"""

from enum import Enum
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from data_prep.core.contracts import KEY, Contract, Part

MANIFEST = "manifest.json"
"""The file of a :class:`Manifest`, in the output folder of ``preprocess``."""

MAX_REDUCE = 16
"""Largest in-plane factor that ``preprocess`` accepts."""

_ADVICE = "Give --data the folder that preprocess wrote, or run preprocess again."

PatientId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
"""An id is part of file names: one from outside must not lead to another folder."""

FileName = Annotated[str, Field(pattern=r"^[a-z]+/[A-Za-z0-9_-]+\.nii\.gz$")]
"""A file below the output folder, one level deep."""

Phase = Literal["Training", "Validation", "Inference", "Unused"]
"""NiftyNet's words in a data split file, and the one for patients that the split leaves out."""

Vector = tuple[float, float, float]
AffineRow = tuple[float, float, float, float]


class Status(str, Enum):
    """How the preparation of a patient ended."""

    OK = "ok"
    REFUSED = "refused"
    """The data cannot be used; the result is the same in every run."""
    FAILED = "failed"
    """An unforeseen fault, such as a full disk or a bug: another run may succeed."""


class GridRecord(Part):
    """A voxel grid: shape (x, y, z), and the 4x4 affine from voxel indices to RAS mm."""

    shape: tuple[int, int, int]
    affine_ras: tuple[AffineRow, AffineRow, AffineRow, AffineRow]

    @classmethod
    def of(cls, shape: tuple[int, ...], affine_ras: np.ndarray) -> "GridRecord":
        """Return the record of a grid.

        :param shape: (x, y, z).
        :param affine_ras: (4, 4), voxel indices to RAS mm.
        """
        return cls.model_validate({"shape": shape, "affine_ras": affine_ras.tolist()})

    @property
    def affine(self) -> np.ndarray:
        """Return the affine as an array, float (4, 4), voxel indices to RAS mm."""
        return np.array(self.affine_ras)


class CtRecord(Part):
    """The CT series that was used; positions in mm are those along the normal of the slices."""

    series_uid: str
    slices: int
    interpolated_slices: tuple[int, ...]
    spacing_mm: Vector
    first_slice_mm: float
    last_slice_mm: float


class RoiClassRecord(Part):
    """One ROI of the label: its value there, name, kind of file and own number of voxels."""

    value: int
    name: str
    source: str
    voxels: int


class RoiRecord(Part):
    """The ROIs that became the label, and the names of those that did not."""

    chosen: str
    classes: tuple[RoiClassRecord, ...]
    others: tuple[str, ...]


class PatientFilesRecord(Part):
    """A patient's NIfTI files, relative to the output folder; None where there is no such file."""

    image: FileName | None = None
    label: FileName | None = None
    native_label: FileName | None = None

    def names(self) -> dict[str, str]:
        """Return the names of the files that exist, by kind."""
        return self.model_dump(exclude_none=True)


class PatientRecord(Part):
    """One patient: what was found, chosen and written, or why it cannot be used.

    ``phase`` is None for patients that cannot be used. ``inputs`` are the sorted SHA-256 digests of
    the patient's DICOM files, ``outputs`` those of the written files by name. ``native`` is the
    CT's own grid, ``coarse`` that of ``image`` and ``label``. ``voxels`` and ``volume_ml`` are the
    label's, on the native grid.
    """

    id: PatientId
    source: str
    status: Status
    reason: str
    warnings: tuple[str, ...]
    phase: Phase | None
    roi: RoiRecord | None
    files: PatientFilesRecord
    inputs: tuple[str, ...]
    outputs: dict[str, str]
    voxels: int | None = None
    volume_ml: float | None = None
    ct: CtRecord | None = None
    native: GridRecord | None = None
    coarse: GridRecord | None = None
    seconds: float | None = None


class RoiRuleClassRecord(Part):
    """One class of an ROI rule, as :class:`data_prep.dicom_in.rois.RoiClass`."""

    value: int
    names: tuple[str, ...]
    patterns: tuple[str, ...]
    policy: str


class RoiRuleRecord(Part):
    """An ROI rule spelt out, as :class:`data_prep.dicom_in.rois.RoiRule`."""

    classes: tuple[RoiRuleClassRecord, ...]
    sources: tuple[str, ...]


class ParametersRecord(Part):
    """What was asked for: :class:`data_prep.cohort.job.Parameters`, and its rule spelt out."""

    roi: str
    policy: str
    reduce: int
    spacing_mm: Vector | None
    method: str
    split: Vector
    seed: int
    allow_unlabelled: bool
    resample_oblique: bool
    roi_rule: RoiRuleRecord


class PatientParametersRecord(Part):
    """The parameters that shape a patient's files: all but the split, the rule spelt out."""

    roi: RoiRuleRecord
    policy: str
    reduce: int
    spacing_mm: Vector | None
    method: str
    allow_unlabelled: bool
    resample_oblique: bool


class _SparseContract(Contract):
    """A contract whose file leaves out optional keys that have no value."""

    def as_json(self) -> dict[str, Any]:
        """Return the file's content, its schema number first, without keys of no value."""
        return {KEY: self.SCHEMA} | self.model_dump(mode="json", exclude_defaults=True)


class Manifest(_SparseContract):
    """What one run of ``preprocess`` did; ``patients`` are in the order of their folders.

    ``dealt`` is the phase of all patients that this run or earlier ones assigned, also of those
    that are gone or refused by now.
    """

    software: dict[str, str]
    parameters: ParametersRecord
    warnings: tuple[str, ...]
    other_files: int
    dealt: dict[str, Phase]
    patients: tuple[PatientRecord, ...]

    @model_validator(mode="after")
    def _check_usable_patients(self) -> "Manifest":
        """Refuse a usable patient that lacks what its users rely on."""
        for patient in self.usable:
            needed = (patient.phase, patient.files.image, patient.native, patient.coarse)
            if None in needed:
                raise ValueError(f"patient {patient.id} lacks its phase, image or grids")
        return self

    @property
    def usable(self) -> tuple[PatientRecord, ...]:
        """Return the patients with status OK: each has a phase, an image and both grids."""
        return tuple(patient for patient in self.patients if patient.status is Status.OK)


class MadeWith(Part):
    """What determines a patient's files beside the content of its DICOM files."""

    versions: dict[str, str]
    parameters: PatientParametersRecord
    source: str
    unreadable: tuple[str, ...]


class RecordFile(_SparseContract):
    """``records/<id>.json``: a patient's record, and what it was made with."""

    made_with: MadeWith
    record: PatientRecord


def read_manifest(data_dir: str | PathLike[str]) -> Manifest:
    """Read the manifest of a folder that ``preprocess`` wrote.

    :raises DataError: it is absent, damaged, or of a newer schema.
    """
    return Manifest.read(Path(data_dir, MANIFEST), _ADVICE)


def write_manifest(manifest: Manifest, data_dir: Path) -> None:
    """Write the manifest of an output folder, whole or not at all."""
    manifest.write(data_dir / MANIFEST)
