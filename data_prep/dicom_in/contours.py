"""From contours in patient millimetres to a mask on a CT's grid."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from data_prep.core import geometry
from data_prep.core.errors import DataError
from data_prep.dicom_in.rois import Candidate, EmptyRoiError
from data_prep.dicom_in.series import Volume
from data_prep.dicom_in.slice_layout import Planes, drawing_planes, spread_masks
from data_prep.dicom_in.structures import Contour, StructureSet, read_contours

SAME_PLANE_TOLERANCE = 0.05
"""Largest distance between contours of one plane, as a share of the slice step."""


_ROUNDING = 1e-3  # of a pixel: a decimal string's digits


@dataclass
class Placement:
    """Where an ROI's contours belong: polygons (points, 2) of pixel indices by plane."""

    polygons: dict[int, list[np.ndarray]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def planes_of(volume: Volume) -> Planes:
    """Return the planes of a volume on which regions can be drawn."""
    return drawing_planes(volume.slice_positions_mm, volume.sop_instance_uids, volume.layout)


def build_mask(
    volume: Volume, structures: StructureSet, roi: Candidate
) -> tuple[np.ndarray, list[str]]:
    """Fill an ROI on the CT's own grid: pixel-centre rule, XOR of the contours of a slice.

    :return: bool (x, y, z) of the volume's shape, x fastest in memory, and warnings.
    :raises DataError: wrong frame of reference, or slices missing from the CT.
    :raises EmptyRoiError: the mask would be empty.
    """
    where = f"RTSTRUCT {structures.path}, ROI {roi.name}"
    contours, warnings = read_contours(structures, roi)
    planes = planes_of(volume)
    warnings += _check_frame(volume, planes, structures, roi, contours, where)
    placement = place_contours(volume, planes, contours, where)
    shape = volume.array.shape[:2]
    masks = {
        k: geometry.fill_even_odd(polygons, shape) for k, polygons in placement.polygons.items()
    }
    if not any(mask.any() for mask in masks.values()):
        raise EmptyRoiError(
            f"{where}: {len(contours)} contours enclose no pixel centre of the CT. "
            f"{' '.join(placement.warnings)} Check that the structure set belongs to this CT."
        )
    mask = spread_masks(masks, planes, shape, tuple(geometry.spacing_mm(volume.affine_lps)[:2]))
    return mask, warnings + placement.warnings


def _check_frame(
    volume: Volume,
    planes: Planes,
    structures: StructureSet,
    roi: Candidate,
    contours: list[Contour],
    where: str,
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
        _names_its_slice(volume, planes, contour) for contour in contours
    )
    if not tied:
        raise DataError(
            f"{where}: {found}. Its millimetres belong to another scan or to a registered one; use "
            "the structure set that was drawn on this CT."
        )
    return [f"ROI {roi.name}: {found}; accepted, since each contour names the slice it lies on."]


def _names_its_slice(volume: Volume, planes: Planes, contour: Contour) -> bool:
    k, distance_mm = planes.nearest(float((contour.points_lps_mm @ volume.normal).mean()))
    same_plane = distance_mm <= SAME_PLANE_TOLERANCE * volume.layout.step_mm
    return same_plane and planes.uids[k] in contour.image_uids


def place_contours(
    volume: Volume, planes: Planes, contours: list[Contour], where: str
) -> Placement:
    """Give each contour to the nearest real slice by its position along the normal.

    Position wins over the referenced UID, which is often stale. A contour drawn where the CT lacks
    a slice is used there. Of several planes nearest to one slice (contours drawn on a thinner CT)
    the nearest plane is kept: XOR is for one plane only.

    :raises DataError: a contour lies beyond the CT, on a slice that it names and that the CT lacks;
        not where all names are stale, which then say nothing of what is lacking.
    """
    step_mm = volume.layout.step_mm
    counts, missing_mm = Counter(), []
    entries, named = [], 0
    known = set(planes.uids)
    for contour in contours:
        positions_mm = contour.points_lps_mm @ volume.normal
        position_mm = float(positions_mm.mean())
        if np.ptp(positions_mm) > step_mm / 2:
            counts["are not parallel to the slices and were left out"] += 1
            continue
        if not planes.holds(position_mm):
            counts["lie outside the CT's range of slices and were left out"] += 1
            if contour.image_uids and known.isdisjoint(contour.image_uids):
                missing_mm.append(position_mm)
            continue
        named += not known.isdisjoint(contour.image_uids)
        k, _ = planes.nearest(position_mm)
        if not planes.real[k]:
            counts["lie where the CT lacks a slice and were drawn on the interpolated one"] += 1
        elif contour.image_uids and planes.uids[k] not in contour.image_uids:
            counts["reference another image than the slice they lie on; position was used"] += 1
        indices = geometry.to_index(contour.points_lps_mm, volume.affine_lps)[:, :2]
        entries.append((position_mm, indices))
    if missing_mm and (named or not entries):
        found = ", ".join(f"{position:.2f}" for position in sorted(set(missing_mm))[:10])
        raise DataError(
            f"{where}: contours lie on slices that they name but the CT lacks, at {found} mm along "
            f"the slice normal; the CT found covers {volume.slice_positions_mm[0]:.2f} to "
            f"{volume.slice_positions_mm[-1]:.2f} mm. The label would be cut; fetch the whole CT."
        )
    polygons, left_out = group_by_plane(planes, entries)
    counts["lie between slices, beside a nearer plane, and were left out"] += left_out
    warnings = [f"{n} contours {what}." for what, n in counts.items() if n]
    return Placement(polygons, warnings + _bounds_and_gaps(polygons, planes, volume))


def group_by_plane(planes: Planes, entries: list[tuple[float, object]]) -> tuple[dict, int]:
    """Give what was drawn to the nearest plane; of several positions only the nearest is kept.

    :param entries: pairs of a position in mm along the normal and what was drawn there.
    :return: what was drawn, in lists by plane, and the number left out.
    """
    found: dict[int, list[tuple[float, float, object]]] = {}
    for position_mm, drawn in entries:
        k, distance_mm = planes.nearest(position_mm)
        found.setdefault(k, []).append((distance_mm, position_mm, drawn))
    tolerance_mm = SAME_PLANE_TOLERANCE * planes.layout.step_mm
    kept, left_out = {}, 0
    for k, same in found.items():
        nearest_mm = min(same, key=lambda entry: entry[0])[1]
        kept[k] = [drawn for _, mm, drawn in same if abs(mm - nearest_mm) <= tolerance_mm]
        left_out += len(same) - len(kept[k])
    return kept, left_out


def _bounds_and_gaps(
    polygons: dict[int, list[np.ndarray]], planes: Planes, volume: Volume
) -> list[str]:
    """Return warnings on points beyond the image and on real slices skipped within the ROI."""
    warnings = []
    limits = np.array(volume.array.shape[:2]) - 0.5 + _ROUNDING
    points = [points for group in polygons.values() for points in group]
    outside = sum(int(((p < -0.5 - _ROUNDING) | (p > limits)).any(axis=1).sum()) for p in points)
    if outside:
        warnings.append(f"{outside} contour points lie outside the image; the mask ends there.")
    extent = range(min(polygons), max(polygons) + 1) if polygons else ()
    skipped = [k for k in extent if k not in polygons and planes.real[k]]
    if skipped:
        found = ", ".join(f"{planes.positions_mm[k]:.2f}" for k in skipped[:10])
        warnings.append(f"{len(skipped)} slices within the ROI have no contour, at {found} mm.")
    return warnings
