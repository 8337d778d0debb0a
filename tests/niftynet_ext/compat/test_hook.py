"""The start-up hook: present after each kind of install, silent until NiftyNet is imported."""

import os
import subprocess
import sys
import zipfile

import pytest

ENV = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


def run(code, python=sys.executable, **env):
    return subprocess.run(
        [str(python), "-c", code], env={**ENV, **env}, text=True, capture_output=True, timeout=300
    )


def test_a_process_without_niftynet_is_left_alone():
    out = run(
        "import sys, numpy, tensorflow as tf; print(type(tf).__name__, "
        "hasattr(tf, 'Session'), hasattr(tf, 'contrib'), 'int' in numpy.__dict__, "
        "[m for m in sys.modules if m.startswith('niftynet_ext.')])"
    )
    assert out.stdout.split(maxsplit=4) == ["module", "False", "False", "False", "[]\n"], out.stderr


def test_start_up_imports_neither_numpy_nor_tensorflow():
    out = run(
        "import sys; print(sum('NiftyNetFinder' in str(f) for f in sys.meta_path), "
        "{'niftynet_ext', 'numpy', 'tensorflow', 'pandas'} & set(sys.modules))"
    )
    assert out.stdout == "1 set()\n"


@pytest.mark.slow  # starts TensorFlow twice; the other order of imports stays
def test_tensorflow_imported_by_another_file_keeps_its_module():
    out = run(
        "exec('import tensorflow as before')\nimport niftynet\nimport tensorflow as after\n"
        "print(hasattr(before, 'Session'), hasattr(after, 'Session'))"
    )
    assert out.stdout.splitlines()[-1] == "False True", out.stderr


@pytest.mark.slow  # starts TensorFlow three times
def test_a_file_that_imports_tensorflow_before_niftynet(tmp_path):
    """As the scripts and tests of NiftyNet's time do, tf.contrib included."""
    (tmp_path / "script.py").write_text(
        "import tensorflow as tf\n"
        "from tensorflow.contrib.layers.python.layers import regularizers\n"
        "from niftynet.layer.activation import ActiLayer\n"
    )
    out = run(
        "import script, tensorflow as tf\n"
        "print(script.tf.Session.__name__, script.tf is tf,\n"
        "      tf.__spec__.origin == tf.__file__)",
        PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    )
    assert out.stdout.splitlines()[-1:] == ["Session True True"], out.stderr


def test_the_hook_can_be_switched_off():
    out = run(
        "import sys; print([f.__name__ for f in sys.meta_path if isinstance(f, type)])",
        NIFTYNET_EXT_HOOK="0",
    )
    assert "NiftyNetFinder" not in out.stdout and "PathFinder" in out.stdout


def test_missing_tensorflow_says_what_to_install():
    out = run(
        "import sys\nsys.modules['tensorflow'] = None\nfor _ in range(2):\n"
        "  try: import niftynet\n  except ImportError as error: print(error)"
    )
    assert out.stdout.count("pip install 'tensorflow-cpu") == 2, out.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory, root):
    """A copy of what the build reads: building inside the project would leave files there."""
    copy = tmp_path_factory.mktemp("source")
    for name in (
        "setup.py",
        "setup.cfg",
        "pyproject.toml",
        "README.rst",
        "LICENSE",
        "niftynet_ext",
        "data_prep",
    ):
        os.symlink(root / name, copy / name)
    return copy


@pytest.mark.slow  # builds and installs twice; every other test runs under an installed hook
@pytest.mark.parametrize("editable", [False, True], ids=["wheel", "editable"])
def test_install_and_uninstall(source, tmp_path, editable):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q"]
    if editable:
        subprocess.run([*pip, "install", "--no-deps", "-e", source], check=True)
    else:
        subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, source], check=True)
        (wheel,) = tmp_path.glob("*.whl")
        assert "niftynet_ext.pth" in zipfile.ZipFile(wheel).namelist()
        subprocess.run([*pip, "install", "--no-deps", wheel], check=True)
    probe = "import sys; print(any('NiftyNetFinder' in str(f) for f in sys.meta_path))"
    assert run(probe, python).stdout == "True\n"
    subprocess.run([*pip, "uninstall", "-y", "niftynet-ext"], check=True)
    left = run(probe, python)
    assert left.stdout == "False\n" and left.stderr == ""
    assert not list(venv.rglob("niftynet_ext*"))
