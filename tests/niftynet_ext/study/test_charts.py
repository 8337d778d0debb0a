"""Charts: what is drawn, and that the same input gives the same picture."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from niftynet_ext.core.paper import Stage
from niftynet_ext.study import charts
from niftynet_ext.study.curves import Curve, Training

SVG = "{http://www.w3.org/2000/svg}"


def count(svg, tag):
    return len(list(ElementTree.fromstring(svg).iter(SVG + tag)))


def test_limits_of_agreement():
    bias, (low, high) = charts.limits_of_agreement(np.array([-1.0, 0.0, 1.0, 4.0]))
    assert bias == 1.0  # and a sample's variance of 14 / 3
    assert (low, high) == pytest.approx((1 - 1.96 * (14 / 3) ** 0.5, 1 + 1.96 * (14 / 3) ** 0.5))
    assert charts.limits_of_agreement(np.array([2.0])) == (2.0, (2.0, 2.0))


def test_a_curve_is_not_smoothed_across_a_switch_of_the_loss():
    curve = Curve(np.arange(1, 101), np.repeat([1.0, 0.01], 50))
    smoothed = charts._smooth_stages(curve, [Stage("Dice", 50), Stage("Focal", 100)])
    np.testing.assert_allclose(smoothed, curve.losses)


def test_every_value_is_a_dot():
    values = {
        ("v1", 20): np.array([0.1, np.nan, 0.3]),
        ("v1", None): np.array([0.5]),
        ("v2", 20): np.array([]),
    }
    dots = [
        count(charts.boxes(part, "Dice"), "use")
        for part in (values, {**values, ("v1", None): np.array([0.5, 0.6])})
    ]
    assert dots[1] == dots[0] + 1


def test_thousands_of_slices_stay_a_small_picture():
    values = np.random.default_rng(1).random(8000)
    svg = charts.boxes({("v1", 20): values, ("v2", 20): values}, "Dice")
    assert count(svg, "image") >= 1 and len(svg) < 300_000


def test_the_same_input_gives_the_same_bytes():
    empty = Curve(np.array([], int), np.array([]))
    trainings = {"net": Training(Curve(np.arange(9), np.ones(9)), empty, [Stage("Dice", 9)])}
    assert charts.learning_curves(trainings) == charts.learning_curves(trainings)
    volumes = {"net": (np.array([1.0, 2.0]), np.array([2.0, 2.0]))}
    assert charts.bland_altman(volumes) == charts.bland_altman(volumes)
