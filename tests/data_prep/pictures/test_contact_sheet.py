import numpy as np
import pytest
from PIL import Image

from data_prep.core.colours import PREDICTION_RGB
from data_prep.core.lungs import Lungs
from data_prep.pictures import contact_sheet
from data_prep.pictures.contact_sheet import TILE_PX, draw, make_tile, outline


def scan():
    """Return HU and label: the label's largest slice is 2; a mark at the patient's left and front.

    LPS: x rises to the left, y to the back.
    """
    hu = np.full((50, 40, 5), -1150, np.int16)
    hu[45:, :5, 2] = 350
    label = np.zeros(hu.shape, np.uint8)
    label[10:20, 20:30, 2] = 1
    label[10:12, 20:22, 3] = 1
    return hu, label, np.diag([2.0, 2.0, 3.0, 1.0])


def flipped(hu, label, affine, axis):
    """Store the same scan with one axis counted backwards."""
    turned = affine.copy()
    turned[:3, axis] *= -1
    turned[:3, 3] += affine[:3, axis] * (hu.shape[axis] - 1)
    return np.flip(hu, axis), np.flip(label, axis), turned


def test_left_is_right_and_front_is_top_however_it_is_stored():
    tile = make_tile(*scan(), None)
    quarter = TILE_PX // 10
    assert tile.grey[quarter + 5, -5] == 255  # 100 mm wide: 40 of 50 rows fill the square
    assert tile.grey[-quarter - 10, 10] == 0 and tile.grey[quarter + 5, 10] == 0
    for axis in (0, 1):
        other = make_tile(*flipped(*scan(), axis), None)
        np.testing.assert_array_equal(other.inside, tile.inside)
        np.testing.assert_array_equal(other.grey, tile.grey)


def test_the_label_has_its_share_and_its_place():
    tile = make_tile(*scan(), None)
    assert tile.inside.sum() == (TILE_PX / 50 * 10) ** 2
    rows, columns = np.nonzero(tile.inside)
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == (TILE_PX * 0.6, TILE_PX * 0.3)


def test_lungs_are_shown_closer_and_the_label_with_them():
    low, high = np.array([15.0, 15, 0]), np.array([34.0, 34, 4])
    tile = make_tile(*scan(), Lungs(low, high, 1000.0))
    whole = make_tile(*scan(), None)
    assert tile.inside.sum() > whole.inside.sum()
    assert not tile.inside[[0, -1]].any() and not tile.inside[:, [0, -1]].any()


def test_outline_lies_outside_the_mask():
    mask = np.zeros((9, 9), bool)
    mask[3:6, 3:6] = True
    ring = outline(mask)
    assert ring.sum() == 12 and not (ring & mask).any()


def test_without_a_label_the_middle_slice_is_shown():
    hu, _, affine = scan()
    tile = make_tile(hu, None, affine, None)
    assert tile.grey.max() == 255 and not tile.inside.any()


@pytest.mark.parametrize(("count", "across", "down"), [(1, 1, 1), (5, 3, 2), (12, 4, 3)])
def test_sheet_has_a_place_for_everybody(tmp_path, count, across, down):
    tile = make_tile(*scan(), None)
    rows = [(f"P{k}", "1.0 mL", "ok", tile) for k in range(count - 1)]
    draw([*rows, ("a" * 64, "", "refused", None)], tmp_path / "sheet.png")
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.size == (across * TILE_PX, down * (TILE_PX + contact_sheet.LINE_PX))
    pixels = np.asarray(sheet)
    drawn = (pixels[:TILE_PX] == PREDICTION_RGB).all(axis=2).any()
    assert drawn == (count > 1)
    colour = contact_sheet.VERDICT_COLOURS["refused"]
    assert (pixels == colour).all(axis=2).any()
