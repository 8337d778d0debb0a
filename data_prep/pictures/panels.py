"""Draw contours on CT slices, a row for each patient, as a PNG.

A row has the axial slice with the largest reference, a close-up of it, and the coronal and the
sagittal plane through the centroid of the reference (of the prediction, if there is no reference).
Display follows the radiological convention: the patient's left is on the image's right. Everything
is placed in world mm, so a CT at half resolution and masks on the native grid overlay.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from data_prep.core.colours import PREDICTION_COLOUR, REFERENCE_COLOUR
from data_prep.core.errors import DataError
from data_prep.pictures import planes
from data_prep.pictures.planes import WINDOW_HU, CanonicalVolume, ShownVolume

_CELL_IN = (3.3, 2.4)  # width and height of a panel
_HEAD_IN, _TITLE_IN, _GAP_IN = 0.55, 0.34, 0.05
_DPI = 140
_PAPER, _INK, _FAINT = "#101216", "#f2f2f2", "#9aa0a8"
_OUTLINED = {"color": _INK, "path_effects": [withStroke(linewidth=2.2, foreground="black")]}
# name: (horizontal axis, vertical axis, axis across), letters left, right, top, bottom.
# Axes of RAS; the horizontal axis is shown negated: left (of x) and back (of y) on the right.
_PLANES = {
    "axial": ((0, 1, 2), "RLAP"),
    "close-up": ((0, 1, 2), "RLAP"),
    "coronal": ((0, 2, 1), "RLHF"),
    "sagittal": ((1, 2, 0), "APHF"),
}


@dataclass(frozen=True)
class PanelRow:
    """A patient to draw; the grids may differ.

    :param patient_id: title of the row.
    :param image: the CT.
    :param prediction: a mask.
    :param reference: a mask, or None.
    :param dice: Dice3D, or None where it is unknown.
    """

    patient_id: str
    image: ShownVolume
    prediction: ShownVolume
    reference: ShownVolume | None = None
    dice: float | None = None


@dataclass(frozen=True)
class _Outline:
    """A mask of which the contour is drawn, and how."""

    mask: CanonicalVolume
    colour: str
    width_pt: float


def _draw_plane(
    ax: Any,
    name: str,
    image: CanonicalVolume,
    contours: Sequence[_Outline],
    focus_mm: np.ndarray,
    view: tuple[float, float, float, float],
) -> None:
    """Draw one panel: CT, contours, letters and a scale bar.

    :param ax: its matplotlib axes.
    :param name: a key of ``_PLANES``.
    :param focus_mm: (3,) point that the plane runs through, RAS mm.
    :param view: left, right, bottom and top in shown mm.
    """
    axes, letters = _PLANES[name]
    shown = planes.section(image, axes, focus_mm[axes[2]])
    if shown is not None:
        _draw_ct(ax, *shown)
    for contour in contours:
        section = planes.section(contour.mask, axes, focus_mm[axes[2]])
        if section is not None and (section[0] > 0.5).any():
            _draw_contour(ax, *section, contour)
    ax.set(xlim=view[:2], ylim=view[2:], xticks=[], yticks=[], facecolor="black")
    ax.spines[:].set_visible(False)
    _draw_letters(ax, name, letters)
    _draw_scale_bar(ax, 20 if name == "close-up" else 50, view)


def _draw_ct(ax: Any, plane: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> None:
    """Draw a plane of a CT; see :func:`data_prep.pictures.planes.section`."""
    level, width = WINDOW_HU
    dx, dy = columns[1] - columns[0], rows[1] - rows[0]
    extent = (columns[0] - dx / 2, columns[-1] + dx / 2, rows[0] - dy / 2, rows[-1] + dy / 2)
    ax.imshow(
        plane,
        cmap="gray",
        vmin=level - width / 2,
        vmax=level + width / 2,
        extent=extent,
        origin="lower",
        interpolation="bilinear",
        aspect="auto",
    )


def _draw_contour(
    ax: Any, plane: np.ndarray, columns: np.ndarray, rows: np.ndarray, contour: _Outline
) -> None:
    """Draw the contour of a plane of a mask; a mask that reaches its edge is closed there."""
    steps = columns[1] - columns[0], rows[1] - rows[0]
    columns, rows = (
        np.r_[c[0] - s, c, c[-1] + s] for c, s in zip((columns, rows), steps, strict=True)
    )
    ax.contour(
        columns,
        rows,
        np.pad(plane > 0.5, 1).astype(float),
        levels=[0.5],
        colors=[contour.colour],
        linewidths=contour.width_pt,
    )


def _draw_scale_bar(ax: Any, bar_mm: int, view: tuple[float, float, float, float]) -> None:
    """Draw a bar of a known length in the lower right corner."""
    end, bottom = view[1] - 0.03 * (view[1] - view[0]), view[2] + 0.05 * (view[3] - view[2])
    ax.plot([end - bar_mm, end], [bottom, bottom], linewidth=1.6, **_OUTLINED)
    ax.annotate(
        f"{bar_mm} mm",
        (end - bar_mm / 2, bottom),
        (0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        size=7,
        **_OUTLINED,
    )


def _draw_letters(ax: Any, name: str, letters: str) -> None:
    """Write the name of a panel, and the directions at its left, right, top and bottom."""
    places = (
        (0.015, 0.5, "left", "center"),
        (0.985, 0.5, "right", "center"),
        (0.5, 0.975, "center", "top"),
        (0.5, 0.025, "center", "bottom"),
    )
    for letter, (x, y, ha, va) in zip(letters, places, strict=True):
        ax.text(
            x, y, letter, transform=ax.transAxes, ha=ha, va=va, size=8, weight="bold", **_OUTLINED
        )
    ax.text(0.015, 0.975, name, transform=ax.transAxes, ha="left", va="top", size=8, **_OUTLINED)


def _draw_row(axes: Iterable[Any], row: PanelRow) -> None:
    """Draw one row.

    :param axes: matplotlib axes of the panels, in the order of ``_PLANES``.
    """
    image = row.image.canonical()
    contours = [_Outline(row.prediction.canonical(), PREDICTION_COLOUR, 1.2)]
    if row.reference is not None:  # below and wider, so that it is visible where both agree
        contours.insert(0, _Outline(row.reference.canonical(), REFERENCE_COLOUR, 2.2))
    low, high = planes.body_mm(*image)
    focus = (row.reference and planes.focus(row.reference)) or planes.focus(row.prediction)
    centre, half = focus or ((low + high) / 2, np.full(3, 30.0))
    # the nearest slice of the CT, even if the grid of the masks reaches a little further
    last_mm = image.origin_ras_mm + (np.array(image.array.shape) - 1) * image.spacing_mm
    centre = np.clip(centre, image.origin_ras_mm, last_mm)
    for ax, (name, ((h, v, _), _)) in zip(axes, _PLANES.items(), strict=True):
        corner, opposite = low, high
        if name == "close-up":
            reach = max(1.7 * half[[h, v]].max(), 30)
            corner, opposite = centre - reach, centre + reach
        box = np.array([-opposite[h], corner[v]]), np.array([-corner[h], opposite[v]])
        view = planes.view(*box, _CELL_IN[0] / _CELL_IN[1])
        _draw_plane(ax, name, image, contours, centre, view)


def _title(row: PanelRow) -> str:
    dice = "–" if row.dice is None else f"{row.dice:.3f}"
    reference = "no reference"
    if row.reference is not None:
        reference = f"reference {planes.volume_ml(row.reference):.1f} mL"
    return f"Dice3D {dice}    {reference}    prediction {planes.volume_ml(row.prediction):.1f} mL"


def draw_panels(patients: Sequence[PanelRow], note: str = "") -> bytes:
    """Draw patients, a row for each.

    :param patients: at least one.
    :param note: a line below the rows.
    :return: the bytes of a PNG file.
    :raises DataError: there is no patient.
    """
    if not patients:
        raise DataError("nothing to draw: expected at least one patient")
    row_in = _TITLE_IN + _CELL_IN[1]
    width = len(_PLANES) * (_CELL_IN[0] + _GAP_IN) + _GAP_IN
    height = _HEAD_IN + len(patients) * row_in + (0.3 if note else _GAP_IN)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)

    def write(x_in: float, top_in: float, text: str, **style: Any) -> None:
        figure.text(x_in / width, 1 - top_in / height, text, va="center", **style)

    level, window = WINDOW_HU
    legend = ((0.1, REFERENCE_COLOUR, "reference"), (1.4, PREDICTION_COLOUR, "prediction"))
    for x_in, colour, name in legend:
        write(x_in, 0.3, "━━", color=colour, size=12, weight="bold")
        write(x_in + 0.38, 0.3, name, color=_INK, size=11)
    convention = (
        f"lung window, level {level}, width {window} HU   ·   "
        "radiological display: the patient's left is on the image's right"
    )
    write(width - 0.1, 0.3, convention, color=_FAINT, size=9, ha="right")
    for number, patient in enumerate(patients):
        top = _HEAD_IN + number * row_in
        write(0.1, top + _TITLE_IN / 2, patient.patient_id, color=_INK, size=11, weight="bold")
        write(width - 0.1, top + _TITLE_IN / 2, _title(patient), color=_INK, size=10, ha="right")
        boxes = [
            (_GAP_IN + i * (_CELL_IN[0] + _GAP_IN), height - top - row_in, *_CELL_IN)
            for i in range(len(_PLANES))
        ]
        axes = [
            figure.add_axes((x / width, y / height, w / width, h / height)) for x, y, w, h in boxes
        ]
        _draw_row(axes, patient)
    if note:
        write(0.1, height - 0.15, note, color=_FAINT, size=9)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_DPI, facecolor=_PAPER)
    return png.getvalue()
