"""Contours lie where the world says, whatever the grids, and no picture is empty."""

import itertools
import json

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread

from data_prep import DataError, picture
from data_prep.picture import Case, draw_cohort, draw_panels
from data_prep.planes import Grid, view

SPACING_MM = np.array([4.0, 4.0, 6.0])
SHAPE = (48, 40, 20)
ORIGIN_MM = np.array([-94.0, -78.0, 100.0])
FLIPS = list(itertools.product((1, -1), repeat=3))


def box_mask(low_mm, high_mm):
    """A mask of the voxels whose centres lie in a box of RAS mm."""
    centres = np.moveaxis(np.indices(SHAPE), 0, -1) * SPACING_MM + ORIGIN_MM
    return ((centres > low_mm) & (centres < high_mm)).all(axis=-1)


def grid(array, flips=(1, 1, 1), order=(0, 1, 2)):
    """The array on its grid, stored with flipped and permuted axes."""
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = ORIGIN_MM
    ornt = np.column_stack([order, flips])
    image = nib.Nifti1Image(array.astype(np.int16), affine).as_reoriented(ornt)
    return Grid(np.asarray(image.dataobj), image.affine)


def body():
    """Soft tissue in air, so that all but the edge of the grid is body."""
    hu = np.full(SHAPE, -1000)
    hu[4:-4, 4:-4] = 0
    return hu


def near(pixels, colour):
    """Where a picture has a colour (antialiasing aside), ``(rows, columns)`` bool."""
    rgb = np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.abs(pixels[..., :3] - rgb).max(axis=-1) < 0.15


def axial_panel(png, row=0):
    """The pixels of a row's axial panel."""
    width, height = picture._CELL_IN
    top = picture._HEAD_IN + row * (picture._TITLE_IN + height) + picture._TITLE_IN
    edges = np.array([top, top + height, picture._GAP_IN, picture._GAP_IN + width]) * picture._DPI
    first_row, last_row, first_column, last_column = edges.astype(int)
    return imread(png)[first_row + 1:last_row, first_column + 1:last_column]


def pixel_of(panel, left_mm, anterior_mm):
    """Where the axial panel of :func:`body` shows a point, (row, column)."""
    low = ORIGIN_MM + 3.5 * SPACING_MM - 8
    high = ORIGIN_MM + (np.array(SHAPE) - 4.5) * SPACING_MM + 8
    box = np.array([-high[0], low[1]]), np.array([-low[0], high[1]])
    left, right, bottom, top = view(*box, picture._CELL_IN[0] / picture._CELL_IN[1])
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
def test_contours_lie_where_the_world_says_on_flipped_grids(tmp_path, flips):
    low, high = (20, 12, 142), (68, 40, 172)  # to the right and in front: upper left of the image
    other_low, other_high = (-60, -48, 142), (-20, -8, 172)
    case = Case("A", grid(body()), prediction=grid(box_mask(other_low, other_high), flips),
                reference=grid(box_mask(low, high), tuple(-f for f in flips)))
    panel = axial_panel(draw_panels([case], tmp_path / "a.png"))
    check_contour(panel, picture.REFERENCE_COLOUR, low, high)
    check_contour(panel, picture.PREDICTION_COLOUR, other_low, other_high)
    rows, columns = np.nonzero(near(panel, picture.REFERENCE_COLOUR))
    assert rows.mean() < panel.shape[0] / 2 and columns.mean() < panel.shape[1] / 2


def test_image_at_half_resolution_and_permuted_axes_overlay(tmp_path):
    low, high = (20, 12, 142), (68, 40, 172)
    hu = np.where(box_mask(low, high), -400, body())  # the tumour is seen in the CT itself
    fine = grid(hu)
    half = fine.affine_ras.copy()
    half[:, :2] *= 2
    half[:3, 3] += SPACING_MM * (0.5, 0.5, 0)
    coarse = Grid(hu.reshape(24, 2, 20, 2, 20).mean(axis=(1, 3)).astype(np.int16), half)
    prediction = grid(box_mask(low, high), (1, -1, -1), order=(2, 0, 1))
    panel = axial_panel(draw_panels([Case("A", coarse, prediction)], tmp_path / "a.png"))
    check_contour(panel, picture.PREDICTION_COLOUR, low, high)
    row, column = (int(v) for v in pixel_of(panel, -44, 26))
    assert 0.4 < panel[row, column, 0] < 0.6  # -400 HU is the window's level


def test_missing_reference_and_empty_masks_still_draw(tmp_path):
    mask, empty = box_mask((20, 12, 142), (68, 40, 172)), np.zeros(SHAPE)
    cases = [Case("no reference", grid(body()), grid(mask)),
             Case("both empty", grid(body()), grid(empty), grid(empty)),
             Case("missed", grid(body()), grid(empty), grid(mask), dice=0.0)]
    png = draw_panels(cases, tmp_path / "new" / "a.png")
    seen = [[near(axial_panel(png, row), colour).any() for row in range(3)]
            for colour in (picture.REFERENCE_COLOUR, picture.PREDICTION_COLOUR)]
    assert seen == [[False, False, True], [True, False, False]]
    assert [f.name for f in png.parent.iterdir()] == ["a.png"]  # no draft left


def test_nothing_to_draw(tmp_path):
    with pytest.raises(DataError, match="nothing to draw"):
        draw_panels([], tmp_path / "a.png")
    with pytest.raises(DataError, match="Give --data"):
        draw_cohort(tmp_path, tmp_path, tmp_path / "a.png")
    write_manifest(tmp_path, [{"id": "A", "status": "failed"}])
    with pytest.raises(DataError, match=r"no <id>_mask\.nii\.gz .* any of the 1 patients"):
        draw_cohort(tmp_path, tmp_path, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def write_manifest(folder, patients):
    (folder / "manifest.json").write_text(json.dumps({"patients": patients}))


def save(drawn, path):
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(drawn.array.astype(np.int16), drawn.affine_ras), path)


def write_patient(folder, name, reference, prediction):
    """A patient's files as preprocessing and restoring leave them; the manifest's entry."""
    files = {"image": f"images/{name}.nii.gz"}
    save(grid(body()), folder / files["image"])
    save(grid(prediction), folder / "masks" / f"{name}_mask.nii.gz")
    if reference is not None:
        files["native_label"] = f"native/{name}_label.nii.gz"
        save(grid(reference), folder / files["native_label"])
    return {"id": name, "status": "ok", "files": files}


def test_cohort_is_drawn_from_worst_to_best_and_names_what_it_cannot_draw(tmp_path, monkeypatch):
    reference = box_mask((0, 0, 120), (40, 40, 170))
    patients = [write_patient(tmp_path, f"P{shift}", reference, np.roll(reference, shift, axis=0))
                for shift in (3, 0, 6, 1, 7, 2, 5, 4)]
    patients.append(write_patient(tmp_path, "unlabelled", None, reference))
    patients.append(write_patient(tmp_path, "broken", reference, reference))
    (tmp_path / "masks" / "broken_mask.nii.gz").write_bytes(b"not a NIfTI")
    write_manifest(tmp_path, patients)
    drawn = {}

    def record(cases, png_path, note):
        drawn.update(names=[case.patient_id for case in cases], note=note)
        return draw_panels(cases, png_path, note)

    monkeypatch.setattr(picture, "draw_panels", record)
    png = draw_cohort(tmp_path, tmp_path / "masks", tmp_path / "a.png")
    assert drawn["names"] == ["P7", "P6", "P4", "P3", "P1", "P0"]
    assert "6 of 9 patients" in drawn["note"] and "broken" in drawn["note"]
    assert near(imread(png), picture.REFERENCE_COLOUR).any()
    write_manifest(tmp_path, patients[-3:])  # one with a Dice, one without, one broken
    draw_cohort(tmp_path, tmp_path / "masks", tmp_path / "a.png")
    assert drawn["names"] == ["P4", "unlabelled"]


def test_a_mask_that_the_table_of_scores_lacks_is_of_an_earlier_run(tmp_path, monkeypatch):
    mask = box_mask((0, 0, 120), (40, 40, 170))
    write_manifest(tmp_path, [write_patient(tmp_path, name, mask, mask) for name in ("old", "new")])
    drawn = []
    monkeypatch.setattr(picture, "draw_panels", lambda cases, *_: drawn.append(
        [case.patient_id for case in cases]))
    draw_cohort(tmp_path, tmp_path / "masks", tmp_path / "a.png")
    (tmp_path / "masks" / "scores.csv").write_text("id,phase\nnew,Inference\n")
    draw_cohort(tmp_path, tmp_path / "masks", tmp_path / "a.png")
    assert drawn == [["old", "new"], ["new"]]


def test_same_input_same_bytes(tmp_path):
    case = Case("A", grid(body()), grid(box_mask((20, 12, 142), (68, 40, 172))))
    first, second = (draw_panels([case], tmp_path / name) for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()
