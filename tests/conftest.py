"""Fixtures shared by all tests."""

import os
import signal
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# a shell that runs this in the background ignores Ctrl-C, and so would every process started here
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run what takes minutes")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: give --slow"))


@pytest.fixture(scope="session")
def root():
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared():
    """Folder of golden numbers and real patients, outside the project; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no shared data on this machine")
    return SHARED


@pytest.fixture
def patient(tmp_path):
    """Return a maker of one patient's DICOM files, each patient in its own folder."""
    from tests.support.dicom_patients import Patient

    return lambda name="P1", **changes: Patient(tmp_path / "dicom" / name, name, **changes)
