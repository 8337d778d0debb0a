"""RTSTRUCT: read the list of ROIs and fill the contours of one on a volume's grid."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from data_prep import DataError, geometry
from data_prep.rois import Candidate, listing
from data_prep.scan import read_whole
from data_prep.series import Volume

SAME_PLANE_TOLERANCE = 0.05
"""Largest distance between contours of one plane, as a share of the slice step."""


@dataclass(frozen=True)
class Contour:
    """One closed planar contour (PS3.3 C.8.8.6): points (points, 3) in LPS mm."""

    points_lps_mm: np.ndarray
    image_uids: tuple[str, ...]


@dataclass(frozen=True)
class StructureSet:
    """An RTSTRUCT file: its ROIs (PS3.3 C.8.8.5) and which images it says it was drawn on.

    ``frames`` is the Frame of Reference UID by ROI Number; ``digest`` the file's SHA-256.
    """

    path: Path
    candidates: tuple[Candidate, ...]
    frames: dict[int, str]
    series_uids: frozenset[str]
    sop_uids: frozenset[str]
    digest: str
    dataset: Dataset = field(repr=False)

    def references(self, roi: Candidate) -> tuple[frozenset[str], frozenset[str], str]:
        """Return Series, SOP Instance and Frame of Reference UIDs that tie an ROI to a CT."""
        return self.series_uids, self.sop_uids, self.frames.get(roi.number, "")


@dataclass
class Placement:
    """Where an ROI's contours belong: polygons (points, 2) of pixel indices by slice index."""

    polygons: dict[int, list[np.ndarray]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_structure_sets(paths: list[Path]) -> list[StructureSet]:
    """Read a patient's RTSTRUCT files; a file that is a copy of another is left out."""
    distinct: dict[str, StructureSet] = {}
    for path in paths:
        one = read_structure_set(path)
        distinct.setdefault(one.digest, one)
    return list(distinct.values())


def read_structure_set(path: Path) -> StructureSet:
    """Read an RTSTRUCT's list of ROIs and its references to images; contours stay unparsed.

    :raises DataError: the file is damaged.
    """
    try:
        dataset, digest = read_whole(path)
    except DataError as error:
        raise DataError(f"RTSTRUCT {path}: {error}. Fetch the file again.") from error
    filled = {
        item.get("ReferencedROINumber")
        for item in dataset.get("ROIContourSequence") or ()
        if item.get("ContourSequence")
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
    series_uids, sop_uids = set(), set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            for series in study.get("RTReferencedSeriesSequence") or ():
                series_uids.add(str(series.get("SeriesInstanceUID") or ""))
                sop_uids.update(_image_uids(series))
    return StructureSet(
        path, candidates, frames, frozenset(series_uids - {""}), frozenset(sop_uids), digest,
        dataset,
    )


def _image_uids(item: Dataset) -> tuple[str, ...]:
    """Return the referenced SOP Instance UIDs of an item's Contour Image Sequence."""
    images = item.get("ContourImageSequence") or ()
    return tuple(str(image.get("ReferencedSOPInstanceUID") or "") for image in images)


def read_contours(structures: StructureSet, roi: Candidate) -> tuple[list[Contour], list[str]]:
    """Parse an ROI's closed planar contours.

    :return: the contours, and warnings on what is not a region (points, open lines).
    :raises DataError: the ROI has no closed planar contour, or its data are damaged.
    """
    contours, others = [], Counter()
    for item in structures.dataset.get("ROIContourSequence") or ():
        if item.get("ReferencedROINumber") != roi.number:
            continue
        for contour in item.get("ContourSequence") or ():
            kind = str(contour.get("ContourGeometricType") or "no type")
            if kind in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
                points_lps_mm = _points(contour, f"RTSTRUCT {structures.path}, ROI {roi.name}")
                contours.append(Contour(points_lps_mm, _image_uids(contour)))
            else:
                others[kind] += 1
    listed = ", ".join(f"{count} {kind}" for kind, count in others.items())
    if not contours:
        raise DataError(
            f"RTSTRUCT {structures.path}, ROI {roi.name}: expected CLOSED_PLANAR contours, found "
            f"{listed or 'no contour at all'}. It encloses no volume; choose another with --roi. "
            f"ROIs found: {listing(list(structures.candidates))}."
        )
    return contours, [f"ROI {roi.name}: {listed} contours enclose no area."] if listed else []


def _points(contour: Dataset, where: str) -> np.ndarray:
    """Return a contour's points (points, 3) in LPS mm, parsed in one go rather than one by one."""
    element = contour.get_item("ContourData")
    value = element.value if element is not None else b""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace").strip(" \0").split("\\")
    try:
        numbers = np.array(value, dtype=float)
    except (TypeError, ValueError):
        numbers = np.array([np.nan])
    if numbers.size == 0 or numbers.size % 3 or not np.isfinite(numbers).all():
        raise DataError(
            f"{where}: a contour has {numbers.size} values that are not finite x, y, z triplets. "
            "Fetch the file again."
        )
    return numbers.reshape(-1, 3)


def build_mask(
    volume: Volume, structures: StructureSet, roi: Candidate
) -> tuple[np.ndarray, list[str]]:
    """Fill an ROI on the CT's own grid: pixel-centre rule, XOR of the contours of a slice.

    :return: bool (x, y, z) of the volume's shape, and warnings.
    :raises DataError: wrong frame of reference, slices missing from the CT, or an empty mask.
    """
    where = f"RTSTRUCT {structures.path}, ROI {roi.name}"
    contours, warnings = read_contours(structures, roi)
    warnings += _check_frame(volume, structures, roi, contours, where)
    placement = place_contours(volume, contours, where)
    shape = volume.array.shape
    mask = np.zeros(shape[::-1], dtype=bool).T  # x fastest, as the volume and NIfTI have it
    for k, polygons in placement.polygons.items():
        mask[:, :, k] = geometry.fill_even_odd(polygons, shape[:2])
    if not mask.any():
        raise DataError(
            f"{where}: {len(contours)} contours enclose no pixel centre of the CT. "
            f"{' '.join(placement.warnings)} Check that the structure set belongs to this CT."
        )
    return mask, warnings + placement.warnings


def _check_frame(
    volume: Volume, structures: StructureSet, roi: Candidate, contours: list[Contour], where: str
) -> list[str]:
    """Refuse contours in another frame of reference than the CT's.

    One exception, for writers that invent the UID: where the set references this very series and
    each contour names the slice on whose plane it lies, images and positions tie it to the CT.

    :return: warnings.
    :raises DataError: the frames differ.
    """
    frame_uid = structures.frames.get(roi.number, "")
    if frame_uid == volume.frame_of_reference_uid != "":
        return []
    found = (
        f"frame of reference is {frame_uid or 'not given'}, expected the CT's "
        f"{volume.frame_of_reference_uid or '(not given either)'}"
    )
    tied = volume.series_uid in structures.series_uids and all(
        _names_its_slice(volume, contour) for contour in contours
    )
    if not tied:
        raise DataError(
            f"{where}: {found}. Its millimetres belong to another scan or to a registered one; use "
            "the structure set that was drawn on this CT."
        )
    return [f"ROI {roi.name}: {found}; accepted, since each contour names the slice it lies on."]


def _names_its_slice(volume: Volume, contour: Contour) -> bool:
    position_mm = float((contour.points_lps_mm @ volume.normal).mean())
    k, distance_mm = geometry.nearest_slice(position_mm, volume.slice_positions_mm)
    step_mm = geometry.spacing_mm(volume.affine_lps)[2]
    same_plane = distance_mm <= SAME_PLANE_TOLERANCE * step_mm
    return same_plane and volume.sop_instance_uids[k] in contour.image_uids


def place_contours(volume: Volume, contours: list[Contour], where: str) -> Placement:
    """Give each contour to the nearest real slice by its position along the normal.

    Position wins over the referenced UID, which is often stale. Of several planes nearest to one
    slice (contours drawn on a thinner CT) the nearest plane is kept: XOR is for one plane only.

    :raises DataError: a contour lies on a slice that it names and that the CT lacks.
    """
    step_mm = geometry.spacing_mm(volume.affine_lps)[2]
    counts, missing_mm = Counter(), []
    planes: dict[int, list[tuple[float, float, np.ndarray]]] = {}
    known = set(volume.sop_instance_uids)
    for contour in contours:
        positions_mm = contour.points_lps_mm @ volume.normal
        position_mm = float(positions_mm.mean())
        k, distance_mm = geometry.nearest_slice(position_mm, volume.slice_positions_mm)
        if np.ptp(positions_mm) > step_mm / 2:
            counts["are not parallel to the slices and were left out"] += 1
            continue
        if distance_mm > step_mm * (0.5 + 1e-6):
            counts["lie outside the CT's range of slices and were left out"] += 1
            if contour.image_uids and known.isdisjoint(contour.image_uids):
                missing_mm.append(position_mm)
            continue
        if contour.image_uids and volume.sop_instance_uids[k] not in contour.image_uids:
            counts["reference another image than the slice they lie on; position was used"] += 1
        indices = geometry.to_index(contour.points_lps_mm, volume.affine_lps)[:, :2]
        planes.setdefault(k, []).append((distance_mm, position_mm, indices))
    if missing_mm:
        found = ", ".join(f"{position:.2f}" for position in sorted(set(missing_mm))[:10])
        raise DataError(
            f"{where}: contours lie on slices that they name but the CT lacks, at {found} mm along "
            f"the slice normal; the CT found covers {volume.slice_positions_mm[0]:.2f} to "
            f"{volume.slice_positions_mm[-1]:.2f} mm. The label would be cut; fetch the whole CT."
        )
    placement = Placement()
    for k, entries in planes.items():
        nearest_mm = min(entries, key=lambda entry: entry[0])[1]
        kept = [e[2] for e in entries if abs(e[1] - nearest_mm) <= SAME_PLANE_TOLERANCE * step_mm]
        counts["lie between slices, beside a nearer plane, and were left out"] += (
            len(entries) - len(kept)
        )
        placement.polygons[k] = kept
    placement.warnings = [f"{n} contours {what}." for what, n in counts.items() if n]
    placement.warnings += _bounds_and_gaps(placement.polygons, volume)
    return placement


def _bounds_and_gaps(polygons: dict[int, list[np.ndarray]], volume: Volume) -> list[str]:
    """Return warnings on points beyond the image and on slices skipped within the ROI."""
    warnings = []
    limits = np.array(volume.array.shape[:2]) - 0.5
    points = [points for group in polygons.values() for points in group]
    outside = sum(int(((p < -0.5) | (p > limits)).any(axis=1).sum()) for p in points)
    if outside:
        warnings.append(f"{outside} contour points lie outside the image; the mask ends there.")
    extent = range(min(polygons), max(polygons) + 1) if polygons else ()
    skipped = sorted(set(extent) - set(polygons))
    if skipped:
        found = ", ".join(f"{volume.slice_positions_mm[k]:.2f}" for k in skipped[:10])
        warnings.append(f"{len(skipped)} slices within the ROI have no contour, at {found} mm.")
    return warnings
