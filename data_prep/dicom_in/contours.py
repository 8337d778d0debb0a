"""Turn contours in patient millimetres into a mask on a CT's grid."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from data_prep.core import geometry
from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from data_prep.dicom_in.rois import Candidate, EmptyRoiError
from data_prep.dicom_in.series import Volume
from data_prep.dicom_in.slice_layout import DrawingPlanes, drawing_planes, spread_masks
from data_prep.dicom_in.structures import Contour, StructureSet, read_contours

SAME_PLANE_TOLERANCE = 0.05
"""Largest distance between contours of one plane, as a share of the slice step."""

_ROUNDING = 1e-3  # of a pixel: the digits of a decimal string

# warnings of place_contours: "{}" is the number of contours
_NOT_PARALLEL = "Left out {} not parallel to the slices."
_OUT_OF_RANGE = "Left out {} outside the CT's range of slices."
_BETWEEN_SLICES = "Left out {} between slices, beside a nearer plane."
_ON_INTERPOLATED = "Drew {} on an interpolated slice, where the CT lacks a real one."
_OTHER_IMAGE = "Placed {} by position, not on the image that the file references."

Drawn = TypeVar("Drawn")


@dataclass
class Placement:
    """Where the contours of an ROI belong.

    :param polygons: for each plane, polygons (points, 2) of fractional pixel indices (i, j).
    """

    polygons: dict[int, list[np.ndarray]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def planes_of(volume: Volume) -> DrawingPlanes:
    """Return the planes of a volume on which regions can be drawn."""
    return drawing_planes(volume.slice_positions_mm, volume.sop_instance_uids, volume.layout)


def build_mask(
    volume: Volume, structures: StructureSet, roi: Candidate
) -> tuple[np.ndarray, list[str]]:
    """Fill an ROI on the CT's own grid: by pixel centres, with the XOR of a slice's contours.

    :return: bool (x, y, z) of the volume's shape, x fastest in memory, and warnings.
    :raises DataError: wrong frame of reference, or slices missing from the CT.
    :raises EmptyRoiError: the mask would be empty.
    """
    where = f"RTSTRUCT {structures.path}, ROI {roi.name}"
    contours, warnings = read_contours(structures, roi)
    planes = planes_of(volume)
    warnings += _check_frame(volume, planes, structures, roi, contours, where)
    placement = place_contours(volume, planes, contours, where)
    width, height, _ = volume.array.shape
    masks = {
        k: geometry.fill_even_odd(polygons, (width, height))
        for k, polygons in placement.polygons.items()
    }
    if not any(mask.any() for mask in masks.values()):
        raise EmptyRoiError(
            f"{where}: no pixel centre of the CT within {count_of(len(contours), 'contour')}. "
            f"{' '.join(placement.warnings)} Check that the structure set belongs to this CT."
        )
    dx, dy, _ = geometry.spacing_mm(volume.affine_lps).tolist()
    mask = spread_masks(masks, planes, (width, height), (dx, dy))
    return mask, warnings + placement.warnings


def _check_frame(
    volume: Volume,
    planes: DrawingPlanes,
    structures: StructureSet,
    roi: Candidate,
    contours: list[Contour],
    where: str,
) -> list[str]:
    """Refuse contours in another frame of reference than the CT's.

    One exception, for software that invents the UID: if the set references this very series and
    each contour references the slice that it lies on, images and positions link it to the CT.

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
    linked = volume.series_uid in structures.series_uids and all(
        _references_its_slice(volume, planes, contour) for contour in contours
    )
    if not linked:
        raise DataError(
            f"{where}: {found}. Its coordinates belong to another scan or to a registered one; use "
            "the structure set that was drawn on this CT."
        )
    return [
        f"ROI {roi.name}: {found}; accepted, since each contour references the slice it lies on."
    ]


def _references_its_slice(volume: Volume, planes: DrawingPlanes, contour: Contour) -> bool:
    k, distance_mm = planes.nearest(float((contour.points_lps_mm @ volume.normal).mean()))
    same_plane = distance_mm <= SAME_PLANE_TOLERANCE * volume.layout.step_mm
    return same_plane and planes.uids[k] in contour.image_uids


def place_contours(
    volume: Volume, planes: DrawingPlanes, contours: list[Contour], where: str
) -> Placement:
    """Assign each contour to the nearest slice by its position along the normal.

    The position decides, not the referenced UID, which is often stale. A contour drawn where the CT
    lacks a slice is used there. If several planes of contours are nearest to one slice (drawn on a
    thinner CT), only the nearest plane is kept: XOR is valid within one plane only.

    :raises DataError: a contour lies beyond the CT, on a slice that it references and that the CT
        lacks. If all references are stale they do not show what is missing, and are ignored.
    """
    step_mm = volume.layout.step_mm
    counts: Counter[str] = Counter()
    missing_mm: list[float] = []
    entries: list[tuple[float, np.ndarray]] = []
    known, referenced = set(planes.uids), 0
    for contour in contours:
        positions_mm = contour.points_lps_mm @ volume.normal
        position_mm = float(positions_mm.mean())
        if np.ptp(positions_mm) > step_mm / 2:
            counts[_NOT_PARALLEL] += 1
            continue
        if not planes.holds(position_mm):
            counts[_OUT_OF_RANGE] += 1
            if contour.image_uids and known.isdisjoint(contour.image_uids):
                missing_mm.append(position_mm)
            continue
        referenced += not known.isdisjoint(contour.image_uids)
        k, _ = planes.nearest(position_mm)
        if not planes.real[k]:
            counts[_ON_INTERPOLATED] += 1
        elif contour.image_uids and planes.uids[k] not in contour.image_uids:
            counts[_OTHER_IMAGE] += 1
        indices = geometry.to_index(contour.points_lps_mm, volume.affine_lps)[:, :2]
        entries.append((position_mm, indices))
    if missing_mm and (referenced or not entries):
        found = ", ".join(f"{position:.2f}" for position in sorted(set(missing_mm))[:10])
        raise DataError(
            f"{where}: contours lie on slices that they reference but the CT lacks, at {found} mm "
            f"along the slice normal; the CT covers {volume.slice_positions_mm[0]:.2f} to "
            f"{volume.slice_positions_mm[-1]:.2f} mm. The label would be cut; fetch the whole CT."
        )
    polygons, left_out = group_by_plane(planes, entries)
    counts[_BETWEEN_SLICES] += left_out
    warnings = [text.format(count_of(n, "contour")) for text, n in counts.items() if n]
    return Placement(polygons, warnings + _bounds_and_gaps(polygons, planes, volume))


def group_by_plane(
    planes: DrawingPlanes, entries: Sequence[tuple[float, Drawn]]
) -> tuple[dict[int, list[Drawn]], int]:
    """Assign what was drawn to the nearest plane; of several positions only the nearest is kept.

    :param entries: pairs of a position in mm along the normal and what was drawn there.
    :return: what was drawn, in lists by the plane's index, and the number left out.
    """
    found: dict[int, list[tuple[float, float, Drawn]]] = {}
    for position_mm, drawn in entries:
        k, distance_mm = planes.nearest(position_mm)
        found.setdefault(k, []).append((distance_mm, position_mm, drawn))
    tolerance_mm = SAME_PLANE_TOLERANCE * planes.layout.step_mm
    kept: dict[int, list[Drawn]] = {}
    left_out = 0
    for k, drawn_here in found.items():
        nearest_mm = min(drawn_here, key=lambda entry: entry[0])[1]
        kept[k] = [drawn for _, mm, drawn in drawn_here if abs(mm - nearest_mm) <= tolerance_mm]
        left_out += len(drawn_here) - len(kept[k])
    return kept, left_out


def _bounds_and_gaps(
    polygons: dict[int, list[np.ndarray]], planes: DrawingPlanes, volume: Volume
) -> list[str]:
    """Return warnings on points outside the image and on real slices skipped within the ROI."""
    warnings = []
    limits = np.array(volume.array.shape[:2]) - 0.5 + _ROUNDING
    points = [points for group in polygons.values() for points in group]
    outside = sum(int(((p < -0.5 - _ROUNDING) | (p > limits)).any(axis=1).sum()) for p in points)
    if outside:
        points_outside = count_of(outside, "contour point")
        warnings.append(f"{points_outside} outside the image; the mask ends at its edge.")
    extent = range(min(polygons), max(polygons) + 1) if polygons else ()
    skipped = [k for k in extent if k not in polygons and planes.real[k]]
    if skipped:
        found = ", ".join(f"{planes.positions_mm[k]:.2f}" for k in skipped[:10])
        slices = count_of(len(skipped), "slice")
        warnings.append(f"{slices} within the ROI without a contour, at {found} mm.")
    return warnings
