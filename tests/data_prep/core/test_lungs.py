import numpy as np
import pytest

from data_prep.core.lungs import LUNG_MARGIN_MM, find_lungs

SPACING_MM = np.array([1.5, 2.0, 3.0])
AIR, TISSUE, LUNG = -1000, 40, -850


def thorax(lungs=((60, 80, 30), (130, 80, 30)), radii=(22, 30, 20)):
    """Draw an elliptic body in air with ellipsoid lungs (voxel units), a windpipe and a table."""
    x, y, z = np.ogrid[:192, :150, :60]
    hu = np.where((x - 95) ** 2 / 85**2 + (y - 75) ** 2 / 60**2 <= 1, TISSUE, AIR)
    hu = np.broadcast_to(hu, (192, 150, 60)).astype(np.int16)
    for centre in lungs:
        parts = [(a - c) ** 2 / r**2 for a, c, r in zip((x, y, z), centre, radii, strict=True)]
        hu[sum(parts) <= 1] = LUNG
    hu[93:98, 50:54, :] = AIR  # windpipe: 10 mL
    hu[:, 145:147, :] = 200
    return hu


def test_the_box_holds_both_lungs_and_their_volume_is_that_of_the_ellipsoids():
    found = find_lungs(thorax(), SPACING_MM)
    margin = LUNG_MARGIN_MM / SPACING_MM
    step = np.array([2, 2, 1])  # found on every second voxel
    assert (np.abs(found.low - ([38, 50, 10] - margin)) <= step).all()
    assert (np.abs(found.high - ([152, 110, 50] + margin)) <= step).all()
    closed_form_ml = 2 * 4 / 3 * np.pi * 22 * 30 * 20 * SPACING_MM.prod() / 1000
    assert found.volume_ml == pytest.approx(closed_form_ml, rel=0.02)
    for index in ([60, 80, 30], [95, 80, 30]):  # within a lung, and between the two
        assert found.contains(np.array(index))
    for index in ([95, 120, 30], [60, 80, 1]):
        assert not found.contains(np.array(index))


def test_a_lung_filled_by_fluid_leaves_the_other():
    found = find_lungs(thorax(lungs=[(60, 80, 30)]), SPACING_MM)
    assert not found.contains(np.array([130, 80, 30]))


@pytest.mark.parametrize("hu", [AIR, TISSUE])
def test_no_lungs_in_air_or_tissue_alone(hu):
    assert find_lungs(np.full((60, 60, 20), hu, np.int16), SPACING_MM) is None


def test_no_lungs_in_a_ct_cropped_to_one():
    assert find_lungs(thorax()[40:80, 60:100], SPACING_MM) is None
