"""Choose the CT series of a patient, check it slice by slice, and read it as a volume."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.core import geometry
from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from data_prep.dicom_in import series_checks
from data_prep.dicom_in.scan import CtSeries, SliceHeader
from data_prep.dicom_in.slice_layout import SliceLayout, spread_image

MAX_STRAYS = 3
"""Number of slices of another orientation that may be left out of a series: localizers whose header
does not say that they are."""


@dataclass(frozen=True)
class Volume:
    """A CT on a regular grid, and the real slices that it was made of.

    :param array: int16 (x, y, z) in Hounsfield units.
    :param affine_lps: (4, 4), voxel indices to LPS mm; its third column is sheared if a tilted
        gantry was accepted.
    :param normal: (3,) unit normal of the slices, LPS.
    :param slice_positions_mm: (slices,) positions of the real slices along the normal, rising.
    :param layout: where on the grid the real slices lie.
    :param sop_instance_uids: of the real slices, in the order of their positions.
    """

    array: np.ndarray
    affine_lps: np.ndarray
    normal: np.ndarray
    slice_positions_mm: np.ndarray
    layout: SliceLayout
    series_uid: str
    frame_of_reference_uid: str
    sop_instance_uids: tuple[str, ...]
    digests: tuple[tuple[Path, str], ...] = ()
    """SHA-256 of each file that was read."""
    warnings: tuple[str, ...] = ()
    upright: bool = True
    """False if it was resampled from an oblique grid, to which the positions still refer."""

    @property
    def interpolated(self) -> np.ndarray:
        """Return which slices of the grid are not real slices, bool (z,)."""
        return ~self.layout.real if self.upright else np.ones(self.array.shape[2], bool)

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """Return the positions in mm before and after each uneven step."""
        return geometry.uneven_steps(self.slice_positions_mm)


def choose_series(
    series: list[CtSeries],
    series_uids: frozenset[str] = frozenset(),
    sop_uids: frozenset[str] = frozenset(),
    frame_uid: str = "",
) -> CtSeries:
    """Return the CT series that a structure set was drawn on.

    First the series whose Series Instance UID is referenced, then the one that holds referenced
    slices, then the one with the same Frame of Reference UID. The only series of a patient needs no
    reference.

    :param series: all CT series of a patient.
    :param series_uids: Series Instance UIDs that the structure set references.
    :param sop_uids: SOP Instance UIDs that it references.
    :param frame_uid: its Frame of Reference UID.
    :raises DataError: there is none, or more than one fits.
    """
    if not series:
        raise DataError("No CT slice was found for this patient. Add the CT to its folder.")
    rules: tuple[Callable[[CtSeries], bool], ...] = (
        lambda ct: ct.series_uid in series_uids,
        lambda ct: any(header.sop_instance_uid in sop_uids for header in ct.slices),
        lambda ct: ct.frame_of_reference_uid != "" and ct.frame_of_reference_uid == frame_uid,
    )
    for rule in rules:
        fitting = [ct for ct in series if rule(ct)]
        series = fitting or series
        if len(fitting) == 1:
            break
    stacks = [ct for ct in series if len(ct.slices) > 1]
    if stacks:  # a series of one slice is a localizer, or would be refused
        series = stacks
    if len(series) > 1:
        found = "; ".join(f"{ct.label} ({count_of(len(ct.slices), 'slice')})" for ct in series)
        raise DataError(
            f"Ambiguous: expected one CT series, found {len(series)} that fit equally: {found}. "
            "Keep the series that was contoured and move the others out of the folder."
        )
    return series[0]


def read_volume(series: CtSeries, resample_oblique: bool = False) -> Volume:
    """Check a series and read it in Hounsfield units.

    Slices are ordered by Image Position (Patient) along the normal (PS3.3 C.7.6.2.1.1), never by
    file name or Instance Number.

    :param resample_oblique: accept a tilted gantry and axes that are not those of the patient; the
        axes of the volume are then not those of the patient either
        (:mod:`data_prep.dicom_in.upright` resamples it).
    :raises DataError: the slices do not make one volume.
    """
    slices, notes = _without_copies(series)
    series_checks.check_headers(series.label, slices)
    slices, strays = _without_strays(slices)
    notes += strays
    series_checks.check_alike(series.label, slices)
    orientation = np.array(slices[0].orientation)
    normal = geometry.slice_normal(orientation)
    slices.sort(key=lambda header: float(np.array(header.origin_lps_mm) @ normal))
    origins_lps_mm = np.array([header.origin_lps_mm for header in slices])
    positions_mm = origins_lps_mm @ normal
    series_checks.check_positions(series.label, slices, positions_mm)
    direction = series_checks.check_upright(
        series.label, slices, origins_lps_mm, normal, resample_oblique
    )
    layout, uneven = series_checks.lay_out(series.label, positions_mm)
    series_checks.check_size(series.label, slices, layout)
    stack, unscaled, digests = _read_stack(slices)
    if unscaled:
        lacking = count_of(unscaled, "slice")
        notes.append(f"{lacking} without Rescale Slope: stored values were taken as HU.")
    return Volume(
        array=spread_image(stack, layout).T,
        affine_lps=geometry.affine_from_slices(
            orientation,
            np.array(slices[0].pixel_spacing_mm),
            origins_lps_mm[0],
            direction * layout.step_mm,
        ),
        normal=normal,
        slice_positions_mm=positions_mm,
        layout=layout,
        series_uid=series.series_uid,
        frame_of_reference_uid=series.frame_of_reference_uid,
        sop_instance_uids=tuple(header.sop_instance_uid for header in slices),
        digests=digests,
        warnings=tuple(notes + uneven),
    )


def _read_stack(slices: list[SliceHeader]) -> tuple[np.ndarray, int, tuple[tuple[Path, str], ...]]:
    """Read all slices, each file once.

    :return: int16 (slices, rows, columns) in HU, the number of slices without a rescaling, and the
        path and SHA-256 digest of each file.
    """
    from data_prep.dicom_in.pixels import read_hu

    stack = np.empty((len(slices), slices[0].rows, slices[0].columns), np.int16)
    by_path: dict[Path, dict[int, int]] = {}
    for k, header in enumerate(slices):
        by_path.setdefault(header.path, {})[header.frame] = k
    digests = []
    for path, places in by_path.items():
        frames, digest = read_hu(path, [slices[k] for k in places.values()])
        for header, hu in frames:
            stack[places[header.frame]] = hu
        digests.append((path, digest))
    unscaled = sum(header.rescale is None for header in slices)
    return stack, unscaled, tuple(digests)


def _without_copies(series: CtSeries) -> tuple[list[SliceHeader], list[str]]:
    """Leave out files whose bytes equal those of another file (a download made twice).

    :return: the slices kept, and warnings.
    """
    kept: dict[tuple[Any, ...], list[SliceHeader]] = {}
    copies = set()

    @cache
    def digest(path: Path) -> bytes:
        return hashlib.sha256(path.read_bytes()).digest()

    for header in series.slices:
        same = kept.setdefault((header.sop_instance_uid, header.frame, header.origin_lps_mm), [])
        if any(digest(header.path) == digest(other.path) for other in same):
            copies.add(header.path)
        else:
            same.append(header)
    notes = []
    if copies:
        notes.append(f"Left out {count_of(len(copies), 'file')} with the same content as others.")
    return [header for same in kept.values() for header in same], notes


def _without_strays(slices: list[SliceHeader]) -> tuple[list[SliceHeader], list[str]]:
    """Leave out a few slices whose orientation is not that of most: stray localizers.

    :return: the slices kept, and warnings.
    """
    # + 0.0 turns -0.0 into 0.0
    rounded = [tuple(np.round(np.array(header.orientation), 2) + 0.0) for header in slices]
    common, count = Counter(rounded).most_common(1)[0]
    strays = len(slices) - count
    if not 0 < strays <= min(MAX_STRAYS, count // 3):
        return slices, []
    kept = [header for header, found in zip(slices, rounded, strict=True) if found == common]
    return kept, [f"Left out {count_of(strays, 'slice')} of another orientation (localizers)."]
