import tracemalloc

import numpy as np
import pytest
from skimage.draw import polygon as skimage_polygon
from skimage.measure import points_in_poly

from data_prep.core import geometry
from data_prep.core.geometry import fill_even_odd


def box(x0, y0, x1, y1):
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)


def test_square_between_centres_has_its_area():
    mask = fill_even_odd([box(1.5, 2.5, 6.5, 4.5)], (10, 8))
    assert mask.sum() == 10
    assert mask[2:7, 3:5].all()


def test_ties_belong_to_the_edge_of_smaller_index():
    mask = fill_even_odd([box(2, 3, 5, 6)], (10, 10))
    assert mask.sum() == 9
    assert mask[2:5, 3:6].all()


def test_regions_with_a_common_edge_share_no_pixel_and_leave_none():
    rng = np.random.default_rng(0)
    whole = box(1, 1, 18, 18)
    for _ in range(50):
        a, b = rng.integers(1, 19, 2)
        left = np.array([(1, 1), (a, 1), (b, 18), (1, 18)], float)
        right = np.array([(a, 1), (18, 1), (18, 18), (b, 18)], float)
        masks = [fill_even_odd([polygon], (20, 20)).astype(int) for polygon in (left, right, whole)]
        assert (masks[0] + masks[1] == masks[2]).all()


@pytest.mark.parametrize("reverse", [False, True])
def test_contour_within_contour_is_a_hole(reverse):
    inner = box(4.5, 4.5, 7.5, 7.5)[:: -1 if reverse else 1]
    mask = fill_even_odd([box(1.5, 1.5, 10.5, 10.5), inner], (14, 14))
    assert mask.sum() == 81 - 9
    assert not mask[5:8, 5:8].any()


def test_keyhole_equals_hole():
    outer, inner = box(1.5, 1.5, 10.5, 10.5), box(4.5, 4.5, 7.5, 7.5)[::-1]
    keyhole = np.concatenate([outer, outer[:1], inner, inner[:1]])
    assert (fill_even_odd([keyhole], (14, 14)) == fill_even_odd([outer, inner], (14, 14))).all()


@pytest.mark.parametrize(
    "points", [[(3, 3)], [(3, 3), (8, 5)], [(3.1, 3.1), (3.2, 3.1), (3.2, 3.2), (3.1, 3.2)]]
)
def test_degenerate_contours_are_harmless(points):
    solid = box(1.5, 1.5, 10.5, 10.5)
    assert not fill_even_odd([np.array(points, float)], (12, 12)).any()
    with_it = fill_even_odd([solid, np.array(points, float)], (12, 12))
    assert (with_it == fill_even_odd([solid], (12, 12))).all()


def test_a_repeated_last_point_changes_nothing():
    open_ring = box(1.5, 1.5, 6.2, 5.1)
    closed = np.concatenate([open_ring, open_ring[:1]])
    assert (fill_even_odd([open_ring], (9, 9)) == fill_even_odd([closed], (9, 9))).all()


def test_polygon_beyond_the_image_is_cut_at_its_edge():
    assert fill_even_odd([box(-5, -5, 30, 3.5)], (12, 10)).sum() == 12 * 4
    assert not fill_even_odd([box(20, 20, 30, 30)], (12, 10)).any()
    assert fill_even_odd([box(-9, -9, 99, 99)], (12, 10)).all()


def test_a_contour_that_crosses_every_row_with_every_edge_keeps_its_memory_bounded():
    rng = np.random.default_rng(0)
    zigzag = np.column_stack([rng.uniform(0, 40, 5000), np.tile([-5.0, 2100.0], 2500)])
    tracemalloc.start()
    mask = fill_even_odd([zigzag], (40, 2048))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20  # ten million crossings at once would take a gigabyte
    row = 777.0
    share = (row + 5) / 2105
    left, right = zigzag[:, 0], np.roll(zigzag[:, 0], -1)
    rising = np.where(np.arange(5000) % 2 == 0, share, 1 - share)
    crossings = left + (right - left) * rising
    truth = [np.count_nonzero(crossings <= x) % 2 == 1 for x in range(40)]
    assert mask[:, int(row)].tolist() == truth


def test_disk_area_in_closed_form():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    radius = 80.3
    disk = np.column_stack([100.2 + radius * np.cos(angle), 99.7 + radius * np.sin(angle)])
    area = 0.5 * len(angle) * radius**2 * np.sin(2 * np.pi / len(angle))
    assert fill_even_odd([disk], (200, 200)).sum() == pytest.approx(area, rel=2e-3)


def test_random_self_crossing_polygons_against_skimage():
    rng = np.random.default_rng(3)
    centres = np.stack(np.meshgrid(np.arange(40), np.arange(30), indexing="ij"), -1)
    for _ in range(60):
        points = rng.uniform(-5, 42, (rng.integers(3, 25), 2))
        truth = points_in_poly(centres.reshape(-1, 2).astype(float), points).reshape(40, 30)
        assert (fill_even_odd([points], (40, 30)) == truth).all()


def test_convex_polygon_against_a_second_rasteriser():
    points = np.array([(3.3, 4.1), (30.2, 7.7), (25.9, 27.3), (6.1, 20.4)])
    truth = np.zeros((40, 30), bool)
    truth[skimage_polygon(points[:, 0], points[:, 1], truth.shape)] = True
    assert (fill_even_odd([points], (40, 30)) == truth).all()


@pytest.mark.parametrize(
    ("positions", "gaps"),
    [
        ([0, 3, 6, 9], []),
        ([0, 3.1, 6, 9, 12], []),
        ([0, 3, 9, 12, 15], [(3, 9)]),
        ([0, 3, 6, 12, 15, 21, 24], [(6, 12), (15, 21)]),
        ([0, 3, 6, 7, 10], [(6, 7)]),
    ],
)
def test_uneven_steps_are_named(positions, gaps):
    assert geometry.uneven_steps(np.array(positions, float)) == gaps


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        ((1, 0, 0, 0, 1, 0), True),
        ((-1, 0, 0, 0, 1, 0), True),
        ((1, 0, 0, 0, 0, -1), True),
        ((0, 1, 0, 0, 0, -1), True),
        ((1, 0, 0, 0, 0.99995, 0.01), False),
        ((0.7071, 0.7071, 0, -0.7071, 0.7071, 0), False),
    ],
)
def test_orthogonal(orientation, expected):
    assert geometry.is_orthogonal(np.array(orientation, float)) is expected


def test_same_grid_tells_half_a_voxel():
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    moved = affine.copy()
    moved[0, 3] += 1.0
    assert geometry.same_grid(affine, affine.astype(np.float32), (256, 256, 100))
    assert not geometry.same_grid(affine, moved, (256, 256, 100))
    scaled = affine @ np.diag([1.001, 1, 1, 1])
    assert not geometry.same_grid(affine, scaled, (256, 256, 100))


def test_volume_of_a_voxel():
    assert geometry.voxel_volume_ml(np.diag([-2.0, -2.0, 5.0, 1.0])) == pytest.approx(0.02)
