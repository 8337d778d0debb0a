import numpy as np
import pytest

from data_prep.dicom_in.slice_layout import (
    between,
    drawing_planes,
    neighbours,
    slice_layout,
    spread_image,
    spread_masks,
)

LUNG1_014 = np.delete(np.arange(103), [3, 4, 9, 15, 22, 23, 24, 40, 41, 55, 60, 61, 62, 80, 90, 99])
"""87 slices at 3 mm with 16 missing, as the patient of that name has."""


def test_even_slices_are_their_own_grid():
    layout = slice_layout(np.arange(50) * 2.5 - 700)
    assert (layout.step_mm, layout.size, layout.mixed) == (2.5, 50, False)
    assert layout.real.all()


def test_missing_slices_leave_the_step_alone():
    layout = slice_layout(3.0 * LUNG1_014 - 511.2)
    assert layout.step_mm == pytest.approx(3.0)
    assert layout.size == 103
    assert np.flatnonzero(layout.real).tolist() == LUNG1_014.tolist()


def test_positions_rounded_in_the_header_are_even():
    layout = slice_layout(np.round(np.arange(40) * 1.25, 2) + 0.01)
    assert layout.real.all()
    assert not layout.mixed


def test_missing_every_second_in_most_places():
    layout = slice_layout(np.array([0, 2, 4, 6, 7, 9, 11, 12.0]))
    assert (layout.step_mm, layout.size, layout.mixed) == (1.0, 13, False)


@pytest.mark.parametrize(
    "positions_mm",
    [[0, 2, 4, 6, 8, 11, 14, 17], np.r_[np.arange(21) * 2.9, 58 + np.arange(1, 9) * 4]],
)
def test_mixed_steps(positions_mm):
    layout = slice_layout(np.array(positions_mm, float))
    assert layout.mixed
    assert layout.step_mm * (layout.size - 1) == pytest.approx(positions_mm[-1], abs=2)


@pytest.mark.parametrize("positions_mm", [[0, 1, 2, 50], [0, 1, 2, 3, 1e6]])
def test_what_would_be_invented_for_the_most_part(positions_mm):
    assert slice_layout(np.array(positions_mm, float)) is None


def test_neighbours_are_exact_on_slices_and_beyond_the_ends():
    below, share = neighbours(np.array([0, 1, 4, 5.5]), 7)
    assert (below + share).tolist() == pytest.approx([0, 1, 1 + 1 / 3, 1 + 2 / 3, 2, 2 + 2 / 3, 3])
    assert share[[0, 1, 4, 6]].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("positions_mm", [3.0 * LUNG1_014, np.array([0, 2, 4, 6, 8, 11, 14, 17.0])])
def test_a_linear_image_is_reproduced_exactly(positions_mm):
    layout = slice_layout(positions_mm)
    stack = np.rint(40 * positions_mm).astype(np.int16)[:, np.newaxis, np.newaxis]
    grid = np.minimum(layout.step_mm * np.arange(layout.size), positions_mm[-1])
    assert np.abs(spread_image(stack, layout).ravel() - 40 * grid).max() <= 0.5


def disk(centre, radius, size=60):
    i, j = np.indices((size, size))
    return (i - centre[0]) ** 2 + (j - centre[1]) ** 2 < radius**2


def test_between_two_disks_lies_the_mean_disk():
    found = between(disk((30, 30), 10), disk((30, 30), 20), 0.3, (1.0, 1.0))
    assert found.sum() == pytest.approx(np.pi * 13**2, rel=0.03)
    assert (found & ~disk((30, 30), 14)).sum() == 0


def test_between_honours_the_pixel_spacing():
    low, high = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    low[10:20, 10:30], high[10:30, 10:20] = True, True
    square, flat = (between(low, high, 0.5, mm) for mm in ((1.0, 1.0), (1.0, 9.0)))
    assert (square == square.T).all()
    assert not (flat == flat.T).all()


@pytest.mark.parametrize(("share", "kept"), [(0.2, True), (0.49, True), (0.5, False), (0.9, False)])
def test_a_region_on_one_side_only_reaches_halfway(share, kept):
    region, empty = disk((30, 30), 9), np.zeros((60, 60), bool)
    assert between(region, empty, share, (1, 1)).any() == kept
    assert between(empty, region, 1 - share, (1, 1)).any() == (1 - share >= 0.5)


def ball_masks(places, radius=21.0, centre=(30, 30, 51)):
    """Return the ball's disks at the places that it reaches; a step is 1 mm."""
    heights = {k: radius**2 - (z - centre[2]) ** 2 for k, z in enumerate(places)}
    return {k: disk(centre[:2], np.sqrt(h)) for k, h in heights.items() if h > 0}


def test_a_ball_on_slices_of_which_some_are_missing_keeps_volume_and_centre():
    positions_mm = LUNG1_014.astype(float)
    planes = drawing_planes(positions_mm, ("u",) * 87, slice_layout(positions_mm))
    masks = {k: m for k, m in ball_masks(planes.places).items() if planes.real[k]}
    found = spread_masks(masks, planes, (60, 60), (1.0, 1.0))
    assert found.sum() == pytest.approx(4 / 3 * np.pi * 21**3, rel=0.01)
    assert np.abs(np.argwhere(found).mean(0) - (30, 30, 51)).max() < 0.1


def test_what_is_drawn_where_a_slice_is_missing_is_used():
    positions_mm = np.array([0, 1, 2, 4, 5.0])
    planes = drawing_planes(positions_mm, tuple("abcde"), slice_layout(positions_mm))
    assert planes.real.tolist() == [True, True, True, False, True, True]
    assert planes.uids == ("a", "b", "c", "", "d", "e")
    own = disk((20, 20), 5)
    masks = {2: disk((30, 30), 9), 3: own, 4: disk((30, 30), 9)}
    assert (spread_masks(masks, planes, (60, 60), (1.0, 1.0))[:, :, 3] == own).all()
    del masks[3]
    mean = spread_masks(masks, planes, (60, 60), (1.0, 1.0))[:, :, 3]
    assert (mean == disk((30, 30), 9)).all()


def test_regions_on_slices_of_mixed_steps():
    places = np.r_[np.arange(0, 40, 2), np.arange(40, 105, 3.5)]
    planes = drawing_planes(places, ("",) * len(places), slice_layout(places))
    assert planes.layout.mixed
    found = spread_masks(ball_masks(places), planes, (60, 60), (1.0, 1.0))
    volume = found.sum() * planes.layout.step_mm
    assert volume == pytest.approx(4 / 3 * np.pi * 21**3, rel=0.02)  # a chord is within its arc
