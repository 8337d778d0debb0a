"""Fixtures shared by all tests."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.fork_server import ForkServer

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    # one core for each worker and what it starts. Not TF_NUM_INTEROP_THREADS: with a single thread
    # an operation that sleeps would hold up those that do not depend on it
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# a shell that runs this in the background ignores Ctrl-C, and so would every process started here
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run what rarely breaks")
    parser.addoption("--long", action="store_true", help="also run what takes many minutes each")


# The modules that take longest begin first: with `--dist loadscope --no-loadscope-reorder` a worker
# gets one module after the other in this order, and none is left with a long one at the end
LONGEST = [
    "study/test_reproduce.py",  # all of the study, with --slow
    "training/test_survival.py",
    "compat/test_against_tensorflow_1.py",
    "test_main_job.py",
    "compat/test_applications.py",
]


def pytest_collection_modifyitems(config, items):
    def rank(item):
        name = item.path.as_posix()
        places = [k for k, module in enumerate(LONGEST) if name.endswith(module)]
        return places[0] if places else len(LONGEST)

    items.sort(key=rank)
    for name in ("slow", "long"):
        if not config.getoption(f"--{name}"):
            for item in items:
                if item.get_closest_marker(name):
                    item.add_marker(pytest.mark.skip(reason=f"{name}: give --{name}"))


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
