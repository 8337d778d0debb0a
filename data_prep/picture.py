"""Contours over CT slices: what a segmentation looks like, patient by patient, in one PNG.

A row is a patient: the axial slice with the largest reference, a close-up of it, and the coronal
and the sagittal plane through the reference's centroid (the prediction's, where there is no
reference). Display follows the radiological convention: the patient's left is on the image's right.
Everything is placed in world mm, so a CT at half resolution and masks on the native grid overlay.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from nibabel.filebasedimages import ImageFileError

from data_prep import DataError

WINDOW_HU = (-400, 1500)
"""Level and width of the lung window."""
REFERENCE_COLOUR, PREDICTION_COLOUR = "#00b4ff", "#ffb000"  # told apart by colour-blind readers too
MAX_PATIENTS = 6
ORTHOGONAL_TOLERANCE = 1e-3
"""Largest off-axis part of a voxel's edge, relative to the edge, in a grid that is not oblique."""

_BODY_HU = -300  # denser than this is body or table
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
class Grid:
    """An array on a grid in the world.

    :param array: ``(x, y, z)``, HU or a mask (true above 0.5)
    :param affine_ras: ``(4, 4)``, voxel indices to RAS mm; axes in any order and direction
    :raises DataError: if the grid is oblique
    """

    array: np.ndarray
    affine_ras: np.ndarray

    def __post_init__(self):
        edges = np.sort(np.abs(np.asarray(self.affine_ras, float)[:3, :3]), axis=0)
        if (edges[1] > ORTHOGONAL_TOLERANCE * edges[2]).any():
            raise DataError(f"oblique affine {np.round(self.affine_ras, 4).tolist()}, expected "
                            "voxel edges along the patient's axes; resample it to draw it")

    def canonical(self):
        """The same with indices rising along right, anterior, head.

        :return: array, first voxel centre in RAS mm ``(3,)``, spacing in mm ``(3,)``
        """
        numbers = self.array.astype(np.uint8) if self.array.dtype == bool else self.array
        image = nib.as_closest_canonical(nib.Nifti1Image(numbers, self.affine_ras))
        spacing_mm = nib.affines.voxel_sizes(image.affine)
        return np.asarray(image.dataobj), image.affine[:3, 3], spacing_mm


@dataclass(frozen=True)
class Case:
    """A patient to draw; grids may differ, ``reference`` may be None.

    :param dice: Dice3D, or None where it is undefined or unknown
    """

    patient_id: str
    image: Grid
    prediction: Grid
    reference: Grid = None
    dice: float = None


def dice3d(reference, prediction):
    """Dice of two masks on one grid, or None if the grids differ or both masks are empty."""
    same = reference.array.shape == prediction.array.shape
    if not same or not np.allclose(reference.affine_ras, prediction.affine_ras, atol=1e-2):
        return None
    a, b = reference.array > 0.5, prediction.array > 0.5
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else None


def _volume_ml(grid):
    voxel_mm3 = abs(np.linalg.det(np.asarray(grid.affine_ras)[:3, :3]))
    return float((grid.array > 0.5).sum() * voxel_mm3 / 1000)


def _focus(grid):
    """Where to cut: the centroid, its z that of the largest slice, and half the extent in mm.

    :return: ``(3,)`` RAS mm and ``(3,)`` mm, or None for an empty mask
    """
    array, origin, spacing = grid.canonical()
    voxels = np.argwhere(array > 0.5)
    if not len(voxels):
        return None
    centre = voxels.mean(axis=0)
    centre[2] = np.bincount(voxels[:, 2]).argmax()
    half = (np.ptp(voxels, axis=0) + 1) / 2
    return origin + centre * spacing, half * spacing


def _body_mm(array, origin, spacing):
    """The box that holds the patient, from profiles that a table or noise does not move.

    :return: ``(3,)`` lower and ``(3,)`` upper corner, RAS mm
    """
    dense, low = array > _BODY_HU, origin - spacing / 2
    high = low + array.shape * spacing
    for axis in (0, 1):
        profile = dense.mean(axis=tuple({0, 1, 2} - {axis}))
        inside = np.flatnonzero(profile > 0.06)
        if len(inside):
            low[axis] = origin[axis] + (inside[0] - 0.5) * spacing[axis] - 8
            high[axis] = origin[axis] + (inside[-1] + 0.5) * spacing[axis] + 8
    return low, high


def _section(grid, axes, position_mm):
    """A plane of a canonical grid, ready to show.

    :param grid: array, origin and spacing as from :meth:`Grid.canonical`
    :param axes: RAS axes: horizontal, vertical, across
    :param position_mm: where along the axis across
    :return: ``(rows, columns)`` from the lower left, columns' and rows' centres in shown mm; or
        None where the grid does not reach
    """
    array, origin, spacing = grid
    h, v, across = axes
    index = round((position_mm - origin[across]) / spacing[across])
    if not 0 <= index < array.shape[across]:
        return None
    plane = np.take(array, index, axis=across)  # (horizontal, vertical)
    columns = -(origin[h] + spacing[h] * np.arange(plane.shape[0]))[::-1]
    rows = origin[v] + spacing[v] * np.arange(plane.shape[1])
    return plane[::-1].T, columns, rows


def _view(low, high, ratio):
    """The smallest window of a cell's shape around a box: left, right, bottom, top in shown mm."""
    centre, size = (low + high) / 2, high - low
    height = max(size[1], size[0] / ratio)
    return (centre[0] - height * ratio / 2, centre[0] + height * ratio / 2,
            centre[1] - height / 2, centre[1] + height / 2)


def _draw_plane(ax, name, image, masks, focus_mm, view):
    """One panel: CT, contours, letters and a scale bar.

    :param masks: [(canonical grid, colour, line width)]
    :param view: left, right, bottom, top in shown mm
    """
    axes, letters = _PLANES[name]
    level, width = WINDOW_HU
    plane, columns, rows = _section(image, axes, focus_mm[axes[2]])
    dx, dy = columns[1] - columns[0], rows[1] - rows[0]
    extent = (columns[0] - dx / 2, columns[-1] + dx / 2, rows[0] - dy / 2, rows[-1] + dy / 2)
    ax.imshow(plane, cmap="gray", vmin=level - width / 2, vmax=level + width / 2, extent=extent,
              origin="lower", interpolation="bilinear", aspect="auto")
    for grid, colour, line in masks:
        section = _section(grid, axes, focus_mm[axes[2]])
        if section is not None and (section[0] > 0.5).any():
            mask, columns, rows = section
            steps = columns[1] - columns[0], rows[1] - rows[0]
            columns, rows = (np.r_[c[0] - s, c, c[-1] + s]
                             for c, s in zip((columns, rows), steps, strict=True))
            ax.contour(columns, rows, np.pad(mask > 0.5, 1).astype(float), levels=[0.5],
                       colors=[colour], linewidths=line)
    ax.set(xlim=view[:2], ylim=view[2:], xticks=[], yticks=[], facecolor="black")
    ax.spines[:].set_visible(False)
    _letter(ax, name, letters)
    bar_mm = 20 if name == "close-up" else 50
    end, bottom = view[1] - 0.03 * (view[1] - view[0]), view[2] + 0.05 * (view[3] - view[2])
    ax.plot([end - bar_mm, end], [bottom, bottom], linewidth=1.6, **_OUTLINED)
    ax.annotate(f"{bar_mm} mm", (end - bar_mm / 2, bottom), (0, 3), textcoords="offset points",
                ha="center", va="bottom", size=7, **_OUTLINED)


def _letter(ax, name, letters):
    """The panel's name and the directions at its left, right, top and bottom."""
    places = ((0.015, 0.5, "left", "center"), (0.985, 0.5, "right", "center"),
              (0.5, 0.975, "center", "top"), (0.5, 0.025, "center", "bottom"))
    for letter, (x, y, ha, va) in zip(letters, places, strict=True):
        ax.text(x, y, letter, transform=ax.transAxes, ha=ha, va=va, size=8, weight="bold",
                **_OUTLINED)
    ax.text(0.015, 0.975, name, transform=ax.transAxes, ha="left", va="top", size=8, **_OUTLINED)


def _draw_case(axes, case):
    """One row; ``axes`` are the panels in the order of ``_PLANES``."""
    image = case.image.canonical()
    masks = [(case.prediction.canonical(), PREDICTION_COLOUR, 1.2)]
    if case.reference is not None:  # below and wider, so that it shows where both agree
        masks.insert(0, (case.reference.canonical(), REFERENCE_COLOUR, 2.2))
    low, high = _body_mm(*image)
    focus = (case.reference and _focus(case.reference)) or _focus(case.prediction)
    centre, half = focus or ((low + high) / 2, np.full(3, 30.0))
    # the CT shown is the nearest slice, even if the masks' grid reaches a little further
    centre = np.clip(centre, image[1], image[1] + (np.array(image[0].shape) - 1) * image[2])
    for ax, (name, ((h, v, _), _)) in zip(axes, _PLANES.items(), strict=True):
        corner, opposite = low, high
        if name == "close-up":
            reach = max(1.7 * half[[h, v]].max(), 30)
            corner, opposite = centre - reach, centre + reach
        box = np.array([-opposite[h], corner[v]]), np.array([-corner[h], opposite[v]])
        _draw_plane(ax, name, image, masks, centre, _view(*box, _CELL_IN[0] / _CELL_IN[1]))


def _title(case):
    dice = "–" if case.dice is None else f"{case.dice:.3f}"
    reference = "no reference"
    if case.reference is not None:
        reference = f"reference {_volume_ml(case.reference):.1f} mL"
    return f"Dice3D {dice}    {reference}    prediction {_volume_ml(case.prediction):.1f} mL"


def _save(figure, png_path):
    png_path = Path(png_path)
    png_path.parent.mkdir(parents=True, exist_ok=True)
    draft = png_path.with_name(f".{png_path.name}.part")
    try:
        figure.savefig(draft, format="png", dpi=_DPI, facecolor=_PAPER)
        os.replace(draft, png_path)
    finally:
        draft.unlink(missing_ok=True)
    return png_path


def draw_panels(cases, png_path, note=""):
    """Draw cases, a row each.

    :param cases: sequence of :class:`Case`
    :param png_path: file to write, at once or not at all
    :param note: a line below the rows
    :return: ``png_path`` as a ``Path``
    :raises DataError: without cases
    """
    if not cases:
        raise DataError(f"{png_path}: nothing to draw: no cases were given")
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
    convention = (f"lung window, level {level}, width {window} HU   ·   "
                  "radiological display: the patient's left is on the image's right")
    write(width - 0.1, 0.3, convention, color=_FAINT, size=9, ha="right")
    for number, case in enumerate(cases):
        top = _HEAD_IN + number * row_in
        write(0.1, top + _TITLE_IN / 2, case.patient_id, color=_INK, size=11, weight="bold")
        write(width - 0.1, top + _TITLE_IN / 2, _title(case), color=_INK, size=10, ha="right")
        boxes = [(_GAP_IN + i * (_CELL_IN[0] + _GAP_IN), height - top - row_in, *_CELL_IN)
                 for i in range(len(_PLANES))]
        axes = [figure.add_axes((x / width, y / height, w / width, h / height))
                for x, y, w, h in boxes]
        _draw_case(axes, case)
    if note:
        write(0.1, height - 0.15, note, color=_FAINT, size=9)
    return _save(figure, png_path)


def _load(path):
    image = nib.load(path)
    return Grid(np.asanyarray(image.dataobj), image.affine)


def _load_case(patient_id, image, mask, reference):
    """A case from its files' paths; ``reference`` may be None."""
    prediction, reference = _load(mask), _load(reference) if reference else None
    dice = dice3d(reference, prediction) if reference else None
    return Case(patient_id, _load(image), prediction, reference, dice)


def _find(data_dir, masks_dir):
    """Patients with an image and a restored mask: [(id, image, mask, reference or None)], paths."""
    manifest = Path(data_dir) / "manifest.json"
    try:
        patients = json.loads(manifest.read_text(encoding="utf-8"))["patients"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{manifest} is no manifest of preprocessed patients: {error}; "
                        "name the folder that preprocessing wrote") from error
    found = []
    for patient in patients:
        names = patient.get("files") or {}
        files = {kind: Path(data_dir) / name for kind, name in names.items() if name}
        mask = Path(masks_dir) / f"{patient['id']}_mask.nii.gz"
        reference = files.get("native_label", files.get("label"))
        if mask.is_file() and "image" in files:
            found.append((patient["id"], files["image"], mask, reference))
    if not found:
        raise DataError(f"nothing to draw: {masks_dir} holds no <id>_mask.nii.gz for any of the "
                        f"{len(patients)} patients of {manifest}; restore the masks first")
    return found


def _spread(ranked, count):
    """``count`` of a list at even steps, the first and the last among them."""
    if len(ranked) <= count:
        return ranked
    return [ranked[i] for i in np.linspace(0, len(ranked) - 1, count).round().astype(int)]


def draw_cohort(data_dir, masks_dir, png_path):
    """Draw restored masks over the CT, with the reference where there is one.

    Of more than ``MAX_PATIENTS``, those at even ranks of Dice3D from the worst to the best are
    drawn, so the picture flatters nobody. Patients without a Dice follow if places are left.

    :param data_dir: what preprocessing wrote: ``manifest.json`` and the files it names
    :param masks_dir: ``<id>_mask.nii.gz``, on the native grid
    :param png_path: file to write
    :return: ``png_path`` as a ``Path``
    :raises DataError: if there is nothing to draw; a single patient's fault is noted in the picture
    """
    scored, unscored, faults = [], [], []
    for row in _find(data_dir, masks_dir):
        try:
            dice = _load_case(*row).dice
            unscored.append(row) if dice is None else scored.append((dice, row))
        except (OSError, ValueError, DataError, ImageFileError) as error:
            faults.append(f"{row[0]}: {error}")
    ranked = [row for _, row in sorted(scored, key=lambda item: item[0])]
    rows = (_spread(ranked, MAX_PATIENTS) + unscored)[:MAX_PATIENTS]
    if not rows:
        raise DataError("nothing to draw: " + "; ".join(faults))
    cases = [_load_case(*row) for row in rows]
    total = len(ranked) + len(unscored)
    notes = [f"{len(cases)} of {total} patients, from the worst Dice3D to the best"]
    notes += [f"not drawn: {len(faults)}: " + "; ".join(faults)[:120]] if faults else []
    return draw_panels(cases, png_path, "   ·   ".join(notes))
