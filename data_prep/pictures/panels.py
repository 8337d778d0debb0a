"""Contours over CT slices, patient by patient: arrays in, a PNG out.

A row is a patient: the axial slice with the largest reference, a close-up of it, and the coronal
and the sagittal plane through the reference's centroid (the prediction's, where there is no
reference). Display follows the radiological convention: the patient's left is on the image's right.
Everything is placed in world mm, so a CT at half resolution and masks on the native grid overlay.
"""

import io
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from data_prep.core.errors import DataError
from data_prep.pictures import planes
from data_prep.pictures.colours import PREDICTION_COLOUR, REFERENCE_COLOUR
from data_prep.pictures.planes import WINDOW_HU

_CELL_IN = (3.3, 2.4)  # width and height of a panel
_HEAD_IN, _TITLE_IN, _GAP_IN = 0.55, 0.34, 0.05
_DPI = 140
_PAPER, _INK, _FAINT = "#101216", "#f2f2f2", "#9aa0a8"
_OUTLINED = {"color": _INK, "path_effects": [withStroke(linewidth=2.2, foreground="black")]}
# name: (horizontal axis, vertical axis, axis across), letters left, right, top, bottom.
# Axes of RAS; the horizontal one is shown negated: left (of x) and back (of y) to the right.
_PLANES = {
    "axial": ((0, 1, 2), "RLAP"),
    "close-up": ((0, 1, 2), "RLAP"),
    "coronal": ((0, 2, 1), "RLHF"),
    "sagittal": ((1, 2, 0), "APHF"),
}


@dataclass(frozen=True)
class Case:
    """A patient to draw; grids may differ, ``reference`` may be None.

    :param dice: Dice3D, or None where it is unknown
    """

    patient_id: str
    image: planes.Grid
    prediction: planes.Grid
    reference: planes.Grid = None
    dice: float = None


def _draw_plane(ax, name, image, masks, focus_mm, view):
    """One panel: CT, contours, letters and a scale bar.

    :param masks: [(canonical grid, colour, line width)]
    :param view: left, right, bottom, top in shown mm
    """
    axes, letters = _PLANES[name]
    level, width = WINDOW_HU
    plane, columns, rows = planes.section(image, axes, focus_mm[axes[2]])
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
    for grid, colour, line in masks:
        section = planes.section(grid, axes, focus_mm[axes[2]])
        if section is not None and (section[0] > 0.5).any():
            mask, columns, rows = section
            steps = columns[1] - columns[0], rows[1] - rows[0]
            columns, rows = (
                np.r_[c[0] - s, c, c[-1] + s] for c, s in zip((columns, rows), steps, strict=True)
            )
            ax.contour(
                columns,
                rows,
                np.pad(mask > 0.5, 1).astype(float),
                levels=[0.5],
                colors=[colour],
                linewidths=line,
            )
    ax.set(xlim=view[:2], ylim=view[2:], xticks=[], yticks=[], facecolor="black")
    ax.spines[:].set_visible(False)
    _letter(ax, name, letters)
    bar_mm = 20 if name == "close-up" else 50
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


def _letter(ax, name, letters):
    """The panel's name and the directions at its left, right, top and bottom."""
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


def _draw_case(axes, case):
    """One row; ``axes`` are the panels in the order of ``_PLANES``."""
    image = case.image.canonical()
    masks = [(case.prediction.canonical(), PREDICTION_COLOUR, 1.2)]
    if case.reference is not None:  # below and wider, so that it shows where both agree
        masks.insert(0, (case.reference.canonical(), REFERENCE_COLOUR, 2.2))
    low, high = planes.body_mm(*image)
    focus = (case.reference and planes.focus(case.reference)) or planes.focus(case.prediction)
    centre, half = focus or ((low + high) / 2, np.full(3, 30.0))
    # the CT shown is the nearest slice, even if the masks' grid reaches a little further
    centre = np.clip(centre, image[1], image[1] + (np.array(image[0].shape) - 1) * image[2])
    for ax, (name, ((h, v, _), _)) in zip(axes, _PLANES.items(), strict=True):
        corner, opposite = low, high
        if name == "close-up":
            reach = max(1.7 * half[[h, v]].max(), 30)
            corner, opposite = centre - reach, centre + reach
        box = np.array([-opposite[h], corner[v]]), np.array([-corner[h], opposite[v]])
        _draw_plane(ax, name, image, masks, centre, planes.view(*box, _CELL_IN[0] / _CELL_IN[1]))


def _title(case):
    dice = "–" if case.dice is None else f"{case.dice:.3f}"
    reference = "no reference"
    if case.reference is not None:
        reference = f"reference {planes.volume_ml(case.reference):.1f} mL"
    return f"Dice3D {dice}    {reference}    prediction {planes.volume_ml(case.prediction):.1f} mL"


def draw_panels(cases, note=""):
    """Draw cases, a row each.

    :param cases: sequence of :class:`Case`
    :param note: a line below the rows
    :return: bytes of a PNG file
    :raises DataError: without cases
    """
    if not cases:
        raise DataError("nothing to draw: no cases were given")
    row_in = _TITLE_IN + _CELL_IN[1]
    width = len(_PLANES) * (_CELL_IN[0] + _GAP_IN) + _GAP_IN
    height = _HEAD_IN + len(cases) * row_in + (0.3 if note else _GAP_IN)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)

    def write(x_in, top_in, text, **style):
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
    for number, case in enumerate(cases):
        top = _HEAD_IN + number * row_in
        write(0.1, top + _TITLE_IN / 2, case.patient_id, color=_INK, size=11, weight="bold")
        write(width - 0.1, top + _TITLE_IN / 2, _title(case), color=_INK, size=10, ha="right")
        boxes = [
            (_GAP_IN + i * (_CELL_IN[0] + _GAP_IN), height - top - row_in, *_CELL_IN)
            for i in range(len(_PLANES))
        ]
        axes = [
            figure.add_axes((x / width, y / height, w / width, h / height)) for x, y, w, h in boxes
        ]
        _draw_case(axes, case)
    if note:
        write(0.1, height - 0.15, note, color=_FAINT, size=9)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_DPI, facecolor=_PAPER)
    return png.getvalue()
