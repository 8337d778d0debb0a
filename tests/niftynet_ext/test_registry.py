"""Short names in NiftyNet's own factories."""

import pytest

from niftynet_ext import registry


@pytest.mark.parametrize(
    "factory, names",
    [
        ("ApplicationNetFactory", registry.NETWORKS),
        ("LossSegmentationFactory", registry.SEGMENTATION_LOSSES),
        ("EventHandlerFactory", registry.EVENT_HANDLERS),
        ("EvaluationFactory", registry.EVALUATIONS),
    ],
)
def test_short_and_dotted_names_are_one(tf, factory, names):
    from niftynet.engine import application_factory

    create = getattr(application_factory, factory).create
    for short, dotted in names.items():
        assert create(short) is create(dotted)


def test_niftynets_own_names_stay(tf):
    from niftynet.engine.application_factory import ApplicationNetFactory

    net = ApplicationNetFactory.create("highres3dnet")
    assert net.__module__ == "niftynet.network.highres3dnet"


def test_a_near_miss_is_answered_with_the_name(tf):
    from niftynet.engine.application_factory import ApplicationNetFactory

    with pytest.raises(ValueError, match='did you mean "densehighres3dnet_v1"'):
        ApplicationNetFactory.create("densehighres3dnet_v")


def test_lists_of_evaluations_may_have_spaces(tf):
    from niftynet.engine.application_factory import EvaluationFactory

    for name in "dice, msd_mm,hd95_mm ,dice2d".split(","):
        assert EvaluationFactory.create(name).__name__ == name.strip()
