"""The wheel, installed into an empty environment: all that a user without a clone needs."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest


def run(*words, folder, env=None):
    """Run a command to its end; its output is shown when a test fails."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(done.stdout)
    assert done.returncode == 0, words
    return done.stdout


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run("git", "clone", "-q", root, folder / "clone", folder=folder)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q"]
    run(*pip, "--no-deps", "--no-build-isolation", "-w", folder, folder / "clone", folder=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An environment with the wheel, and the libraries of this one, but not its checkout."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    python = folder / "bin" / "python"
    site = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder
    )
    # a path in a .pth file: the .pth files in there, and so the checkout, are not read
    Path(site.strip(), "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    run(*pip, "install", "-q", "--no-deps", wheel, folder=folder)
    return folder / "bin"


def test_the_wheel_has_every_module_and_file(wheel, root):
    names = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "ls-files", "data_prep", "niftynet_ext"],
        cwd=root,
        text=True,
        capture_output=True,
        check=True,
    )
    assert set(listed.stdout.split()) <= names
    ini_files = {f"niftynet_ext/ini_files/{path.name}" for path in root.glob("config_ini/*.ini")}
    assert len(ini_files) >= 4 and ini_files <= names
    assert "niftynet_ext.pth" in names
    assert not any(name.startswith(("tests/", "docs/", "config_ini/")) for name in names)


def test_from_phantoms_to_an_ini_file_without_a_clone(environment, tmp_path):
    """The README's path up to the training, in an empty folder."""
    env = {"PATH": f"{environment}:{os.defpath}", "HOME": str(tmp_path)}
    net_lung = environment / "net_lung"

    def call(*words):
        return run(net_lung, *words, folder=tmp_path, env=env)

    call("phantom", "--out", "dicom", "--patients", "3", "--matrix", "64", "--slices", "20")
    call("check", "--dicom", "dicom", "--out", "check")
    call("preprocess", "--dicom", "dicom", "--out", "data", "--split", "1", "1", "1")
    call("config", "densehighres3dnet_v1")
    assert "net_segment train" in call("train", "-c", "densehighres3dnet_v1.ini", "--dry-run")
    where = "import data_prep, niftynet_ext; print(data_prep.__file__, niftynet_ext.__file__)"
    found = run(environment / "python", "-c", where, folder=tmp_path, env=env)
    assert all(path.startswith(str(environment.parent)) for path in found.split())
    hook = "import sys; print([finder.__name__ for finder in sys.meta_path])"
    assert "NiftyNetFinder" in run(environment / "python", "-c", hook, folder=tmp_path, env=env)


@pytest.mark.slow  # downloads and installs TensorFlow; trains the demo's network for 4 iterations
def test_install_train_infer_and_restore_in_an_empty_folder(wheel, tmp_path):
    run(sys.executable, "-m", "venv", "env", folder=tmp_path)
    bin_dir = tmp_path / "env" / "bin"
    run(bin_dir / "pip", "install", "-q", f"niftynet-ext[cpu] @ file://{wheel}", folder=tmp_path)
    run(bin_dir / "pip", "check", folder=tmp_path)
    env = {"PATH": f"{bin_dir}:{os.defpath}", "HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def call(line):
        command, *words = line.split()
        return run(bin_dir / command, *words, folder=tmp_path, env=env)

    call("net_lung phantom --out dicom --patients 3 --matrix 128 --slices 28")
    call("net_lung preprocess --dicom dicom --out data --split 2 0 1")
    call("net_lung config demo --data data --models models --out net.ini")
    call("net_lung train -c net.ini --plan DiceForeground:2")
    call("net_lung train -c net.ini --plan Focal:4 --queue_length 4")
    call("net_segment inference -c net.ini")
    call("net_lung restore --data data --predictions models/demo/inference --out masks")
    call("net_lung picture --data data --masks masks --out picture.png")
    call("net_lung segment --dicom dicom/PHANTOM-001 --model models/demo --out new")
    assert (tmp_path / "new" / "mask_seg.dcm").is_file()
    assert (tmp_path / "picture.png").stat().st_size > 10_000
