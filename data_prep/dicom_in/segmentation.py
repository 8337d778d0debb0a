"""DICOM SEG: the list of segments, and the frames of one as a mask on a CT's grid."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from data_prep.core import geometry
from data_prep.core.errors import DataError
from data_prep.core.identity import MANUFACTURER
from data_prep.dicom_in.contours import SAME_PLANE_TOLERANCE, planes_of
from data_prep.dicom_in.reading import damage_named, read_header, read_whole
from data_prep.dicom_in.rois import Candidate, EmptyRoiError
from data_prep.dicom_in.scan import MAX_FRAMES, finite_numbers, functional_group
from data_prep.dicom_in.series import Volume
from data_prep.dicom_in.series_checks import MAX_MATRIX
from data_prep.dicom_in.slice_layout import spread_masks

FRACTION_THRESHOLD = 0.5
"""A pixel of a fractional segment belongs to it from this share of the maximum upward."""

PIXEL_TOLERANCE = 0.1
"""Largest distance of a segmentation's pixel centre from one of the CT, in CT pixels."""

_LISTING_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SegmentSequence",
    "FrameOfReferenceUID",
    "ReferencedSeriesSequence",
    "Manufacturer",
]


@dataclass
class Segmentation:
    """A DICOM SEG file (PS3.3 A.51): its segments, and which images it says it was drawn on."""

    path: Path
    sop_instance_uid: str
    candidates: tuple[Candidate, ...]
    frame_of_reference_uid: str
    series_uids: frozenset[str]
    sop_uids: frozenset[str]

    def references(self, segment: Candidate) -> tuple[frozenset[str], frozenset[str], str]:
        """Return Series, SOP Instance and Frame of Reference UIDs that tie a segment to a CT."""
        return self.series_uids, self.sop_uids, self.frame_of_reference_uid

    @cached_property
    def content(self) -> tuple[Dataset, str]:
        """Return the whole data set and the file's SHA-256 digest, read when first asked for."""
        return read_whole(self.path)


def list_segments(path: Path) -> Segmentation:
    """Read which segments a DICOM SEG has, and no pixels.

    :raises DataError: the file is damaged.
    """
    with damage_named(f"DICOM SEG {path}"):
        dataset = read_header(path, specific_tags=_LISTING_TAGS)
        series_uids, sop_uids = set(), set()
        for series in dataset.get("ReferencedSeriesSequence") or ():
            series_uids.add(str(series.get("SeriesInstanceUID") or ""))
            for image in series.get("ReferencedInstanceSequence") or ():
                sop_uids.add(str(image.get("ReferencedSOPInstanceUID") or ""))
        ours = dataset.get("Manufacturer") == MANUFACTURER
        return Segmentation(
            path=path,
            sop_instance_uid=str(dataset.get("SOPInstanceUID") or path),
            candidates=tuple(
                _candidate(path, item, ours) for item in dataset.get("SegmentSequence") or ()
            ),
            frame_of_reference_uid=str(dataset.get("FrameOfReferenceUID") or ""),
            series_uids=frozenset(series_uids - {""}),
            sop_uids=frozenset(sop_uids - {""}),
        )


def _candidate(path: Path, item: Dataset, ours: bool) -> Candidate:
    """Return a segment; what a model of ours drew goes by its label alone.

    Its type is a primary neoplasm, and by that it would be taken for a reference to train on.
    """
    kind = (item.get("SegmentedPropertyTypeCodeSequence") or [Dataset()])[0]
    names = (
        str(text or "").strip()
        for text in (
            item.get("SegmentLabel"),
            kind.get("CodeMeaning"),
            item.get("SegmentDescription"),
        )
    )
    names = list(dict.fromkeys(name for name in names if name)) or [""]
    aliases = () if ours else tuple(names[1:])
    return Candidate("SEG", path, int(item.SegmentNumber), names[0], aliases)


def build_mask(
    volume: Volume, segmentation: Segmentation, segment: Candidate
) -> tuple[np.ndarray, list[str]]:
    """Put a segment's frames on the CT's own grid, each by its Image Position (Patient).

    :return: bool (x, y, z) of the volume's shape, x fastest in memory, and warnings.
    :raises DataError: another frame of reference, another pixel grid, or damaged.
    :raises EmptyRoiError: the mask would be empty.
    """
    where = f"DICOM SEG {segmentation.path}, segment {segment.name}"
    _check_frame(volume, segmentation, where)
    with damage_named(where):
        dataset, _ = segmentation.content
        frames = _frames(dataset, segment.number, where)
        pixels = _reader(dataset, where)
    planes, counts, by_plane = planes_of(volume), Counter(), {}
    for index, affine_lps in frames:
        position_mm = float(affine_lps[:3, 3] @ volume.normal)
        if planes.holds(position_mm):
            k, distance_mm = planes.nearest(position_mm)
            by_plane.setdefault(k, []).append((distance_mm, position_mm, index, affine_lps))
        else:
            with damage_named(where):
                outside = pixels(index, segment.number).any()
            counts["frames lie outside the CT's range of slices and were left out"] += outside
    masks = {}
    for k, entries in by_plane.items():
        mask = _draw_plane(
            entries, lambda index: pixels(index, segment.number), volume, counts, where
        )
        if mask is not None:
            masks[k] = mask
    counts["frames lie where the CT lacks a slice and were put on the interpolated one"] += sum(
        not planes.real[k] for k in masks
    )
    warnings = [f"Segment {segment.name}: {n} {what}." for what, n in counts.items() if n]
    if not any(mask.any() for mask in masks.values()):
        raise EmptyRoiError(
            f"{where}: {len(frames)} frames mark no pixel of the CT. {' '.join(warnings)} Check "
            "that the segmentation belongs to this CT."
        )
    spacing_mm = tuple(geometry.spacing_mm(volume.affine_lps)[:2])
    return spread_masks(masks, planes, volume.array.shape[:2], spacing_mm), warnings


def _draw_plane(
    entries: list[tuple[float, float, int, np.ndarray]],
    pixels: Callable[[int], np.ndarray],
    volume: Volume,
    counts: Counter,
    where: str,
) -> np.ndarray | None:
    """Unite the frames at the position nearest to a plane, one in memory at a time.

    Frames without a pixel are none: some writers store them for all slices.

    :param entries: distance to the plane, position along the normal, index and affine of each.
    :param counts: what was left out is added.
    :return: bool (x, y), or None where no frame has a pixel.
    """
    tolerance_mm = SAME_PLANE_TOLERANCE * volume.layout.step_mm
    mask, nearest_mm = None, 0.0
    for _, position_mm, index, affine_lps in sorted(entries, key=lambda entry: entry[0]):
        with damage_named(where):
            drawn = pixels(index)
        if not drawn.any():
            continue
        if mask is None:
            mask, nearest_mm = np.zeros(volume.array.shape[:2], bool), position_mm
        if abs(position_mm - nearest_mm) > tolerance_mm:
            counts["frames lie between slices, beside a nearer one, and were left out"] += 1
            continue
        placed, outside = place_frame(drawn, affine_lps, volume, where)
        mask |= placed
        counts["pixels lie outside the image; the mask ends there"] += outside
    return mask


def _check_frame(volume: Volume, segmentation: Segmentation, where: str) -> None:
    """Refuse a segmentation in another frame of reference than the CT's.

    :raises DataError: see there.
    """
    found = segmentation.frame_of_reference_uid
    if found != volume.frame_of_reference_uid or not found:
        raise DataError(
            f"{where}: frame of reference is {found or 'not given'}, expected the CT's "
            f"{volume.frame_of_reference_uid or '(not given either)'}. Its millimetres belong to "
            "another scan; use the segmentation that was made on this CT."
        )


def _frames(dataset: Dataset, number: int, where: str) -> list[tuple[int, np.ndarray]]:
    """Return index and 4x4 affine (LPS, of pixel column and row) of each frame of a segment.

    :raises DataError: a frame cannot be placed, or there are not as many as announced.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    count = int(dataset.get("NumberOfFrames") or 1)
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    if not (0 < rows <= MAX_MATRIX and 0 < columns <= MAX_MATRIX) or not (
        0 < count == len(groups) <= MAX_FRAMES
    ):
        raise DataError(
            f"{where}: {count} frames of {columns} x {rows} pixels with {len(groups)} positions, "
            f"expected as many of both and at most {MAX_MATRIX} pixels. Fetch the file again."
        )
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    labelmap = dataset.get("SegmentationType") == "LABELMAP"  # each frame has all segments
    frames = []
    for index, own in enumerate(groups):
        owner = functional_group("SegmentIdentificationSequence", own, shared)
        if not labelmap and owner.get("ReferencedSegmentNumber") != number:
            continue
        position = functional_group("PlanePositionSequence", own, shared)
        axes = functional_group("PlaneOrientationSequence", own, shared)
        measures = functional_group("PixelMeasuresSequence", own, shared)
        origin = finite_numbers(position.get("ImagePositionPatient"), 3)
        orientation = finite_numbers(axes.get("ImageOrientationPatient"), 6)
        spacing_mm = finite_numbers(measures.get("PixelSpacing"), 2)
        if None in (origin, orientation, spacing_mm):
            raise DataError(
                f"{where}: frame {index + 1} has no usable position, orientation or pixel spacing. "
                "Fetch the file again."
            )
        orientation = np.array(orientation)
        normal = np.cross(orientation[:3], orientation[3:])
        frames.append((index, geometry.affine_from_slices(orientation, spacing_mm, origin, normal)))
    return frames


def _reader(dataset: Dataset, where: str):
    """Return a function from a frame's index and a segment's number to bool (rows, columns).

    :raises DataError: there are fewer pixels than announced.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    size, count = rows * columns, int(dataset.get("NumberOfFrames") or 1)
    bits = int(dataset.BitsAllocated)
    encapsulated = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    data = dataset.PixelData
    needed = (size * count * bits + 7) // 8
    if not encapsulated and len(data) < needed:
        raise DataError(
            f"{where}: {len(data)} bytes of pixels, expected {needed}. Fetch the file again."
        )
    if bits == 1 and not encapsulated:  # packed without a gap between frames (PS3.5 8.1.1)
        packed = np.frombuffer(data, np.uint8)

        def binary(index, number):
            first, last = index * size, (index + 1) * size
            cut = np.unpackbits(packed[first // 8 : -(-last // 8)], bitorder="little")
            return cut[first % 8 :][:size].reshape(rows, columns).astype(bool)

        return binary
    from data_prep.dicom_in.pixels import stored_frames

    stored = stored_frames(dataset)
    if dataset.get("SegmentationType") == "LABELMAP":
        return lambda index, number: stored(index) == number
    maximum = 1
    if dataset.get("SegmentationType") == "FRACTIONAL":
        maximum = int(dataset.get("MaximumFractionalValue") or 255)
    threshold = max(FRACTION_THRESHOLD * maximum, np.finfo(float).tiny)
    return lambda index, number: stored(index) >= threshold


def place_frame(
    drawn: np.ndarray, affine_lps: np.ndarray, volume: Volume, where: str
) -> tuple[np.ndarray, int]:
    """Put a frame's pixels on the CT's pixels, whichever way its rows and columns run.

    :param drawn: bool (rows, columns).
    :param affine_lps: maps (column, row, 0) of the frame to LPS mm.
    :return: bool (x, y) of a slice, and the number of pixels that lie outside it.
    :raises DataError: the frame's pixels are not the CT's.
    """
    shape = volume.array.shape[:2]
    row, column = np.nonzero(drawn)
    corners = np.array([(c, r) for c in (0, drawn.shape[1] - 1) for r in (0, drawn.shape[0] - 1)])
    to_ct = np.linalg.inv(volume.affine_lps) @ affine_lps
    turn, offset = np.rint(to_ct[:2, :2]), np.rint(to_ct[:2, 3])
    apart = np.abs(corners @ (to_ct[:2, :2] - turn).T + to_ct[:2, 3] - offset).max()
    level = np.abs(corners @ to_ct[2, :2]).max()
    if apart > PIXEL_TOLERANCE or level > PIXEL_TOLERANCE or abs(np.linalg.det(turn)) != 1:
        raise DataError(
            f"{where}: its pixels are not those of the CT, expected at most {PIXEL_TOLERANCE} "
            f"pixels apart, found {max(apart, level):.2f}. Resample it to the CT first."
        )
    place = (np.column_stack([column, row]) @ turn.T + offset).astype(int)
    inside = ((place >= 0) & (place < shape)).all(axis=1)
    mask = np.zeros(shape, bool)
    mask[tuple(place[inside].T)] = True
    return mask, int((~inside).sum())
