"""What every DICOM object derived from a CT has in common: patient, study, and who made it.

Names, dates and numbers of the patient are copied unchanged: an archive stores the object with the
CT's patient only if they agree. No other output of this package contains them.
"""

import copy
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from data_prep.core import files
from data_prep.core.errors import DataError
from data_prep.core.identity import VERSION
from data_prep.dicom_in.reading import read_header
from data_prep.dicom_in.scan import CtSeries

_TYPE_2 = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)
"""Attributes that must be present, but may be empty (PS3.3 C.7.1.1, C.7.2.1, C.7.4.1)."""

_TYPE_3 = (
    "SpecificCharacterSet",
    "IssuerOfPatientID",
    "OtherPatientIDs",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyDescription",
)
"""Attributes of the same modules that are copied if the CT has them."""

_TYPE_1 = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
"""UIDs without which a derived object cannot reference the CT."""


@dataclass(frozen=True)
class Algorithm:
    """What drew a mask.

    :param name: names of the models.
    :param model_sha256: SHA-256 of their checkpoints, in hexadecimal.
    """

    name: str
    model_sha256: str

    version = VERSION


def read_sources(series: CtSeries, sop_instance_uids: tuple[str, ...]) -> list[Dataset]:
    """Read the headers of a CT's slices, in the order of a volume's slices.

    :param series: the series that was read.
    :param sop_instance_uids: of the :class:`~data_prep.dicom_in.series.Volume` that was read.
    :return: data sets without pixels; absent type 2 attributes are empty. Slice Thickness is the
        slice spacing: the CT's own value may be absent, or that of overlapping slices, and a voxel
        of a mask reaches from slice to slice.
    :raises DataError: a slice lacks a UID that a derived object must reference, or its file holds
        several slices.
    """
    if len(set(sop_instance_uids)) < len(sop_instance_uids):
        raise DataError(
            f"{series.label}: found a multi-frame CT, expected one file per slice: DICOM SEG and "
            "RTSTRUCT are written for such CTs only. Export the CT with one file per slice, or use "
            "the NIfTI mask of `restore`."
        )
    paths = {header.sop_instance_uid: header.path for header in series.slices}
    sources = []
    for uid in sop_instance_uids:
        source = read_header(paths[uid])
        with warnings.catch_warnings():  # about values that are too long or unusual
            warnings.simplefilter("ignore")
            source.decode()
        for keyword in _TYPE_1:
            if not source.get(keyword):
                raise DataError(
                    f"{paths[uid]}: no {keyword}, expected one: DICOM SEG and RTSTRUCT reference "
                    "the CT by it. Fetch the file again, or export the CT again."
                )
        for keyword in _TYPE_2:
            if keyword not in source:
                setattr(source, keyword, None)
        sources.append(source)
    origins_mm = np.array([source.ImagePositionPatient for source in sources], float)
    # the median: if slices are missing, the mean is not the distance of any two slices
    step_mm = round(float(np.median(np.linalg.norm(np.diff(origins_mm, axis=0), axis=1))), 6)
    for source in sources:
        source.SliceThickness = source.SpacingBetweenSlices = step_mm
    return sources


def copy_patient(source: Dataset, target: Dataset) -> None:
    """Copy patient, study and frame of reference from the header of a CT slice."""
    for keyword in (*_TYPE_2, *_TYPE_3, "StudyInstanceUID", "FrameOfReferenceUID"):
        if keyword in source:
            target[keyword] = source[keyword]


def without_patient(source: Dataset) -> Dataset:
    """Return a copy of the header of a slice with empty patient and study attributes."""
    blank = copy.deepcopy(source)
    blank.pop("SpecificCharacterSet", None)
    for keyword in _TYPE_2:
        setattr(blank, keyword, None)
    return blank


def new_uid() -> str:
    """Return a UID that no other object has (PS3.5 B.2, derived from a UUID)."""
    return generate_uid(prefix=None)


def check_mask(mask: np.ndarray, sources: list[Dataset]) -> None:
    """Refuse a mask that is not on the grid of the slices.

    :param mask: (x, y, z).
    :param sources: headers of the slices.
    :raises ValueError: its shape or type differs.
    """
    expected = (sources[0].Columns, sources[0].Rows, len(sources))
    if mask.dtype != bool or mask.shape != expected:
        raise ValueError(
            f"mask is {mask.dtype} of shape {mask.shape}, expected bool of shape {expected}: "
            "(columns, rows, slices) of the CT. Restore it to the CT's own grid first."
        )


def write_dicom(path: Path, dataset: Dataset) -> None:
    """Write a DICOM file under a temporary name, then rename it.

    :param dataset: with its file meta information.
    """
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    files.write_bytes(path, content.getvalue())
