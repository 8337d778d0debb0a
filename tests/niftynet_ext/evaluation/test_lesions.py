"""Lesions found and false findings, by hand."""

import numpy as np
import pytest

from niftynet_ext.evaluation.lesions import components, lesion_counts
from tests.support.shapes import box

SHAPE = (30, 10, 10)


def counts(prediction, reference):
    return tuple(lesion_counts(prediction, reference))  # lesions, found, false


def test_found_missed_and_false():
    first, second = box(SHAPE, (0, 5), (0, 5), (0, 5)), box(SHAPE, (10, 15), (0, 5), (0, 5))
    elsewhere = box(SHAPE, (20, 25), (0, 5), (0, 5))
    assert counts(first | elsewhere, first | second) == (2, 1, 1)
    assert counts(first | second, first | second) == (2, 2, 0)


@pytest.mark.parametrize("voxels, found", [(9, 0), (10, 1), (11, 1)])
def test_a_tenth_of_the_lesion_is_enough(voxels, found):
    lesion = box(SHAPE, (0, 10), (0, 10), (0, 1))
    touch = np.zeros(SHAPE, bool)
    touch.reshape(-1)[np.flatnonzero(lesion)[:voxels]] = True
    assert counts(touch, lesion)[:2] == (1, found)


def test_a_finding_that_is_mostly_elsewhere_is_false_even_if_it_finds():
    lesion = box(SHAPE, (0, 1), (0, 5), (0, 1))
    spill = box(SHAPE, (0, 30), (0, 10), (0, 10))
    assert counts(spill, lesion) == (1, 1, 1)


def test_one_finding_may_cover_two_lesions():
    two = box(SHAPE, (0, 4), (0, 5), (0, 5)) | box(SHAPE, (6, 10), (0, 5), (0, 5))
    assert counts(box(SHAPE, (0, 10), (0, 5), (0, 5)), two) == (2, 2, 0)


def test_corners_connect():
    corner = box((4, 4, 4), (0, 2), (0, 2), (0, 2)) | box((4, 4, 4), (2, 4), (2, 4), (2, 4))
    labels, sizes = components(corner)
    assert sizes.tolist() == [16] and labels.max() == 1


def test_empty_masks():
    cube, empty = box(SHAPE, (0, 5), (0, 5), (0, 5)), np.zeros(SHAPE, bool)
    assert counts(empty, cube) == (1, 0, 0)
    assert counts(cube, empty) == (0, 0, 1)
    assert counts(empty, empty) == (0, 0, 0)
