"""``make test-matrix``: plugins and compatibility on every stack that this machine can install.

    python tests/matrix.py [--folder .matrix] [--only 3.12-2.21]

For each row of :data:`ROWS` whose Python is found (on the PATH or under pyenv), an environment is
made once in the folder, the quick tests run in it, and a table is printed. Every stack reads the
checkpoints that TensorFlow 1.15 wrote, and TensorFlow 1.15 reads those that every stack wrote.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = [
    "tests/niftynet_ext/compat",
    "tests/niftynet_ext/layer",
    "tests/niftynet_ext/loss",
    "tests/niftynet_ext/network",
    "tests/niftynet_ext/test_registry.py",
]
# NiftyNet's commands, each in its own process, and trainings that are killed, resumed and repeated:
# many minutes, so on the oldest and newest stack only
COMMANDS = ["tests/niftynet_ext/compat/test_applications.py"]
PYTEST = ("pytest", "-q", "--slow")
TRAININGS = [*COMMANDS, "tests/niftynet_ext/training", "tests/niftynet_ext/study/test_rounds.py"]
TRAINED = ("3.10-2.15", "3.13-2.21")

PAPER = "3.7-1.15"  # the stack of NiftyNet 0.6.0 and of the paper
OLD = ["numpy<2", "pandas<3"]
# Python-TensorFlow -> further requirements. The oldest and the newest TensorFlow of each Python;
# every TensorFlow between them is in some row
ROWS: dict[str, list[str]] = {
    PAPER: ["niftynet==0.6.0", "protobuf<3.21", "numpy<1.19", "pandas<1.4", "simpleitk<2.3"],
    "3.10-2.15": OLD,
    "3.10-2.21": [],
    "3.11-2.15": OLD,
    "3.11-2.18": ["numpy<2.1", "pandas<3"],
    "3.11-2.21": [],
    "3.12-2.16": OLD,
    "3.12-2.17": OLD,
    "3.12-2.19": ["numpy<2.2", "pandas<3"],
    "3.12-2.21": [],
    "3.13-2.20": [],
    "3.13-2.21": [],
}
NO_PYTHON = "no such Python here"
VERSIONS = """
from importlib.metadata import version
print(*(version(name) for name in ('tensorflow-cpu', 'numpy', 'pandas', 'nibabel')))
"""


def find_python(version: str) -> Path | None:
    """Find an interpreter that runs.

    :param version: ``"3.12"``
    :return: path of an interpreter, or None
    """
    found = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [*pyenv.glob(f"{version}.*/bin/python"), *([Path(found)] if found else [])]
    for python in candidates:  # a file on the PATH may be a shim without its Python
        if subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
            return python
    return None


def environment(folder: Path, row: str) -> Path | None:
    """Make the environment of a row, unless it is there.

    :param folder: where environments are kept
    :param row: key of :data:`ROWS`
    :return: path of its Python, or None if the machine has no such version
    :raises subprocess.CalledProcessError: pip fails
    """
    version, tensorflow = row.split("-")
    home = folder / row
    python, ready = home / "bin" / "python", home / ".ready"
    if not ready.exists():
        base = find_python(version)
        if base is None:
            return None
        subprocess.run([base, "-m", "venv", "--clear", home], check=True)
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "-q",
        ]
        if row == PAPER:
            subprocess.run(
                [*pip, "--only-binary", "simpleitk", "tensorflow==1.15.5", *ROWS[row]], check=True
            )
        else:
            subprocess.run(
                [*pip, "-e", f"{ROOT}[test]", f"tensorflow-cpu=={tensorflow}.*", *ROWS[row]],
                check=True,
            )
        ready.touch()
    return python


def run(python: Path, log: Path, *arguments: str | Path) -> bool:
    """Run a Python module in an environment.

    :param log: file to which the output is appended
    :param arguments: name of the module, and its arguments
    :return: whether it succeeded
    """
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with open(log, "a", encoding="utf-8") as file:
        return (
            subprocess.run(
                [python, "-W", "ignore", "-m", *arguments],
                cwd=ROOT,
                env=env,
                stdout=file,
                stderr=subprocess.STDOUT,
            ).returncode
            == 0
        )


def check(row: str, python: Path, folder: Path) -> dict[str, bool]:
    """Run the tests of a row.

    :return: name of the test -> whether it succeeded
    """
    log, exchange = folder / f"{row}.log", "tests.support.exchange"
    log.unlink(missing_ok=True)
    shutil.rmtree(folder / f"{row}.ckpt", ignore_errors=True)
    (folder / f"{row}.ckpt").mkdir()
    results = {"writes": run(python, log, exchange, "write", folder / f"{row}.ckpt")}
    if row != PAPER:
        ignored = [f"--ignore={path}" for path in COMMANDS]
        results["tests"] = run(python, log, *PYTEST, *TESTS, *ignored, "-k", "not install")
        if row in TRAINED:
            results["trainings"] = run(python, log, *PYTEST, *TRAININGS)
        if (folder / PAPER / ".ready").exists():
            results["reads 1.15"] = run(python, log, exchange, "read", folder / f"{PAPER}.ckpt")
            results["1.15 reads"] = run(
                folder / PAPER / "bin" / "python", log, exchange, "read", folder / f"{row}.ckpt"
            )
    return results


def main() -> int:
    """Run all rows; return 1 if a test failed on any stack, or no stack could be made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / ".matrix",
        help="where the environments are kept (about 1.5 GB each)",
    )
    parser.add_argument(
        "--only",
        nargs="*",
        default=list(ROWS),
        choices=list(ROWS),
        metavar="ROW",
        help="run only these rows, of " + ", ".join(ROWS),
    )
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    table: list[tuple[str, ...]] = []
    for row in options.only:
        python, start = environment(folder, row), time.monotonic()
        if python is None:
            table.append((row, NO_PYTHON))
            continue
        results = check(row, python, folder)
        versions = (
            ""
            if row == PAPER
            else subprocess.run(
                [python, "-c", VERSIONS], capture_output=True, text=True
            ).stdout.strip()
        )
        table.append(
            (
                row,
                ", ".join(f"{name} {'ok' if good else 'FAILED'}" for name, good in results.items()),
                f"{time.monotonic() - start:.0f} s",
                versions,
            )
        )
        print(*table[-1], sep="  ", flush=True)
    print("\nPython-TensorFlow  result; time; versions of tensorflow, numpy, pandas, nibabel")
    for row, *rest in table:
        print(f"{row:18} " + "; ".join(rest))
    failed = [row for row, result, *_ in table if "FAILED" in result]
    if failed:
        print(f"failed: {', '.join(failed)}; see {folder}/<row>.log")
    return int(bool(failed) or all(result == NO_PYTHON for _, result, *_ in table))


if __name__ == "__main__":
    sys.exit(main())
