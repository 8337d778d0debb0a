"""Read a DICOM SEG: the list of segments, and one segment as a mask on a CT's grid."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from data_prep.core import geometry
from data_prep.core.console import count_of
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
"""A pixel belongs to a fractional segment if its value is at least this share of the maximum."""

PIXEL_TOLERANCE = 0.1
"""Largest distance between the pixel centres of a segmentation and of the CT, in CT pixels."""

_LISTING_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SegmentSequence",
    "FrameOfReferenceUID",
    "ReferencedSeriesSequence",
    "Manufacturer",
]

# warnings of build_mask: "{}" is the number of frames or pixels
_OUT_OF_RANGE = "left out {} outside the CT's range of slices."
_BETWEEN_SLICES = "left out {} between slices, beside a nearer frame."
_ON_INTERPOLATED = "put {} on an interpolated slice, where the CT lacks a real one."
_PIXELS_OUTSIDE = "left out {} outside the image."


@dataclass
class Segmentation:
    """A DICOM SEG file (PS3.3 A.51): its segments and its references to images.

    :param candidates: its segments.
    :param series_uids: Series Instance UIDs that it references.
    :param sop_uids: SOP Instance UIDs that it references.
    """

    path: Path
    sop_instance_uid: str
    candidates: tuple[Candidate, ...]
    frame_of_reference_uid: str
    series_uids: frozenset[str]
    sop_uids: frozenset[str]

    def references(self, segment: Candidate) -> tuple[frozenset[str], frozenset[str], str]:
        """Return Series, SOP Instance and Frame of Reference UIDs that link a segment to a CT."""
        return self.series_uids, self.sop_uids, self.frame_of_reference_uid

    @cached_property
    def content(self) -> tuple[Dataset, str]:
        """The whole data set and the SHA-256 digest of the file, read at the first access."""
        return read_whole(self.path)


@dataclass(frozen=True)
class _Frame:
    """A frame of a segment, and where it lies relative to the nearest plane of the CT."""

    distance_mm: float
    position_mm: float
    index: int
    affine_lps: np.ndarray


def list_segments(path: Path) -> Segmentation:
    """Read the list of segments and the references to images of a DICOM SEG, but no pixels.

    :raises DataError: the file is damaged.
    """
    with damage_named(f"DICOM SEG {path}"):
        dataset = read_header(path, specific_tags=_LISTING_TAGS)
        series_uids: set[str] = set()
        sop_uids: set[str] = set()
        for series in dataset.get("ReferencedSeriesSequence") or ():
            series_uids.add(str(series.get("SeriesInstanceUID") or ""))
            for image in series.get("ReferencedInstanceSequence") or ():
                sop_uids.add(str(image.get("ReferencedSOPInstanceUID") or ""))
        from_model = dataset.get("Manufacturer") == MANUFACTURER
        return Segmentation(
            path=path,
            sop_instance_uid=str(dataset.get("SOPInstanceUID") or path),
            candidates=tuple(
                _candidate(path, item, from_model) for item in dataset.get("SegmentSequence") or ()
            ),
            frame_of_reference_uid=str(dataset.get("FrameOfReferenceUID") or ""),
            series_uids=frozenset(series_uids - {""}),
            sop_uids=frozenset(sop_uids - {""}),
        )


def _candidate(path: Path, item: Dataset, from_model: bool) -> Candidate:
    """Return a segment; one that this software's models drew is found by its label alone.

    Its property type is a primary neoplasm, by which a rule would take it for a reference label.
    """
    kind = (item.get("SegmentedPropertyTypeCodeSequence") or [Dataset()])[0]
    texts = (item.get("SegmentLabel"), kind.get("CodeMeaning"), item.get("SegmentDescription"))
    stripped = (str(text or "").strip() for text in texts)
    names = list(dict.fromkeys(name for name in stripped if name)) or [""]
    aliases = () if from_model else tuple(names[1:])
    return Candidate("SEG", path, int(item.SegmentNumber), names[0], aliases)


def build_mask(
    volume: Volume, segmentation: Segmentation, segment: Candidate
) -> tuple[np.ndarray, list[str]]:
    """Put the frames of a segment on the CT's own grid, each by its Image Position (Patient).

    :return: bool (x, y, z) of the volume's shape, x fastest in memory, and warnings.
    :raises DataError: the frame of reference or the pixel grid differs, or the file is damaged.
    :raises EmptyRoiError: the mask would be empty.
    """
    where = f"DICOM SEG {segmentation.path}, segment {segment.name}"
    _check_frame(volume, segmentation, where)
    with damage_named(where):
        dataset, _ = segmentation.content
        frames = _frames(dataset, segment.number, where)
        pixels = _reader(dataset, where)
    planes = planes_of(volume)
    left_out: Counter[tuple[str, str]] = Counter()
    by_plane: dict[int, list[_Frame]] = {}
    for index, affine_lps in frames:
        position_mm = float(affine_lps[:3, 3] @ volume.normal)
        if planes.holds(position_mm):
            k, distance_mm = planes.nearest(position_mm)
            by_plane.setdefault(k, []).append(_Frame(distance_mm, position_mm, index, affine_lps))
        else:
            with damage_named(where):
                outside = pixels(index, segment.number).any()
            left_out[_OUT_OF_RANGE, "frame"] += int(outside)
    masks = {}
    for k, on_plane in by_plane.items():
        mask = _draw_plane(
            on_plane, lambda index: pixels(index, segment.number), volume, left_out, where
        )
        if mask is not None:
            masks[k] = mask
    left_out[_ON_INTERPOLATED, "frame"] += sum(not planes.real[k] for k in masks)
    warnings = [
        f"Segment {segment.name}: {text.format(count_of(n, noun))}"
        for (text, noun), n in left_out.items()
        if n
    ]
    if not any(mask.any() for mask in masks.values()):
        raise EmptyRoiError(
            f"{where}: no pixel of the CT marked in {count_of(len(frames), 'frame')}. "
            f"{' '.join(warnings)} Check that the segmentation belongs to this CT."
        )
    dx, dy, _ = geometry.spacing_mm(volume.affine_lps).tolist()
    width, height, _ = volume.array.shape
    return spread_masks(masks, planes, (width, height), (dx, dy)), warnings


def _draw_plane(
    frames: list[_Frame],
    pixels: Callable[[int], np.ndarray],
    volume: Volume,
    counts: Counter[tuple[str, str]],
    where: str,
) -> np.ndarray | None:
    """Unite the frames at the position nearest to a plane, with one in memory at a time.

    Frames without a pixel are ignored: some software stores them for all slices.

    :param frames: those that are nearest to the plane.
    :param pixels: from the index of a frame to bool (rows, columns).
    :param counts: numbers by warning and noun; what is left out is added.
    :return: bool (x, y), or None where no frame has a pixel.
    """
    tolerance_mm = SAME_PLANE_TOLERANCE * volume.layout.step_mm
    mask, nearest_mm = None, 0.0
    for frame in sorted(frames, key=lambda frame: frame.distance_mm):
        with damage_named(where):
            drawn = pixels(frame.index)
        if not drawn.any():
            continue
        if mask is None:
            mask, nearest_mm = np.zeros(volume.array.shape[:2], bool), frame.position_mm
        if abs(frame.position_mm - nearest_mm) > tolerance_mm:
            counts[_BETWEEN_SLICES, "frame"] += 1
            continue
        placed, outside = place_frame(drawn, frame.affine_lps, volume, where)
        mask |= placed
        counts[_PIXELS_OUTSIDE, "pixel"] += outside
    return mask


def _check_frame(volume: Volume, segmentation: Segmentation, where: str) -> None:
    """Refuse a segmentation in another frame of reference than the CT's.

    :raises DataError: the frames differ.
    """
    found = segmentation.frame_of_reference_uid
    if found != volume.frame_of_reference_uid or not found:
        raise DataError(
            f"{where}: frame of reference is {found or 'not given'}, expected the CT's "
            f"{volume.frame_of_reference_uid or '(not given either)'}. Its coordinates belong to "
            "another scan; use the segmentation that was made on this CT."
        )


def _frames(dataset: Dataset, number: int, where: str) -> list[tuple[int, np.ndarray]]:
    """Return the index and the affine of each frame of a segment.

    :param number: Segment Number.
    :return: pairs of an index and a 4x4 affine, (column, row, 0) to LPS mm.
    :raises DataError: a frame cannot be placed, or their number is not the stated one.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    count = int(dataset.get("NumberOfFrames") or 1)
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    if not (0 < rows <= MAX_MATRIX and 0 < columns <= MAX_MATRIX) or not (
        0 < count == len(groups) <= MAX_FRAMES
    ):
        raise DataError(
            f"{where}: {count_of(count, 'frame')} of {columns} x {rows} pixels with "
            f"{count_of(len(groups), 'position')}, expected the same number, at most {MAX_FRAMES}, "
            f"and at most {MAX_MATRIX} x {MAX_MATRIX} pixels. Fetch the file again."
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
        if origin is None or orientation is None or spacing_mm is None:
            raise DataError(
                f"{where}: frame {index + 1} has no usable position, orientation or pixel spacing. "
                "Fetch the file again."
            )
        cosines = np.array(orientation)
        affine_lps = geometry.affine_from_slices(
            orientation=cosines,
            pixel_spacing_mm=np.array(spacing_mm),
            origin_lps_mm=np.array(origin),
            step_lps_mm=np.cross(cosines[:3], cosines[3:]),
        )
        frames.append((index, affine_lps))
    return frames


def _reader(dataset: Dataset, where: str) -> Callable[[int, int], np.ndarray]:
    """Return a function from the index of a frame and a Segment Number to bool (rows, columns).

    :raises DataError: there are fewer pixels than stated.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    size, count = rows * columns, int(dataset.get("NumberOfFrames") or 1)
    bits = int(dataset.BitsAllocated)
    encapsulated = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    data = dataset.PixelData
    needed = (size * count * bits + 7) // 8
    if not encapsulated and len(data) < needed:
        raise DataError(
            f"{where}: {count_of(len(data), 'byte')} of pixel data, expected {needed}. Fetch the "
            "file again."
        )
    if bits == 1 and not encapsulated:  # packed without a gap between frames (PS3.5 8.1.1)
        packed = np.frombuffer(data, np.uint8)

        def binary(index: int, number: int) -> np.ndarray:
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
    """Put the pixels of a frame on those of the CT, in whatever direction its rows and columns run.

    :param drawn: bool (rows, columns).
    :param affine_lps: (4, 4), (column, row, 0) of the frame to LPS mm.
    :return: bool (x, y) of a slice, and the number of pixels that lie outside it.
    :raises DataError: the pixels of the frame are not those of the CT.
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
            f"{where}: its pixels are not those of the CT: up to {max(apart, level):.2f} pixels "
            f"apart, expected at most {PIXEL_TOLERANCE}. Resample it to the grid of the CT first."
        )
    place = (np.column_stack([column, row]) @ turn.T + offset).astype(int)
    inside = ((place >= 0) & (place < shape)).all(axis=1)
    mask = np.zeros(shape, bool)
    mask[tuple(place[inside].T)] = True
    return mask, int((~inside).sum())
