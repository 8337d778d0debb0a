"""Find the DICOM files of a cohort and group them by patient: headers only, no pixels."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from data_prep.core.engine import Run, here
from data_prep.core.errors import DataError
from data_prep.core.workers import Failure
from data_prep.dicom_in.reading import NotDicomError, read_header

_HEADER_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "ImageType",
    "PatientID",
    "PatientBirthDate",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "BitsAllocated",
    "SamplesPerPixel",
    "NumberOfFrames",
    "RescaleSlope",
    "RescaleIntercept",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""Beginning of the SOP classes of screenshots and dose reports, which some scanners label CT."""

PART_FILES = 100
"""Number of files whose headers one job reads: about those of a patient."""

MAX_FRAMES = 2**14
"""Largest Number of Frames accepted."""

MAX_NUMBER = 1e6
"""Largest number accepted in a position, spacing or rescaling: in mm, a kilometre."""

_DICOM_SUFFIX = re.compile(r"|\.(dcm|dicom|ima|\d+)", re.IGNORECASE)
"""Suffixes of DICOM files: .dcm, .dicom, .ima, none, or the last part of a UID."""

_OTHER_NAMES = ("LICENSE", "README")
"""Beginnings of the names of other files without a suffix that archives put beside images."""


@dataclass(frozen=True)
class SliceHeader:
    """What is needed to place and to read one CT slice; None where the header lacks a value.

    :param orientation: the six direction cosines of Image Orientation (Patient).
    :param origin_lps_mm: (3,) Image Position (Patient).
    :param pixel_spacing_mm: (2,) between rows, then between columns.
    :param frames: Number of Frames of a file whose frames cannot be placed one by one, else 1.
    :param samples: Samples per Pixel.
    :param frame: index of the slice's frame in the file.
    :param rescale: Rescale Slope and Intercept.
    """

    path: Path
    sop_instance_uid: str
    orientation: tuple[float, ...] | None
    origin_lps_mm: tuple[float, ...] | None
    pixel_spacing_mm: tuple[float, ...] | None
    rows: int
    columns: int
    frames: int
    samples: int
    bytes_missing: int
    """By how much the file is too short for its Rows and Columns; uncompressed files only."""
    frame: int = 0
    rescale: tuple[float, float] | None = None


@dataclass
class CtSeries:
    """The slices of one CT series, in the order in which the files were found."""

    series_uid: str
    frame_of_reference_uid: str
    slices: list[SliceHeader] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The series and its folder, for a message."""
        return f"CT series {self.series_uid} in {self.slices[0].path.parent}"


@dataclass
class PatientFiles:
    """All files that were found for one patient.

    :param name: Patient ID, or a folder's name if there is none; it is unchecked text, and never
        becomes part of a path.
    :param source: folder of the first file of the CT, or of the first file if there is no CT,
        relative to the scanned folder.
    :param series: CT series by Series Instance UID.
    :param folders: all folders that hold files of the patient.
    :param studies: Study Instance UIDs.
    :param other_objects: number of DICOM files that are neither CT nor RTSTRUCT nor SEG.
    :param unreadable: a line "file: reason" for each file in these folders that cannot be read.
    """

    name: str
    source: str
    series: dict[str, CtSeries] = field(default_factory=dict)
    structure_paths: list[Path] = field(default_factory=list)
    seg_paths: list[Path] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)
    studies: set[str] = field(default_factory=set)
    other_objects: int = 0
    unreadable: list[str] = field(default_factory=list)

    def absorb(self, other: "PatientFiles") -> None:
        """Take over the files of another group that belongs to the same person."""
        for uid, series in other.series.items():
            known = self.series.setdefault(uid, CtSeries(uid, series.frame_of_reference_uid))
            known.slices += series.slices
        self.structure_paths = sorted(self.structure_paths + other.structure_paths)
        self.seg_paths = sorted(self.seg_paths + other.seg_paths)
        self.folders |= other.folders
        self.studies |= other.studies
        self.other_objects += other.other_objects


@dataclass
class _ScanPart:
    """What one job found: groups by (kind, name, birth date), and files that cannot be read."""

    groups: dict[tuple[str, str, str], PatientFiles] = field(default_factory=dict)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    others: int = 0


def scan(root: Path, run: Run = here) -> tuple[list[PatientFiles], list[str], int]:
    """Read the headers of all files under a folder and group them by patient.

    A patient is a Patient ID; files without one are grouped by the folder below ``root``. One ID
    counts as two patients if both their studies and their birth dates differ. Birth dates are
    compared and not kept.

    :param root: the folder.
    :param run: how to run jobs, as from :meth:`data_prep.core.engine.Engine.session`; the result
        does not depend on it.
    :return: patients sorted by name, a line "file: reason" for each unreadable file, and the number
        of other files: neither DICOM nor named like DICOM, such as LICENSE or metadata.csv.
    :raises DataError: the folder is absent.
    """
    if not root.is_dir():
        raise DataError(
            f"Folder {root} does not exist. Name the folder that holds the patients' DICOM files."
        )
    paths = list(_files(root))
    jobs = [(root, paths[k : k + PART_FILES]) for k in range(0, len(paths), PART_FILES)]
    parts = dict(run(_scan_part, jobs))
    groups: dict[tuple[str, str, str], PatientFiles] = {}
    unreadable: list[tuple[Path, str]] = []
    for number, (_, files) in enumerate(jobs):
        part = parts[number]
        if isinstance(part, Failure):
            part = _ScanPart(
                unreadable=[(p, f"{p.relative_to(root)}: {part.reason}") for p in files]
            )
        for key, group in part.groups.items():
            groups.setdefault(key, PatientFiles(group.name, group.source)).absorb(group)
        unreadable += part.unreadable
    ordered = _persons(groups)
    for patient in ordered:
        for series in list(patient.series.values())[:1]:
            patient.source = series.slices[0].path.parent.relative_to(root).as_posix()
        patient.unreadable = [line for path, line in unreadable if path.parent in patient.folders]
    others = sum(part.others for part in parts.values() if isinstance(part, _ScanPart))
    return ordered, [line for _, line in unreadable], others


def _scan_part(job: tuple[Path, list[Path]]) -> _ScanPart:
    """Read the headers of some of the files under a folder.

    :param job: the folder and the files.
    """
    root, paths = job
    part = _ScanPart()
    for path in paths:
        try:
            dataset = read_header(path, specific_tags=_HEADER_TAGS)
            patient_id = str(dataset.get("PatientID") or "").strip(" \0")
            folder = path.relative_to(root).parts[:-1][:1] or (root.resolve().name,)
            born = str(dataset.get("PatientBirthDate") or "")
            key = ("id" if patient_id else "folder", patient_id or folder[0], born)
            source = path.parent.relative_to(root).as_posix()
            patient = part.groups.setdefault(key, PatientFiles(key[1], source))
            patient.folders.add(path.parent)
            _add(patient, path, dataset)
        except NotDicomError as error:
            if _named_as_dicom(path):
                part.unreadable.append((path, f"{path.relative_to(root)}: {error}"))
            else:
                part.others += 1
        except Exception as error:  # whatever a damaged header raises
            part.unreadable.append((path, f"{path.relative_to(root)}: {_reason(error)}"))
    return part


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "its header needs more memory than there is"
    clear = isinstance(error, (DataError, OSError))
    return str(error) if clear else f"damaged header ({type(error).__name__})"


def _persons(groups: dict[tuple[str, str, str], PatientFiles]) -> list[PatientFiles]:
    """Merge the groups of one name that belong to the same person.

    A group without a birth date belongs to the first group that has one. Groups with different
    birth dates are different persons, unless they share a study.

    :param groups: by (kind, name, birth date).

    :return: sorted by name.
    """
    persons: dict[tuple[str, str], list[PatientFiles]] = {}
    for (kind, name, born), group in sorted(
        groups.items(), key=lambda item: (item[0][1], item[0][0], not item[0][2], item[0][2])
    ):
        known = persons.setdefault((kind, name), [])
        same = [person for person in known if not born or person.studies & group.studies]
        if same:
            same[0].absorb(group)
        else:
            known.append(group)
    return [person for known in persons.values() for person in known]


def _named_as_dicom(path: Path) -> bool:
    expected = _DICOM_SUFFIX.fullmatch(path.suffix) is not None
    return expected and not path.name.upper().startswith(_OTHER_NAMES)


def _files(root: Path) -> Iterator[Path]:
    """Yield files in a fixed order, without hidden files and DICOMDIR."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and name.upper() != "DICOMDIR" and path.is_file():
                yield path


def _add(patient: PatientFiles, path: Path, dataset: Dataset) -> None:
    """Add the header of one file to its patient."""
    modality, sop_class = dataset.get("Modality"), str(dataset.SOPClassUID)
    headers = []
    if modality == "CT" and "LOCALIZER" not in (dataset.get("ImageType") or ()):
        if not sop_class.startswith(_SECONDARY_CAPTURE):
            headers = _slice_headers(path, dataset)
    if headers:
        uid = str(dataset.get("SeriesInstanceUID") or "")
        frame_uid = str(dataset.get("FrameOfReferenceUID") or "")
        patient.series.setdefault(uid, CtSeries(uid, frame_uid)).slices += headers
    elif modality == "RTSTRUCT":
        patient.structure_paths.append(path)
    elif modality == "SEG":
        patient.seg_paths.append(path)
    else:
        patient.other_objects += 1
    patient.studies |= {str(dataset.get("StudyInstanceUID") or "")} - {""}


def _slice_headers(path: Path, dataset: Dataset) -> list[SliceHeader]:
    """Return the headers of a file's slices: one, or one for each frame of a multi-frame CT.

    A frame's geometry is in the functional groups (PS3.3 C.7.6.16.2), its own or the shared ones.

    :raises DataError: the number of functional groups is not that of the frames.
    """
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    samples, frames = (int(dataset.get(k) or 1) for k in ("SamplesPerPixel", "NumberOfFrames"))
    syntax = dataset.file_meta.TransferSyntaxUID
    plain = not syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian
    expected_bytes = (
        rows * columns * samples * frames * int(dataset.get("BitsAllocated") or 16) // 8
    )
    placed = partial(
        _placed,
        path=path,
        sop_instance_uid=str(dataset.get("SOPInstanceUID") or ""),
        rows=rows,
        columns=columns,
        samples=samples,
        bytes_missing=max(0, expected_bytes - path.stat().st_size) if plain else 0,
    )
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        return [placed(dataset, dataset, dataset, dataset, frames=frames)]
    if len(groups) != frames or frames > MAX_FRAMES:
        raise DataError(
            f"Number of Frames is {frames}, with functional groups of {len(groups)} frames; "
            f"expected the same number, at most {MAX_FRAMES}"
        )
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    headers = []
    for index, own in enumerate(groups):
        parts = (
            functional_group(name, own, shared)
            for name in (
                "PlanePositionSequence",
                "PlaneOrientationSequence",
                "PixelMeasuresSequence",
                "PixelValueTransformationSequence",
            )
        )
        headers.append(placed(*parts, frames=1, frame=index))
    return headers


def functional_group(name: str, own: Dataset, shared: Dataset) -> Dataset:
    """Return the item of a functional group for a frame: its own, the shared or an empty one.

    :param name: keyword of the group's sequence.
    :param own: the frame's item of Per-Frame Functional Groups Sequence.
    :param shared: the item of Shared Functional Groups Sequence.
    """
    item: Dataset = ((own.get(name) or shared.get(name)) or [Dataset()])[0]
    return item


def _placed(
    position: Dataset, orientation: Dataset, measures: Dataset, values: Dataset, **others: Any
) -> SliceHeader:
    """Return the header of a slice, its lists of numbers each from the item that has it.

    :param others: the values of :class:`SliceHeader` that are not lists of numbers.
    :raises DataError: Rescale Slope or Intercept is not a finite number.
    """
    rescale = None
    if values.get("RescaleSlope") is not None:
        rescale = finite_numbers([values.RescaleSlope, values.get("RescaleIntercept") or 0.0], 2)
        if rescale is None:
            raise DataError("Rescale Slope or Intercept is not a finite number")
    return SliceHeader(
        **others,
        origin_lps_mm=finite_numbers(position.get("ImagePositionPatient"), 3),
        orientation=finite_numbers(orientation.get("ImageOrientationPatient"), 6),
        pixel_spacing_mm=finite_numbers(measures.get("PixelSpacing"), 2),
        rescale=(rescale[0], rescale[1]) if rescale else None,
    )


def finite_numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Return ``count`` floats of magnitude at most ``MAX_NUMBER``, or None for anything else."""
    try:
        found = tuple(float(number) for number in value)
    except (TypeError, ValueError):
        return None
    sound = len(found) == count and all(abs(number) <= MAX_NUMBER for number in found)
    return found if sound else None  # NaN is not sound: no comparison with it is true
