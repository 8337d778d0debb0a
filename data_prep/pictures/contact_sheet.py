"""Draw one picture of a whole cohort: a tile for each patient, with the outline of its label."""

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.core import files
from data_prep.core.colours import PREDICTION_RGB
from data_prep.core.lungs import Lungs
from data_prep.pictures.planes import WINDOW_HU

TILE_PX = 200
"""Width and height of a tile."""

LINE_PX = 22
"""Height of the line of text below a tile."""

TILE_MARGIN_MM = 15.0
"""Margin around lungs and label, if a tile shows these instead of the whole slice."""

VERDICT_COLOURS = {"ok": (90, 200, 120), "warn": (255, 205, 60), "refused": (255, 95, 85)}
_PAPER = (16, 18, 22)


@dataclass(frozen=True)
class Tile:
    """A square slice, ready to show.

    :param grey: uint8 (rows, columns).
    :param inside: bool (rows, columns), where the label is.
    """

    grey: np.ndarray
    inside: np.ndarray


def make_tile(
    array: np.ndarray, label: np.ndarray | None, affine_lps: np.ndarray, found: Lungs | None
) -> Tile:
    """Cut the slice with the most label (the middle slice without a label), around the lungs.

    Axial slices are shown in radiological convention: the patient's left on the right, front on
    top.

    :param array: HU (x, y, z).
    :param label: (x, y, z), 0 outside; or None.
    :param affine_lps: (4, 4), voxel indices to LPS mm.
    :param found: the box to show; None for the whole slice.
    """
    spacing_mm = np.linalg.norm(affine_lps[:3, :2], axis=0)
    inside = np.zeros(array.shape[:2], bool)
    k = array.shape[2] // 2
    if label is not None:
        k = int(np.count_nonzero(label, axis=(0, 1)).argmax())
        inside = label[:, :, k] > 0
    low, high = np.full(2, -0.5), np.array(inside.shape) - 0.5
    if found:
        low, high = found.low[:2], found.high[:2]
        points = np.argwhere(inside)
        if len(points):
            margin = TILE_MARGIN_MM / spacing_mm
            low = np.minimum(low, points.min(axis=0) - margin)
            high = np.maximum(high, points.max(axis=0) + margin)
    side_mm = ((high - low) * spacing_mm).max()
    offsets_mm = (np.arange(TILE_PX) + 0.5) / TILE_PX * side_mm - side_mm / 2
    indices = []
    for axis in (0, 1):
        towards = np.sign(affine_lps[axis, axis]) or 1.0  # to the left, to the back
        centre = (low[axis] + high[axis]) / 2
        indices.append(np.rint(centre + towards * offsets_mm / spacing_mm[axis]).astype(int))
    level, width = WINDOW_HU
    hu = _sample(array[:, :, k], indices, level - width)
    grey = np.clip((hu - (level - width / 2)) / width, 0, 1) * 255
    return Tile(grey.astype(np.uint8).T, _sample(inside, indices, False).T)


def _sample(plane: np.ndarray, indices: list[np.ndarray], outside: float | bool) -> np.ndarray:
    """Return the pixels at these indices (i, j), and ``outside`` beyond the plane."""
    within = [(index >= 0) & (index < n) for index, n in zip(indices, plane.shape, strict=True)]
    clipped = [np.clip(index, 0, n - 1) for index, n in zip(indices, plane.shape, strict=True)]
    return np.where(within[0][:, np.newaxis] & within[1], plane[np.ix_(*clipped)], outside)


def outline(inside: np.ndarray) -> np.ndarray:
    """Return the pixels just outside a mask, so that they cover none of it.

    :param inside: bool (rows, columns).
    :return: bool (rows, columns).
    """
    padded = np.pad(inside, 1)
    around = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return around & ~inside


def draw(rows: list[tuple[str, str, str, Tile | None]], png_path: Path) -> None:
    """Write the sheet; a patient without a tile gets a dark square with the verdict.

    :param rows: (title, subtitle, verdict, tile) of each patient; at least one.
    :param png_path: the file to write.
    """
    from PIL import Image, ImageDraw, ImageFont

    across = max(1, math.ceil(math.sqrt(len(rows))))
    down = math.ceil(len(rows) / across)
    height = TILE_PX + LINE_PX
    sheet = Image.new("RGB", (across * TILE_PX, down * height), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for number, (title, subtitle, verdict, tile) in enumerate(rows):
        x, y = number % across * TILE_PX, number // across * height
        colour = VERDICT_COLOURS[verdict]
        if tile is not None:
            pixels = np.repeat(tile.grey[:, :, np.newaxis], 3, axis=2)
            pixels[outline(tile.inside)] = PREDICTION_RGB
            sheet.paste(Image.fromarray(pixels), (x, y))
        pen.rectangle((x, y, x + TILE_PX - 1, y + height - 1), outline=colour)
        text = title if len(title) <= 18 else f"{title[:17]}…"
        pen.text((x + 5, y + TILE_PX + 3), text, fill=colour, font=font)
        right = subtitle or verdict
        pen.text((x + TILE_PX - 5, y + TILE_PX + 3), right, fill=colour, font=font, anchor="ra")
    png = io.BytesIO()
    sheet.save(png, "PNG")
    files.write_bytes(png_path, png.getvalue())
