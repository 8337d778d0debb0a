"""Time, memory and Dice of the three ways of inference, and of a new patient's whole path.

    python benchmarks/inference.py [--dicom PATIENT] [--demo demo] [--rounds 1]

``net_segment inference`` on phantoms of 75, 134 and 297 slices of 256 x 256, alternately in windows
of 192 x 192 x 48 (as released), blended, and as a single window; with v1 after a few iterations,
enough not to label half the body as tumour: otherwise the weights do not change the time. Then
``net_lung segment`` from DICOM of 134 slices of 512 x 512 to DICOM.
Where ``make demo`` has run, its network and its test patients give the Dice of the three ways.
"""

from __future__ import annotations

import argparse
import configparser
import csv
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from preprocessing import Cost, measure

SLICES = (75, 134, 297)
SEGMENTED = 134
KINDS = ("grid", "gaussian", "whole")
LIMIT_S, LIMIT_GB = 30, 3
"""At most, from a DICOM folder of 134 slices to the mask."""

ROOT = Path(__file__).resolve().parents[1]
NET_SEGMENT = str(Path(sys.executable).with_name("net_segment"))
NET_LUNG = [sys.executable, "-m", "niftynet_ext"]
SMALL = [
    "--batch_size",
    "1",
    "--max_iter",
    "60",
    "--lr",
    "0.01",
    "--loss_type",
    "Focal",
    "--validation_every_n",
    "-1",
    "--whole_volume_validation_every_n",
    "-1",
]


def run(*command: object, cwd: Path) -> None:
    """Run a step that is not timed."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def ini(source: Path, target: str, folder: Path, **sections: dict[str, str]) -> None:
    """Write ``source`` with other values into ``folder``.

    :param sections: section -> its changed values
    """
    config = configparser.ConfigParser()
    config.read(source)
    for section, values in sections.items():
        config[section].update(values)
    with Path(folder, target).open("w") as stream:
        config.write(stream)


def phantoms(folder: Path) -> None:
    """Make a phantom for each number of slices, in a folder named by it, and a model of v1."""

    def make(slices: int) -> None:
        home = folder / str(slices)
        home.mkdir()
        # 256 x 256 for the network; DICOM of 512 x 512 only where it is segmented
        matrix, reduce = (512, 2) if slices == SEGMENTED else (256, 1)
        run(
            *NET_LUNG,
            "phantom",
            "--out",
            "dicom",
            "--patients",
            "1",
            "--matrix",
            matrix,
            "--slices",
            slices,
            cwd=home,
        )
        run(
            *NET_LUNG,
            "preprocess",
            "--dicom",
            "dicom",
            "--out",
            "data",
            "--reduce",
            reduce,
            "--split",
            "1",
            "0",
            "0",
            cwd=home,
        )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, reversed(SLICES)))
    home = folder / str(SEGMENTED)
    config = ROOT / "config_ini" / "densehighres3dnet_v1.ini"
    small = {"spatial_window_size": "(64, 64, 32)"}
    ini(
        config,
        "train.ini",
        home,
        CT=small,
        LABEL=small,
        SYSTEM={"model_dir": "../model", "dataset_split_file": str(home / "data" / "split.csv")},
    )
    run(NET_SEGMENT, "train", "-c", "train.ini", *SMALL, cwd=home)


def cost(command: list[Any], folder: Path, cwd: Path) -> Cost:
    """Return what a command took, run in ``cwd``."""
    return measure(
        ["sh", "-c", f"cd '{cwd}' && exec \"$@\"", "-", *map(str, command)], folder / "run"
    )


def median(costs: list[Cost]) -> tuple[float, float]:
    """Return the median of the seconds and of the peak memory in GB."""
    return (
        statistics.median(cost.wall_s for cost in costs),
        statistics.median(cost.memory_mb for cost in costs) / 1024,
    )


def inference(folder: Path, rounds: int) -> None:
    """Print the table of time and memory."""
    config = ROOT / "config_ini" / "densehighres3dnet_v1.ini"
    costs: dict[str, dict[int, list[Cost]]] = {
        kind: {slices: [] for slices in SLICES} for kind in KINDS
    }
    for slices in SLICES:
        home = folder / str(slices)
        ini(
            config,
            "infer.ini",
            home,
            SYSTEM={"model_dir": "../model", "dataset_split_file": str(home / "data/split.csv")},
        )
        for _ in range(rounds):
            for kind in KINDS:
                costs[kind][slices].append(
                    cost(
                        [
                            NET_SEGMENT,
                            "inference",
                            "-c",
                            "infer.ini",
                            "--batch_size",
                            1,
                            "--dataset_to_infer",
                            "training",
                            "--inference_windows",
                            kind,
                        ],
                        folder,
                        home,
                    )
                )
    print(f"{os.cpu_count()} cores; medians, rounds: {rounds}; start-up included")
    print(
        f"{'net_segment inference, a patient':36}"
        + "".join(f"{slices:>7} slices" for slices in SLICES)
        + "   / grid   s a slice"
    )
    for kind in KINDS:
        cells = {slices: median(costs[kind][slices]) for slices in SLICES}
        ratio = cells[SLICES[1]][0] / median(costs["grid"][SLICES[1]])[0]
        slopes = [(cells[b][0] - cells[a][0]) / (b - a) for a, b in itertools.pairwise(SLICES)]
        print(
            f"{kind:36}"
            + "".join(f"{s:5.1f} s {gb:3.1f} GB" for s, gb in cells.values())
            + f"{ratio:9.2f}   "
            + ", ".join(f"{slope:.3f}" for slope in slopes)
        )


def segment(folder: Path, dicom: Path | None, rounds: int) -> None:
    """Print time and memory of the path from DICOM to DICOM."""
    if dicom is None:
        (dicom,) = (folder / str(SEGMENTED) / "dicom").iterdir()
    seconds, gb = median(
        [
            cost(
                [
                    *NET_LUNG,
                    "segment",
                    "--dicom",
                    dicom.resolve(),
                    "--model",
                    folder / "model",
                    "--out",
                    folder / "run" / "out",
                ],
                folder,
                folder,
            )
            for _ in range(rounds)
        ]
    )
    print(
        f"net_lung segment, {dicom}: {seconds:.1f} s (at most {LIMIT_S}), {gb:.1f} GB "
        f"(at most {LIMIT_GB})"
    )


def demo_dice(demo: Path) -> None:
    """Print the Dice of the three ways with a trained network, on the demo's test phantoms."""
    if not (demo / "model").is_dir():
        print("Dice: run `make demo` first")
        return
    print("Dice3D of the demo's test phantoms, with its window")
    for kind in KINDS:
        run(
            NET_SEGMENT,
            "inference",
            "-c",
            ROOT / "config_ini" / "demo.ini",
            "--inference_windows",
            kind,
            "--save_seg_dir",
            f"../bench_{kind}",
            cwd=demo.parent,
        )
        run(
            *NET_LUNG,
            "restore",
            "--data",
            demo / "data",
            "--predictions",
            demo / f"bench_{kind}",
            "--out",
            demo / f"bench_{kind}_masks",
            cwd=demo.parent,
        )
        with (demo / f"bench_{kind}_masks" / "scores.csv").open() as stream:
            scores = [float(row["dice_3d"]) for row in csv.DictReader(stream)]
        print(
            f"  {kind:10}{statistics.mean(scores):.3f}   "
            + " ".join(f"{score:.3f}" for score in scores)
        )


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--dicom", type=Path, help="a patient for segment; default: a phantom")
    parser.add_argument("--demo", type=Path, default=ROOT / "demo", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=1, help="default: %(default)s")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        phantoms(folder)
        segment(folder, args.dicom, args.rounds)
        inference(folder, args.rounds)
    demo_dice(args.demo.resolve())


if __name__ == "__main__":
    main()
