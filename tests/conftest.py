"""Fixtures shared by all tests."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.fork_server import ForkServer

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:  # one core for each worker and what it starts
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")

# a shell that runs this in the background ignores Ctrl-C, and so would every process started here
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run what takes minutes")


# Modules that take longest, which begin first, so that with --dist loadscope no worker is left with
# one of them at the end. Seconds on a quiet machine, quick tests and all tests
LONGEST = [
    "compat/test_against_tensorflow_1.py",
    "test_main_job.py",
    "training/test_survival.py",
]


def pytest_collection_modifyitems(config, items):
    def rank(item):
        name = item.path.as_posix()
        places = [k for k, module in enumerate(LONGEST) if name.endswith(module)]
        return places[0] if places else len(LONGEST)

    items.sort(key=rank)
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


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory):
    """Runs NiftyNet's commands in children of one process that has imported TensorFlow."""
    server = ForkServer(home=tmp_path_factory.mktemp("niftynet_home"))
    yield server
    server.stop()
