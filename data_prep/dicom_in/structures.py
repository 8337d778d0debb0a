"""Read an RTSTRUCT: the list of ROIs, and their contours."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from data_prep.core.errors import DataError
from data_prep.dicom_in.reading import damage_named, read_whole
from data_prep.dicom_in.rois import Candidate, EmptyRoiError, listing
from data_prep.dicom_in.scan import MAX_NUMBER

MAX_CONTOUR_BYTES = 2**22
"""Longest contour that is parsed: about 100,000 points."""


@dataclass(frozen=True)
class Contour:
    """One closed planar contour (PS3.3 C.8.8.6).

    :param points_lps_mm: (points, 3).
    :param image_uids: SOP Instance UIDs of the images that it references.
    """

    points_lps_mm: np.ndarray
    image_uids: tuple[str, ...]


@dataclass(frozen=True)
class StructureSet:
    """An RTSTRUCT file: its ROIs (PS3.3 C.8.8.5) and its references to images.

    :param frames: Frame of Reference UID by ROI Number.
    :param series_uids: Series Instance UIDs that it references.
    :param sop_uids: SOP Instance UIDs that it references.
    :param content: the whole data set, and the SHA-256 digest of the file.
    """

    path: Path
    candidates: tuple[Candidate, ...]
    frames: dict[int, str]
    series_uids: frozenset[str]
    sop_uids: frozenset[str]
    content: tuple[Dataset, str] = field(repr=False)

    def references(self, roi: Candidate) -> tuple[frozenset[str], frozenset[str], str]:
        """Return Series, SOP Instance and Frame of Reference UIDs that link an ROI to a CT."""
        return self.series_uids, self.sop_uids, self.frames.get(roi.number, "")


def read_structure_set(path: Path) -> StructureSet:
    """Read the list of ROIs and the references to images of an RTSTRUCT, but no contours.

    :raises DataError: the file is damaged.
    """
    with damage_named(f"RTSTRUCT {path}"):
        return _structure_set(path, *read_whole(path))


def _structure_set(path: Path, dataset: Dataset, digest: str) -> StructureSet:
    filled = {
        item.get("ReferencedROINumber")
        for item in dataset.get("ROIContourSequence") or ()
        if _has_region(item)
    }
    items = [
        item
        for item in dataset.get("StructureSetROISequence") or ()
        if item.get("ROINumber") is not None
    ]
    candidates = tuple(
        Candidate(
            source="RTSTRUCT",
            path=path,
            number=int(item.ROINumber),
            name=str(item.get("ROIName") or "").strip(),
            empty=item.ROINumber not in filled,
        )
        for item in items
    )
    frames = {
        int(item.ROINumber): str(item.get("ReferencedFrameOfReferenceUID") or "") for item in items
    }
    series_uids: set[str] = set()
    sop_uids: set[str] = set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            for series in study.get("RTReferencedSeriesSequence") or ():
                series_uids.add(str(series.get("SeriesInstanceUID") or ""))
                sop_uids.update(_image_uids(series))
    return StructureSet(
        path,
        candidates,
        frames,
        frozenset(series_uids - {""}),
        frozenset(sop_uids),
        (dataset, digest),
    )


def _has_region(item: Dataset) -> bool:
    """Tell whether an ROI has a closed contour, without parsing all of its contours."""
    element = item.get_item("ContourSequence")
    value = element.value if element is not None else None
    if isinstance(value, bytes):
        return b"CLOSED" in value  # part of no other geometric type's name
    return any("CLOSED" in str(contour.get("ContourGeometricType")) for contour in value or ())


def _image_uids(item: Dataset) -> tuple[str, ...]:
    """Return the referenced SOP Instance UIDs of an item's Contour Image Sequence."""
    images = item.get("ContourImageSequence") or ()
    return tuple(str(image.get("ReferencedSOPInstanceUID") or "") for image in images)


def read_contours(structures: StructureSet, roi: Candidate) -> tuple[list[Contour], list[str]]:
    """Parse an ROI's closed planar contours.

    :return: the contours, and warnings on what is not a region (points, open lines).
    :raises EmptyRoiError: the ROI has no closed planar contour.
    :raises DataError: the contours are damaged.
    """
    with damage_named(f"RTSTRUCT {structures.path}, ROI {roi.name}"):
        contours, others = _closed_contours(structures, roi)
    found = ", ".join(f"{count} {kind}" for kind, count in others.items())
    if not contours:
        raise EmptyRoiError(
            f"RTSTRUCT {structures.path}, ROI {roi.name}: expected CLOSED_PLANAR contours, found "
            f"{found or 'no contour at all'}. It encloses no volume; choose another with --roi. "
            f"ROIs found: {listing(list(structures.candidates))}."
        )
    return contours, [
        f"ROI {roi.name}: ignored contours without an area: {found}."
    ] if found else []


def _closed_contours(
    structures: StructureSet, roi: Candidate
) -> tuple[list[Contour], Counter[str]]:
    """Return an ROI's closed planar contours, and how many there are of other types."""
    contours: list[Contour] = []
    others: Counter[str] = Counter()
    for item in structures.content[0].get("ROIContourSequence") or ():
        if item.get("ReferencedROINumber") != roi.number:
            continue
        for contour in item.get("ContourSequence") or ():
            kind = str(contour.get("ContourGeometricType") or "no type")
            if kind in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
                points_lps_mm = _points(contour, f"RTSTRUCT {structures.path}, ROI {roi.name}")
                contours.append(Contour(points_lps_mm, _image_uids(contour)))
            else:
                others[kind] += 1
    return contours, others


def _points(contour: Dataset, where: str) -> np.ndarray:
    """Return the points (points, 3) of a contour in LPS mm, all parsed at once for speed."""
    element = contour.get_item("ContourData")
    value = element.value if element is not None else b""
    if len(value or b"") > MAX_CONTOUR_BYTES:
        raise DataError(
            f"{where}: a contour has {len(value)} bytes, expected at most {MAX_CONTOUR_BYTES}. "
            "Fetch the file again."
        )
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace").strip(" \0").split("\\")
    try:
        numbers = np.array(value, dtype=float)
    except (TypeError, ValueError):
        numbers = np.array([np.nan])
    if numbers.size == 0 or numbers.size % 3 or not (np.abs(numbers) <= MAX_NUMBER).all():
        raise DataError(
            f"{where}: a contour has {numbers.size} values that are not x, y, z triplets of finite "
            f"numbers up to {MAX_NUMBER:g} mm. Fetch the file again."
        )
    return numbers.reshape(-1, 3)
