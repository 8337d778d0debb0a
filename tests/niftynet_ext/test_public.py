"""The names that ``import niftynet_ext`` offers, and what it does not import."""

import subprocess
import sys

import pytest

import niftynet_ext

NETWORKS = {"DenseHighRes3DNet", "DenseHighRes3DNetV2", "HighRes3DNetMatched"}


@pytest.mark.parametrize("name", sorted(set(niftynet_ext.__all__) - NETWORKS))
def test_names_resolve(name):
    assert getattr(niftynet_ext, name) is not None
    assert name in dir(niftynet_ext)


def test_all_is_what_can_be_imported():
    assert {*niftynet_ext._MODULES, "__version__"} == set(niftynet_ext.__all__)


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="'niftynet_ext' has no attribute 'train'"):
        niftynet_ext.train  # noqa: B018


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_the_import_is_light():
    done = run_python(
        "import sys, niftynet_ext; niftynet_ext.NetLungError;"
        "print({'numpy', 'pandas', 'tensorflow', 'niftynet'} & set(sys.modules))"
    )
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.slow  # starts TensorFlow in a process of its own
def test_networks_bring_tensorflow():
    done = run_python(
        "import sys, niftynet_ext\n"
        "from niftynet_ext import DenseHighRes3DNet, DenseHighRes3DNetV2, HighRes3DNetMatched\n"
        "assert DenseHighRes3DNet is niftynet_ext.DenseHighRes3DNet is not DenseHighRes3DNetV2\n"
        "assert HighRes3DNetMatched and 'tensorflow' in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr
