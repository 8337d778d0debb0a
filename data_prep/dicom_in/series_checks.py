"""Refuse CT series that are not one volume; each message says what to do."""

import numpy as np

from data_prep.core import geometry
from data_prep.core.console import count_of
from data_prep.core.errors import DataError
from data_prep.dicom_in.scan import SliceHeader
from data_prep.dicom_in.slice_layout import MAX_FILLED_SHARE, SliceLayout, slice_layout

MAX_MATRIX = 4096
"""Largest Rows or Columns accepted; a CT has at most 2048."""

MIN_PIXEL_MM = 0.01
"""Smallest Pixel Spacing accepted."""

MIN_SLICE_STEP_MM = 0.01
"""Slices nearer than this count as at the same position: no scanner has smaller steps."""

MAX_SLICE_STEP_MM = 25.0
"""Largest slice step accepted; the coarsest chest CTs have 10 mm."""

_ATTRIBUTES = {
    "rows": "Rows",
    "columns": "Columns",
    "orientation": "Image Orientation (Patient)",
    "origin_lps_mm": "Image Position (Patient)",
    "pixel_spacing_mm": "Pixel Spacing",
}
_LARGEST_SPREAD = {"rows": 0, "columns": 0, "orientation": 1e-4, "pixel_spacing_mm": 1e-4}
"""Largest differences within one series: rounding only."""


def check_headers(label: str, slices: list[SliceHeader]) -> None:
    """Refuse slices that cannot be placed, decoded, or stacked.

    :param label: the series, for messages.
    :raises DataError: there are such slices.
    """
    if len(slices) < 2:
        raise DataError(
            f"{label}: expected at least 2 slices, found {len(slices)}. A single slice has no "
            "slice spacing; fetch the whole series."
        )
    for header in slices:
        where = f"{label}, file {header.path.name}"
        _check_geometry(header, where)
        _check_pixels(header, where)


def _check_geometry(header: SliceHeader, where: str) -> None:
    """Refuse a slice that cannot be placed."""
    for name in ("orientation", "origin_lps_mm", "pixel_spacing_mm"):
        if getattr(header, name) is None:
            raise DataError(
                f"{where}: no usable {_ATTRIBUTES[name]}; the slice cannot be placed. Fetch the "
                "file again."
            )
    if not geometry.is_orthonormal(np.array(header.orientation)):
        raise DataError(
            f"{where}: Image Orientation (Patient) is {header.orientation}, expected two "
            "perpendicular directions of length 1. Fetch the file again."
        )
    if min(header.pixel_spacing_mm or ()) < MIN_PIXEL_MM:
        raise DataError(
            f"{where}: Pixel Spacing is {header.pixel_spacing_mm} mm, expected at least "
            f"{MIN_PIXEL_MM}. The header is damaged; fetch the file again."
        )


def _check_pixels(header: SliceHeader, where: str) -> None:
    """Refuse a slice whose pixels are not those of one greyscale image in Hounsfield units."""
    if header.rescale is not None and header.rescale[0] == 0:
        raise DataError(
            f"{where}: Rescale Slope is 0, which makes all pixels equal. Fetch the file again."
        )
    if not (0 < header.rows <= MAX_MATRIX and 0 < header.columns <= MAX_MATRIX):
        raise DataError(
            f"{where}: Rows x Columns is {header.rows} x {header.columns}, expected 1 to "
            f"{MAX_MATRIX} each. The header is damaged; fetch the file again."
        )
    if header.frames != 1 or header.samples != 1:
        raise DataError(
            f"{where}: found {count_of(header.frames, 'frame')} with "
            f"{count_of(header.samples, 'sample')} per pixel, expected 1 and 1. A multi-frame CT "
            "needs functional groups; convert it to one greyscale file per slice."
        )
    if header.bytes_missing:
        raise DataError(
            f"{where}: {count_of(header.bytes_missing, 'byte')} of pixel data missing, expected "
            f"Rows x Columns = {header.rows} x {header.columns}. Fetch the file again."
        )


def check_alike(label: str, slices: list[SliceHeader]) -> None:
    """Refuse slices of different shape, spacing or orientation.

    :param label: the series, for messages.
    :raises DataError: they differ.
    """
    for name, tolerance in _LARGEST_SPREAD.items():
        values = np.array([getattr(header, name) for header in slices], float)
        if np.ptp(values, axis=0).max() > tolerance:
            found = ", ".join(map(str, sorted({getattr(header, name) for header in slices})[:4]))
            raise DataError(
                f"{label}: slices differ in {_ATTRIBUTES[name]}, found {found}, expected one "
                "value. The series contains several scans; keep one of them in the folder."
            )


def check_positions(label: str, slices: list[SliceHeader], positions_mm: np.ndarray) -> None:
    """Refuse two slices at one position.

    :param label: the series, for messages.
    :param positions_mm: (slices,) rising, along the normal.
    :raises DataError: there are such slices.
    """
    for k in np.flatnonzero(np.diff(positions_mm) < MIN_SLICE_STEP_MM):
        raise DataError(
            f"{label}: two slices at position {positions_mm[k]:.2f} mm, files "
            f"{slices[k].path.name} and {slices[k + 1].path.name}, expected one. The series "
            "contains two reconstructions; keep one of them in the folder."
        )


def check_upright(
    label: str,
    slices: list[SliceHeader],
    origins_lps_mm: np.ndarray,
    normal: np.ndarray,
    resample_oblique: bool,
) -> np.ndarray:
    """Refuse axes that are not those of the patient, and slices shifted by a tilted gantry.

    :param label: the series, for messages.
    :param origins_lps_mm: (slices, 3) Image Position (Patient), in the order of the slices.
    :param normal: (3,) unit normal of the slices.
    :param resample_oblique: accept both, as far as resampling can correct them.
    :return: (3,) from one slice to the next, for a step of 1 mm along the normal.
    :raises DataError: the series is not accepted.
    """
    advice = "Give --resample-oblique to resample it to an upright grid."
    if not resample_oblique and not geometry.is_orthogonal(np.array(slices[0].orientation)):
        raise DataError(
            f"{label}: oblique slices, Image Orientation (Patient) is {slices[0].orientation}; "
            f"expected rows and columns along the patient's axes. {advice}"
        )
    tolerance_mm = geometry.IN_PLANE_SHIFT_TOLERANCE_MM
    drift_mm = geometry.sideways_drift_mm(origins_lps_mm, normal)
    if drift_mm <= tolerance_mm:
        return normal
    whole = origins_lps_mm[-1] - origins_lps_mm[0]
    crooked_mm = geometry.sideways_drift_mm(origins_lps_mm, whole / np.linalg.norm(whole))
    if crooked_mm > tolerance_mm:
        raise DataError(
            f"{label}: slices are shifted sideways by {drift_mm:.2f} mm and not along a line, "
            f"expected at most {tolerance_mm} mm. The series contains several scans; keep one of "
            "them in the folder."
        )
    if not resample_oblique:
        raise DataError(
            f"{label}: tilted gantry, slices drift {drift_mm:.2f} mm sideways, expected at most "
            f"{tolerance_mm} mm. {advice}"
        )
    return whole / float(whole @ normal)


def lay_out(label: str, positions_mm: np.ndarray) -> tuple[SliceLayout, list[str]]:
    """Find the regular grid of the slices.

    :param label: the series, for messages.
    :param positions_mm: (slices,) rising, along the normal.
    :return: the grid, and a warning that says what is interpolated, if anything.
    :raises DataError: too much would be interpolated.
    """
    layout = slice_layout(positions_mm)
    gaps = geometry.uneven_steps(positions_mm)
    found = ", ".join(f"{low:.2f} to {high:.2f} mm" for low, high in gaps[:10])
    found += f" and {len(gaps) - 10} more" if len(gaps) > 10 else ""
    if layout is not None and layout.step_mm > MAX_SLICE_STEP_MM:
        raise DataError(
            f"{label}: slice step is {layout.step_mm:g} mm, expected at most "
            f"{MAX_SLICE_STEP_MM:g}. "
            "Fetch the whole series."
        )
    if layout is None:
        step_mm = float(np.median(np.diff(positions_mm)))
        raise DataError(
            f"{label}: slices are not evenly spaced, expected steps of {step_mm:g} mm, found "
            f"{found}. More than {MAX_FILLED_SHARE:.0%} of the volume would be interpolated; fetch "
            "the whole series."
        )
    if layout.mixed:
        return layout, [
            f"Slice steps are mixed ({found or 'drifting'}): all slices were interpolated to steps "
            f"of {layout.step_mm:g} mm."
        ]
    missing = int(np.count_nonzero(~layout.real))
    if missing:
        return layout, [
            f"{count_of(missing, 'slice')} missing, at {found}: interpolated there, which gives "
            f"{layout.size} slices of {layout.step_mm:g} mm from {len(positions_mm)}."
        ]
    return layout, []


def check_size(label: str, slices: list[SliceHeader], layout: SliceLayout) -> None:
    """Refuse a series that would not fit into a worker's memory, before any is allocated.

    :param label: the series, for messages.
    :raises DataError: it is too large.
    """
    voxels = layout.size * slices[0].rows * slices[0].columns
    if voxels > geometry.MAX_VOXELS:
        raise DataError(
            f"{label}: {slices[0].columns} x {slices[0].rows} x {layout.size} voxels, expected at "
            f"most {geometry.MAX_VOXELS}. Split the series, or check its headers."
        )
