"""Contours lie at their world position, whatever the grids, and no picture is empty."""

import io
import itertools

import numpy as np
import pytest
from matplotlib.image import imread

from data_prep.core.errors import DataError
from data_prep.pictures import panels
from data_prep.pictures.panels import PanelRow, draw_panels
from data_prep.pictures.planes import ShownVolume, view
from tests.support.pictures import ORIGIN_MM, SHAPE, SPACING_MM, body, box_mask, grid, near

FLIPS = list(itertools.product((1, -1), repeat=3))


def axial_panel(png, row=0):
    """The pixels of a row's axial panel, of a PNG's bytes."""
    width, height = panels._CELL_IN
    top = panels._HEAD_IN + row * (panels._TITLE_IN + height) + panels._TITLE_IN
    edges = np.array([top, top + height, panels._GAP_IN, panels._GAP_IN + width]) * panels._DPI
    first_row, last_row, first_column, last_column = edges.astype(int)
    return imread(io.BytesIO(png))[first_row + 1 : last_row, first_column + 1 : last_column]


def pixel_of(panel, left_mm, anterior_mm):
    """Where the axial panel of :func:`body` shows a point, (row, column)."""
    low = ORIGIN_MM + 3.5 * SPACING_MM - 8
    high = ORIGIN_MM + (np.array(SHAPE) - 4.5) * SPACING_MM + 8
    box = np.array([-high[0], low[1]]), np.array([-low[0], high[1]])
    left, right, bottom, top = view(*box, panels._CELL_IN[0] / panels._CELL_IN[1])
    rows, columns = panel.shape[:2]
    return rows * (top - anterior_mm) / (top - bottom), columns * (left_mm - left) / (right - left)


def check_contour(panel, colour, low_mm, high_mm):
    """The colour's bounding box is that of the box's voxels, to half a voxel's bevel and line."""
    rows, columns = np.nonzero(near(panel, colour))
    top, left = pixel_of(panel, -high_mm[0], high_mm[1])
    bottom, right = pixel_of(panel, -low_mm[0], low_mm[1])
    found = rows.min(), rows.max(), columns.min(), columns.max()
    np.testing.assert_allclose(found, (top, bottom, left, right), atol=5)


@pytest.mark.parametrize("flips", FLIPS)
def test_contours_lie_at_their_world_position_on_flipped_grids(flips):
    low, high = (20, 12, 142), (68, 40, 172)  # to the right and in front: upper left of the image
    other_low, other_high = (-60, -48, 142), (-20, -8, 172)
    row = PanelRow(
        "A",
        grid(body()),
        prediction=grid(box_mask(other_low, other_high), flips),
        reference=grid(box_mask(low, high), tuple(-f for f in flips)),
    )
    panel = axial_panel(draw_panels([row]))
    check_contour(panel, panels.REFERENCE_COLOUR, low, high)
    check_contour(panel, panels.PREDICTION_COLOUR, other_low, other_high)
    rows, columns = np.nonzero(near(panel, panels.REFERENCE_COLOUR))
    assert rows.mean() < panel.shape[0] / 2 and columns.mean() < panel.shape[1] / 2


def test_image_at_half_resolution_and_permuted_axes_overlay():
    low, high = (20, 12, 142), (68, 40, 172)
    hu = np.where(box_mask(low, high), -400, body())  # the tumour is seen in the CT itself
    fine = grid(hu)
    half = fine.affine_ras.copy()
    half[:, :2] *= 2
    half[:3, 3] += SPACING_MM * (0.5, 0.5, 0)
    coarse = ShownVolume(hu.reshape(24, 2, 20, 2, 20).mean(axis=(1, 3)).astype(np.int16), half)
    prediction = grid(box_mask(low, high), (1, -1, -1), order=(2, 0, 1))
    panel = axial_panel(draw_panels([PanelRow("A", coarse, prediction)]))
    check_contour(panel, panels.PREDICTION_COLOUR, low, high)
    row, column = (int(v) for v in pixel_of(panel, -44, 26))
    assert 0.4 < panel[row, column, 0] < 0.6  # -400 HU is the window's level


def test_missing_reference_and_empty_masks_still_draw():
    mask, empty = box_mask((20, 12, 142), (68, 40, 172)), np.zeros(SHAPE)
    patients = [
        PanelRow("no reference", grid(body()), grid(mask)),
        PanelRow("both empty", grid(body()), grid(empty), grid(empty)),
        PanelRow("missed", grid(body()), grid(empty), grid(mask), dice=0.0),
    ]
    png = draw_panels(patients)
    seen = [
        [near(axial_panel(png, row), colour).any() for row in range(3)]
        for colour in (panels.REFERENCE_COLOUR, panels.PREDICTION_COLOUR)
    ]
    assert seen == [[False, False, True], [True, False, False]]


def test_nothing_to_draw():
    with pytest.raises(DataError, match="nothing to draw"):
        draw_panels([])


def test_same_input_same_bytes():
    row = PanelRow("A", grid(body()), grid(box_mask((20, 12, 142), (68, 40, 172))))
    assert draw_panels([row]) == draw_panels([row])
