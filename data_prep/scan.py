"""Find the DICOM files of a cohort and group them by patient: headers only, no pixels."""

import hashlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from data_prep import DataError

_HEADER_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "PatientID", "SeriesInstanceUID",
    "FrameOfReferenceUID", "ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing",
    "Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames",
]

_DICOM_SUFFIX = re.compile(r"|\.(dcm|dicom|ima|\d+)", re.IGNORECASE)
"""A file so named is expected to be DICOM: .dcm, .dicom, .ima, none, or the last part of a UID."""

_OTHER_NAMES = ("LICENSE", "README")
"""How names begin of what archives put beside the images without a suffix."""


class NotDicomError(DataError):
    """The file is empty, or does not begin as DICOM does."""


@dataclass(frozen=True)
class SliceHeader:
    """What of one CT slice is needed to place it; a value is None where the header lacks it."""

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
    """Of the pixel data that Rows and Columns promise; counted in uncompressed files only."""


@dataclass
class CtSeries:
    """The slices of one CT series, in the order in which the files were found."""

    series_uid: str
    frame_of_reference_uid: str
    slices: list[SliceHeader] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Name the series and its folder for a message."""
        return f"CT series {self.series_uid} in {self.slices[0].path.parent}"


@dataclass
class PatientFiles:
    """All that was found of one patient; ``name`` is raw and never becomes part of a path.

    ``source`` is the folder of the CT's first file, or of the first file where there is no CT,
    from the folder scanned.
    """

    name: str
    source: str
    series: dict[str, CtSeries] = field(default_factory=dict)
    structure_paths: list[Path] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)
    other_objects: int = 0
    unreadable: list[str] = field(default_factory=list)


def read_dataset(path: Path, **options) -> Dataset:
    """Read one DICOM file, with or without the 128-byte preamble (PS3.10 section 7.1).

    :param options: handed to :func:`pydicom.dcmread`.
    :raises NotDicomError: the file is empty or something else than DICOM.
    :raises DataError: it is damaged or ends too early.
    """
    with path.open("rb") as stream:
        start = stream.read(132)
    if not start:
        raise NotDicomError("empty file")
    preamble = start[128:132] == b"DICM"
    if not preamble and start[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        raise NotDicomError("not DICOM")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, force=not preamble, **options)
            if not dataset.get("SOPClassUID"):
                raise DataError("not a DICOM object, or cut off: it has no SOP Class UID")
            if "TransferSyntaxUID" not in dataset.file_meta:  # pydicom guessed it while reading
                implicit, _ = dataset.original_encoding
                guess = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
                dataset.file_meta.TransferSyntaxUID = guess
            return dataset
    except DataError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise DataError(f"damaged DICOM ({type(error).__name__})") from error


def read_whole(path: Path) -> tuple[Dataset, str]:
    """Read one DICOM file to its end.

    :return: the data set and the SHA-256 digest of the file.
    :raises DataError: as :func:`read_dataset` does.
    """
    return read_dataset(path), hashlib.sha256(path.read_bytes()).hexdigest()


def scan(root: Path) -> tuple[list[PatientFiles], list[str], int]:
    """Read the headers of all files under a folder and group them by patient.

    A patient is a Patient ID; files without one are grouped by the folder below ``root``.

    :return: patients sorted by name, one "file: reason" line for each unreadable file, and the
        number of other files: neither named as DICOM nor DICOM, such as LICENSE or metadata.csv.
    :raises DataError: the folder is absent.
    """
    if not root.is_dir():
        raise DataError(f"No folder {root}. Give the folder that holds the patients' DICOM files.")
    patients: dict[tuple, PatientFiles] = {}
    unreadable: list[tuple[Path, str]] = []
    others = 0
    for path in _files(root):
        try:
            dataset = read_dataset(path, stop_before_pixels=True, specific_tags=_HEADER_TAGS)
            patient_id = str(dataset.get("PatientID") or "").strip(" \0")
            folder = path.relative_to(root).parts[:-1][:1] or (root.resolve().name,)
            key = ("id", patient_id) if patient_id else ("folder", *folder)
            source = path.parent.relative_to(root).as_posix()
            patient = patients.setdefault(key, PatientFiles(patient_id or folder[0], source))
            _add(patient, path, dataset)
        except (DataError, OSError, ValueError, TypeError, AttributeError) as error:
            if isinstance(error, NotDicomError) and not _named_as_dicom(path):
                others += 1
                continue
            unreadable.append((path, f"{path.relative_to(root)}: {error}"))
    for patient in patients.values():
        for series in list(patient.series.values())[:1]:
            patient.source = series.slices[0].path.parent.relative_to(root).as_posix()
        patient.unreadable = [line for path, line in unreadable if path.parent in patient.folders]
    ordered = [patients[key] for key in sorted(patients, key=lambda key: (key[1], key[0]))]
    return ordered, [line for _, line in unreadable], others


def _named_as_dicom(path: Path) -> bool:
    expected = _DICOM_SUFFIX.fullmatch(path.suffix) is not None
    return expected and not path.name.upper().startswith(_OTHER_NAMES)


def _files(root: Path) -> Iterator[Path]:
    """Yield files in a fixed order; hidden ones and the index of a medium are left out."""
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
    """Put one file's header where it belongs."""
    modality = dataset.get("Modality")
    if modality == "RTSTRUCT":
        patient.structure_paths.append(path)
    elif modality == "CT" and "LOCALIZER" not in (dataset.get("ImageType") or ()):
        uid = str(dataset.get("SeriesInstanceUID") or "")
        header = _slice_header(path, dataset)
        frame_uid = str(dataset.get("FrameOfReferenceUID") or "")
        patient.series.setdefault(uid, CtSeries(uid, frame_uid)).slices.append(header)
    else:
        patient.other_objects += 1
    patient.folders.add(path.parent)


def _slice_header(path: Path, dataset: Dataset) -> SliceHeader:
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    samples, frames = (int(dataset.get(k) or 1) for k in ("SamplesPerPixel", "NumberOfFrames"))
    syntax = dataset.file_meta.TransferSyntaxUID
    plain = not syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian
    promised = rows * columns * samples * frames * int(dataset.get("BitsAllocated") or 16) // 8
    return SliceHeader(
        path=path,
        sop_instance_uid=str(dataset.get("SOPInstanceUID") or ""),
        orientation=_numbers(dataset.get("ImageOrientationPatient"), 6),
        origin_lps_mm=_numbers(dataset.get("ImagePositionPatient"), 3),
        pixel_spacing_mm=_numbers(dataset.get("PixelSpacing"), 2),
        rows=rows,
        columns=columns,
        frames=frames,
        samples=samples,
        bytes_missing=max(0, promised - path.stat().st_size) if plain else 0,
    )


def _numbers(value, count: int) -> tuple[float, ...] | None:
    """Return ``count`` finite floats, or None where the header has something else."""
    try:
        numbers = tuple(float(number) for number in value)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None
