"""Time ``net_lung preprocess`` beside the converters that people use: ``make bench``.

    python benchmarks/preprocessing.py --dicom PATIENT [--dcmrtstruct2nii PYTHON]

A patient, CT slices and RTSTRUCT, alternately: ours (image and label at half resolution, native
label, manifest), dcm2niix (only the CT) and dcmrtstruct2nii (CT and one ROI), each with its
start-up. Then copies of the patient under other ids with one worker and with two. Wall time is what
a user waits; CPU time hardly depends on other load on the machine.
"""

import argparse
import ctypes
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom

OURS = "net_lung preprocess"
ROI = "GTV-1"

LIMITS = {"dcmrtstruct2nii": 0.5, "dcm2niix": 1.3}
"""At most this many times the converter's wall time."""

MEMORY_MB = 600
SPEED_UP = 1.8
"""At least this many times faster with two workers."""

PR_SET_CHILD_SUBREAPER = 36
"""Linux's prctl: adopt processes whose parent has ended, so that this process can wait for them."""

HOW_TO = {
    "dcm2niix": "apt-get install dcm2niix",
    "dcmrtstruct2nii": "python -m venv V; V/bin/pip install dcmrtstruct2nii 'pydicom<3' "
    "'numpy<2'; then --dcmrtstruct2nii V/bin/python",
}


@dataclass(frozen=True)
class Cost:
    """What a run took; ``memory_mb`` is the largest resident set of any of its processes."""

    wall_s: float
    cpu_s: float
    memory_mb: float


def measure(command: list[str], out_dir: Path, options: dict[str, str] | None = None) -> Cost:
    """Run a command to its end, writing into a new ``out_dir``.

    :raises SystemExit: it failed
    """
    shutil.rmtree(out_dir, ignore_errors=True)
    out_dir.mkdir(parents=True)
    log = out_dir.with_suffix(".log")
    with log.open("wb") as stream:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env=os.environ | (options or {})
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
    usages = [usage, *left_behind()]
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text(errors='replace')[-2000:]}")
    cpu_s = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return Cost(wall_s, cpu_s, max(usage.ru_maxrss for usage in usages) / 1024)


def left_behind() -> Iterator[resource.struct_rusage]:
    """Yield the usage of what a command leaves to this process: the server that forks workers."""
    while True:
        try:
            yield os.wait4(-1, 0)[2]
        except ChildProcessError:
            return


def preprocess(dicom: Path, out: Path, workers: int) -> list[str]:
    """Return the command line of ours."""
    return [
        sys.executable,
        "-m",
        "niftynet_ext",
        "preprocess",
        "--dicom",
        str(dicom),
        "--out",
        str(out),
        "--workers",
        str(workers),
    ]


def others(dicom: Path, out: Path, dcmrtstruct2nii: str) -> dict[str, list[str]]:
    """Return the command lines of the converters that are installed; name those that are not."""
    ct, structures = _folders(dicom)
    found = {}
    if shutil.which("dcm2niix"):
        found["dcm2niix"] = ["dcm2niix", "-z", "y", "-o", str(out / "dcm2niix"), str(ct)]
    test = [dcmrtstruct2nii, "-c", "import dcmrtstruct2nii.facade.dcmrtstruct2nii"]
    if subprocess.run(test, capture_output=True).returncode == 0:
        arguments = [str(structures), str(ct), str(out / "dcmrtstruct2nii")]
        code = (  # its command line cannot choose an ROI with today's cleo
            "from dcmrtstruct2nii.facade.dcmrtstruct2nii import dcmrtstruct2nii;"
            f"dcmrtstruct2nii(*{arguments!r}, structures=[{ROI!r}])"
        )
        found["dcmrtstruct2nii"] = [dcmrtstruct2nii, "-c", code]
    for name in LIMITS:
        if name not in found:
            print(f"{name} is not installed and was left out: {HOW_TO[name]}")
    return found


def _folders(dicom: Path) -> tuple[Path, Path]:
    """Return the folder of the CT and the RTSTRUCT file."""
    ct = structures = None
    for path in sorted(path for path in dicom.rglob("*") if path.is_file()):
        try:
            modality = pydicom.dcmread(path, specific_tags=["Modality"]).Modality
        except (pydicom.errors.InvalidDicomError, AttributeError):
            continue
        ct = path.parent if modality == "CT" else ct
        structures = path if modality == "RTSTRUCT" else structures
    if ct is None or structures is None:
        sys.exit(f"{dicom} has no CT or no RTSTRUCT")
    return ct, structures


def copies(dicom: Path, out: Path, count: int) -> Path:
    """Write the patient ``count`` times, each time under another id."""
    for path in (path for path in dicom.rglob("*") if path.is_file()):
        try:
            dataset = pydicom.dcmread(path)
        except pydicom.errors.InvalidDicomError:
            continue
        for k in range(count):
            dataset.PatientID = f"COPY-{k:03}"
            target = out / dataset.PatientID / path.relative_to(dicom)
            target.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(target)
    return out


def row(name: str, runs: list[Cost]) -> Cost:
    """Print the medians of some runs, and return them."""
    middle = Cost(
        *(statistics.median(getattr(run, key) for run in runs) for key in Cost.__annotations__)
    )
    print(f"{name:28}{middle.wall_s:9.2f}{middle.cpu_s:9.2f}{middle.memory_mb:11.0f}", flush=True)
    return middle


def verdict(text: str, value: float, limit: float, at_least: bool = False) -> None:
    """Print a figure beside its limit."""
    reached = value >= limit if at_least else value <= limit
    sign = ">=" if at_least else "<="
    print(f"  {text}: {value:.2f} ({sign} {limit:g}: {'reached' if reached else 'MISSED'})")


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dicom", type=Path, help="a patient's folder; default: a phantom")
    parser.add_argument(
        "--dcmrtstruct2nii",
        default=sys.executable,
        metavar="PYTHON",
        help="an interpreter that has dcmrtstruct2nii",
    )
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--patients",
        type=int,
        default=48,
        help="copies for the runs with workers; 0: leave them out",
    )
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        compare(options, scratch)
    finally:
        shutil.rmtree(scratch)


def compare(options: argparse.Namespace, scratch: Path) -> None:
    """Print both tables."""
    dicom = options.dicom
    if dicom is None:
        phantom = ["--patients", "1", "--matrix", "512", "--slices", "134"]
        command = [sys.executable, "-m", "niftynet_ext", "phantom", *phantom]
        measure([*command, "--out", str(scratch / "dicom")], scratch / "dicom")
        dicom = scratch / "dicom" / "PHANTOM-001"
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; load {os.getloadavg()[0]:.1f}; {dicom.name}; medians, "
        f"rounds: {options.rounds}"
    )
    commands = {OURS: preprocess(dicom, scratch / OURS, 1)}
    commands |= others(dicom, scratch, options.dcmrtstruct2nii)
    runs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(options.rounds + 1):
        for name, command in commands.items():
            cost = measure(command, scratch / name)
            runs[name] += [cost] if number else []  # the first round fills the disk's cache
    print(f"{'':28}{'wall s':>9}{'CPU s':>9}{'memory MB':>11}")
    medians = {name: row(name, costs) for name, costs in runs.items()}
    ours = medians.pop(OURS)
    for name, other in medians.items():
        verdict(f"wall time of {name}, times", ours.wall_s / other.wall_s, LIMITS[name])
    verdict("memory, MB", ours.memory_mb, MEMORY_MB)
    if options.patients:
        cohort = copies(dicom, scratch / "cohort", options.patients)
        by_workers: dict[int, list[Cost]] = {1: [], 2: []}
        for _ in range(max(1, options.rounds // 2)):
            for workers, costs in by_workers.items():
                out = scratch / f"workers{workers}"
                costs.append(measure(preprocess(cohort, out, workers), out))
        single, double = (
            row(f"--patients {options.patients}, --workers {workers}", costs)
            for workers, costs in by_workers.items()
        )
        verdict("two workers, times faster", single.wall_s / double.wall_s, SPEED_UP, at_least=True)


if __name__ == "__main__":
    main()
