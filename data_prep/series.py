"""Choose a patient's CT series, check it slice by slice, and read it as a volume."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep import DataError, geometry
from data_prep.scan import CtSeries, SliceHeader, read_whole

AIR_HU = -1024
"""Floor of Hounsfield units: whatever lies below (-2000, -2048, -3024) is padding outside the
scanner's circle, whether Pixel Padding Value says so or not."""

MAX_HU = int(np.iinfo(np.int16).max)

MAX_MATRIX = 4096
"""Largest Rows or Columns believed; CT has 2048 at most."""

MIN_SLICE_STEP_MM = 0.01
"""Slices nearer than this lie at one position: less than any scanner can step."""

_TAGS = {
    "rows": "Rows",
    "columns": "Columns",
    "orientation": "Image Orientation (Patient)",
    "origin_lps_mm": "Image Position (Patient)",
    "pixel_spacing_mm": "Pixel Spacing",
}
_LARGEST_SPREAD = {"rows": 0, "columns": 0, "orientation": 1e-4, "pixel_spacing_mm": 1e-4}
"""Largest spread among the slices of one series: rounding only."""


@dataclass(frozen=True)
class Volume:
    """A CT on its own grid.

    ``array`` is int16 (x, y, z) in Hounsfield units, ``affine_lps`` maps a voxel's index to its
    centre, ``slice_positions_mm`` (z,) are the real positions along ``normal`` in rising order.
    """

    array: np.ndarray
    affine_lps: np.ndarray
    normal: np.ndarray
    slice_positions_mm: np.ndarray
    series_uid: str
    frame_of_reference_uid: str
    sop_instance_uids: tuple[str, ...]
    digests: tuple[tuple[Path, str], ...] = ()
    """SHA-256 of each file that was read."""
    warnings: tuple[str, ...] = ()


def choose_series(
    series: list[CtSeries],
    series_uids: frozenset[str] = frozenset(),
    sop_uids: frozenset[str] = frozenset(),
    frame_uid: str = "",
) -> CtSeries:
    """Return the CT series that a structure set was drawn on.

    First the one whose Series Instance UID is referenced, then the one holding referenced slices,
    then the one with the same Frame of Reference UID; a patient's only series needs no reference.

    :raises DataError: there is none, or more than one fits.
    """
    if not series:
        raise DataError("No CT slice was found for this patient. Add the CT to its folder.")
    rules = (
        lambda one: one.series_uid in series_uids,
        lambda one: any(header.sop_instance_uid in sop_uids for header in one.slices),
        lambda one: one.frame_of_reference_uid != "" and one.frame_of_reference_uid == frame_uid,
    )
    for rule in rules:
        fitting = [one for one in series if rule(one)]
        series = fitting or series
        if len(fitting) == 1:
            break
    if len(series) > 1:
        found = "; ".join(f"{one.label} ({len(one.slices)} slices)" for one in series)
        raise DataError(
            f"Ambiguous: expected one CT series, found {len(series)} that fit equally: {found}. "
            "Keep the one that was contoured and move the others out of the folder."
        )
    return series[0]


def read_volume(series: CtSeries) -> Volume:
    """Check a series and read it in Hounsfield units.

    Slices are ordered by Image Position (Patient) along the normal (PS3.3 C.7.6.2.1.1), never by
    file name or Instance Number; rescaled one by one (C.11.1.1.2); below ``AIR_HU`` is padding.

    :raises DataError: the slices do not make one orthogonal, evenly spaced volume.
    """
    slices, notes = _without_copies(series)
    _check_headers(series.label, slices)
    _check_alike(series.label, slices)
    orientation = np.array(slices[0].orientation)
    normal = geometry.slice_normal(orientation)
    slices.sort(key=lambda header: float(np.dot(header.origin_lps_mm, normal)))
    origins_lps_mm = np.array([header.origin_lps_mm for header in slices])
    positions_mm = origins_lps_mm @ normal
    _check_geometry(series.label, slices, origins_lps_mm, normal)
    stack = np.empty((len(slices), slices[0].rows, slices[0].columns), np.int16)
    unscaled, digests = 0, []
    for k, header in enumerate(slices):
        stack[k], scaled, digest = _read_hu(header)
        digests.append((header.path, digest))
        unscaled += not scaled
    if unscaled:
        notes.append(f"{unscaled} slices have no Rescale Slope: stored values were taken as HU.")
    return Volume(
        array=stack.T,
        affine_lps=geometry.affine_from_slices(
            orientation, np.array(slices[0].pixel_spacing_mm), origins_lps_mm
        ),
        normal=normal,
        slice_positions_mm=positions_mm,
        series_uid=series.series_uid,
        frame_of_reference_uid=series.frame_of_reference_uid,
        sop_instance_uids=tuple(header.sop_instance_uid for header in slices),
        digests=tuple(digests),
        warnings=tuple(notes),
    )


def _without_copies(series: CtSeries) -> tuple[list[SliceHeader], list[str]]:
    """Leave out files that are byte for byte a slice already found (a download made twice)."""
    kept: dict[tuple, list[SliceHeader]] = {}
    copies = 0
    for header in series.slices:
        same = kept.setdefault((header.sop_instance_uid, header.origin_lps_mm), [])
        if any(_digest(header.path) == _digest(other.path) for other in same):
            copies += 1
        else:
            same.append(header)
    notes = [f"{copies} files are copies of other slices and were left out."] if copies else []
    return [header for same in kept.values() for header in same], notes


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _check_headers(label: str, slices: list[SliceHeader]) -> None:
    """Refuse slices that cannot be placed, decoded, or stacked.

    :raises DataError: see there.
    """
    if len(slices) < 2:
        raise DataError(
            f"{label}: expected at least 2 slices, found {len(slices)}. A single slice has no "
            "slice spacing; fetch the whole series."
        )
    for header in slices:
        where = f"{label}, file {header.path.name}"
        for name in ("orientation", "origin_lps_mm", "pixel_spacing_mm"):
            if getattr(header, name) is None:
                raise DataError(
                    f"{where}: no usable {_TAGS[name]}. Multi-frame (Enhanced) CT is not read; "
                    "convert it to one file a slice, or fetch the file again."
                )
        if min(header.pixel_spacing_mm) <= 0:
            raise DataError(
                f"{where}: Pixel Spacing is {header.pixel_spacing_mm} mm, expected above 0."
            )
        if not (0 < header.rows <= MAX_MATRIX and 0 < header.columns <= MAX_MATRIX):
            raise DataError(
                f"{where}: Rows x Columns is {header.rows} x {header.columns}, expected 1 to "
                f"{MAX_MATRIX} each. The header is damaged; fetch the file again."
            )
        if header.frames != 1 or header.samples != 1:
            raise DataError(
                f"{where}: {header.frames} frames of {header.samples} samples a pixel, expected 1 "
                "of 1. Convert it to one greyscale file a slice."
            )
        if header.bytes_missing:
            raise DataError(
                f"{where}: {header.bytes_missing} bytes short of the pixel data that Rows x "
                f"Columns = {header.rows} x {header.columns} promise. Fetch the file again."
            )


def _check_alike(label: str, slices: list[SliceHeader]) -> None:
    """Refuse slices of different shape, spacing or orientation.

    :raises DataError: see there.
    """
    for name, tolerance in _LARGEST_SPREAD.items():
        values = np.array([getattr(header, name) for header in slices], float)
        if np.ptp(values, axis=0).max() > tolerance:
            found = sorted({getattr(header, name) for header in slices})
            raise DataError(
                f"{label}: slices differ in {_TAGS[name]}, found {', '.join(map(str, found[:4]))}, "
                "expected one value. These are several scans in one series; keep one in the folder."
            )


def _check_geometry(
    label: str, slices: list[SliceHeader], origins_lps_mm: np.ndarray, normal: np.ndarray
) -> None:
    """Refuse a stack that one affine cannot describe.

    :param slices: sorted by position.
    :param origins_lps_mm: (slices, 3) of the same.
    :raises DataError: see there.
    """
    orientation = np.array(slices[0].orientation)
    if not geometry.is_orthogonal(orientation):
        raise DataError(
            f"{label}: oblique slices, Image Orientation (Patient) is {slices[0].orientation}; "
            "expected rows and columns along the patient's axes. Resample it to an orthogonal grid."
        )
    positions_mm = origins_lps_mm @ normal
    for k in np.flatnonzero(np.diff(positions_mm) < MIN_SLICE_STEP_MM):
        raise DataError(
            f"{label}: two slices at position {positions_mm[k]:.2f} mm, files "
            f"{slices[k].path.name} and {slices[k + 1].path.name}, expected one. Two "
            "reconstructions share a series; keep one of them in the folder."
        )
    drift_mm = geometry.sideways_drift_mm(origins_lps_mm, normal)
    if drift_mm > geometry.IN_PLANE_SHIFT_TOLERANCE_MM:
        raise DataError(
            f"{label}: tilted gantry, slices drift {drift_mm:.2f} mm sideways, expected at most "
            f"{geometry.IN_PLANE_SHIFT_TOLERANCE_MM} mm. Resample it to an upright grid."
        )
    gaps = geometry.uneven_steps(positions_mm)
    if gaps:
        step_mm = float(np.median(np.diff(positions_mm)))
        found = ", ".join(f"{low:.2f} to {high:.2f} mm" for low, high in gaps[:10])
        more = f" and {len(gaps) - 10} more" if len(gaps) > 10 else ""
        raise DataError(
            f"{label}: slices are not evenly spaced, expected steps of {step_mm:g} mm, found "
            f"{found}{more}. Slices are missing or of mixed thickness; fetch the whole series."
        )


def _read_hu(header: SliceHeader) -> tuple[np.ndarray, bool, str]:
    """Return one slice in HU, int16 (rows, columns), whether it was rescaled, and the digest."""
    try:
        dataset, digest = read_whole(header.path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = dataset.pixel_array
    except Exception as error:  # each codec has exceptions of its own
        raise DataError(
            f"{header.path}: the pixels cannot be read ({error}). Fetch the file again; "
            "compressed files need pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        ) from error
    scaled = dataset.get("RescaleSlope") is not None
    slope = float(dataset.RescaleSlope) if scaled else 1.0
    intercept = float(dataset.get("RescaleIntercept") or 0.0)
    if slope == 1.0 and intercept.is_integer():
        hu = stored.astype(np.int32) + int(intercept)
    else:
        hu = np.rint(stored * slope + intercept)
    return np.clip(hu, AIR_HU, MAX_HU).astype(np.int16), scaled, digest
