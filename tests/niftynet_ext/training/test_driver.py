"""What is wrapped around a run of NiftyNet's driver."""

import gc
import types

import pytest

from niftynet_ext.training import driver


def wrapped(run):
    """NiftyNet's module in little, its driver's ``run`` wrapped."""
    kind = type("ApplicationDriver", (), {"initialise_application": None, "run": run})
    kind.initialise_application = lambda self: None
    module = types.SimpleNamespace(
        ApplicationDriver=kind, infer_latest_model_file=lambda folder: None
    )
    driver.wrap_driver(module)
    return module.ApplicationDriver()


def test_garbage_of_a_run_is_searched_for_and_what_was_there_before_is_not(tf):
    seen = []
    assert gc.get_freeze_count() == 0
    wrapped(lambda self, application, graph=None: seen.append(gc.get_freeze_count())).run(None)
    assert seen[0] > 10_000 and gc.get_freeze_count() == 0


def test_nothing_stays_frozen_after_a_failure(tf):
    def fail(self, application, graph=None):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        wrapped(fail).run(None)
    assert gc.get_freeze_count() == 0
