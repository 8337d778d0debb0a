"""Write a mask as a DICOM RT Structure Set (PS3.3 A.19) with one ROI, on the slices of its CT.

Borders run along the edges of the pixels, so every reader that fills by pixel centres restores the
same mask. A hole is a closed contour of its own inside the outer contour: readers that combine the
contours of a slice by exclusive or, as planning systems and this package do, keep the hole; a
reader that unites them fills it. (DICOM's other way, a keyhole contour, would show its slit on the
screen, and readers that round points to pixels fill the slit in part.)
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from data_prep.core.colours import PREDICTION_RGB
from data_prep.core.identity import MANUFACTURER, RESEARCH_USE
from data_prep.dicom_out.outlines import trace
from data_prep.dicom_out.sources import Algorithm, check_mask, copy_patient, new_uid, write_dicom

_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management: retired, but planning systems still write and expect it."""


def write_rtstruct(
    path: Path, mask: np.ndarray, sources: list[Dataset], label: str, algorithm: Algorithm
) -> None:
    """Write a structure set whose only ROI, of type GTV, encloses the mask.

    An empty mask gives an ROI without contours.

    :param mask: bool (x, y, z), z in the order of ``sources``.
    :param sources: the CT's headers, from :func:`~data_prep.dicom_out.sources.read_sources`.
    :param label: name of the ROI, at most 64 characters.
    :param algorithm: what drew the mask.
    :raises ValueError: the mask is not on the CT's grid.
    """
    check_mask(mask, sources)
    first, now = sources[0], datetime.now()
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset = Dataset()
    copy_patient(first, dataset)
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, new_uid()
    dataset.Modality, dataset.SeriesInstanceUID = "RTSTRUCT", new_uid()
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.OperatorsName = 1, 1, None
    dataset.SeriesDescription = RESEARCH_USE
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = date, time
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = algorithm.name[:64]
    dataset.SoftwareVersions = algorithm.version
    dataset.DeviceSerialNumber = algorithm.model_sha256[:16]
    dataset.StructureSetLabel = "TUMOUR"
    dataset.StructureSetDescription = RESEARCH_USE
    dataset.StructureSetDate, dataset.StructureSetTime = date, time
    dataset.ReferencedFrameOfReferenceSequence = [_references(sources)]
    dataset.StructureSetROISequence = [
        _item(
            ROINumber=1,
            ReferencedFrameOfReferenceUID=first.FrameOfReferenceUID,
            ROIName=label,
            ROIDescription=f"{RESEARCH_USE}; model SHA-256 {algorithm.model_sha256}",
            ROIGenerationAlgorithm="AUTOMATIC",
        )
    ]
    roi = _item(ReferencedROINumber=1, ROIDisplayColor=list(PREDICTION_RGB))
    contours = _contours(mask, sources)
    if contours:
        roi.ContourSequence = contours
    dataset.ROIContourSequence = [roi]
    dataset.RTROIObservationsSequence = [
        _item(
            ObservationNumber=1,
            ReferencedROINumber=1,
            RTROIInterpretedType="GTV",
            ROIInterpreter=None,
        )
    ]
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    write_dicom(path, dataset)


def _contours(mask: np.ndarray, sources: list[Dataset]) -> list[Dataset]:
    """Return the items of Contour Sequence, slice by slice."""
    contours: list[Dataset] = []
    for k in np.flatnonzero(mask.any(axis=(0, 1))):
        for points in trace(mask[:, :, k]):
            points_lps_mm = to_lps_mm(points, sources[k])
            contours.append(
                _item(
                    ContourNumber=len(contours) + 1,
                    ContourImageSequence=[_reference(sources[k])],
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=len(points),
                    # a tenth of a micrometre, and within the 16 characters of a decimal string
                    ContourData=[f"{value:.4f}" for value in points_lps_mm.ravel()],
                )
            )
    return contours


def to_lps_mm(points: np.ndarray, source: Dataset) -> np.ndarray:
    """Return the positions of points of a slice in the patient (PS3.3 C.7.6.2.1.1).

    :param points: (points, 2) fractional pixel indices (column, row).
    :param source: header of the slice.
    :return: (points, 3) LPS mm.
    """
    between_rows_mm, between_columns_mm = map(float, source.PixelSpacing)
    cosines = np.array(source.ImageOrientationPatient, float).reshape(2, 3)
    steps_mm = cosines * [[between_columns_mm], [between_rows_mm]]
    return np.array(source.ImagePositionPatient, float) + points @ steps_mm


def _references(sources: list[Dataset]) -> Dataset:
    """Return the item that references frame of reference, study, series and slices of the CT."""
    first = sources[0]
    series = _item(
        SeriesInstanceUID=first.SeriesInstanceUID,
        ContourImageSequence=[_reference(source) for source in sources],
    )
    study = _item(
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _item(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _reference(source: Dataset) -> Dataset:
    return _item(
        ReferencedSOPClassUID=source.SOPClassUID, ReferencedSOPInstanceUID=source.SOPInstanceUID
    )


def _item(**attributes: Any) -> Dataset:
    """Return a data set with these attributes, by keyword."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
