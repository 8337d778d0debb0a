"""The paper's measures beside surface-distance, MedPy and MONAI, alternately in one process.

``python benchmarks/evaluation.py`` (``make bench``); needs ``pip install .[bench]``.

The pair has the size of patient LUNG1-001: 512 x 512 x 134 voxels of 0.977 x 0.977 x 3 mm, a
tumour of 160 mL in 21 slices, predicted some millimetres off; once as it is, and once with a false
finding far away, which widens the box that every library works in. Every library takes its shortest
path to the same figures: directed distances once, then mean and percentile of both directions.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.core.masks import bounding_box
from data_prep.core.overlap import dice
from niftynet_ext.evaluation.patient_scores import score_patient
from niftynet_ext.evaluation.slices import slice_scores
from niftynet_ext.evaluation.surface import (
    hausdorff_distance,
    mean_surface_distance,
    surface_distances,
)

SHAPE, SPACING_MM = (512, 512, 134), (0.977, 0.977, 3.0)
LIMITS = {"2-D": 1.0, "3-D": 1.5}  # seconds
SHARE, MEMORY_MB = 0.5, 500  # at most: part of the fastest other library's time; peak memory
PATIENCE_S = 5.0  # a function that has taken this long has no further round

Distances = Callable[[np.ndarray, np.ndarray, Sequence[float]], tuple[float, float]]
"""Function of two masks and the spacing in mm -> mean and 95 % Hausdorff distance."""

Overlap = Callable[[np.ndarray, np.ndarray], float]
"""Function of two masks -> Dice."""


def ellipsoid(
    mask: np.ndarray, centre: Sequence[float], radii: Sequence[float] | np.ndarray
) -> None:
    """Add an ellipsoid, in voxels, to a mask."""
    low = np.floor(np.subtract(centre, radii)).astype(int)
    size = np.ceil(np.multiply(radii, 2)).astype(int) + 2
    grid = np.ogrid[tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))]
    inside = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1
    mask[tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))] |= inside


def make_pair(
    shape: Sequence[int] = SHAPE, far: bool = False, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Make a prediction and its reference.

    :param far: with a false finding 200 mm away
    :param scale: of the tumour's diameter
    :return: prediction and reference, boolean (x, y, z) as NIfTI has them in memory
    """
    prediction, reference = np.full((2, *shape[::-1]), False).transpose(0, 3, 2, 1)
    radii = np.multiply((38.2, 34.1, 10.5), scale)
    ellipsoid(reference, (250, 240, 60), radii)
    ellipsoid(prediction, (253, 241, 60.6), radii * 0.97)
    if far:
        ellipsoid(prediction, (400, 100, 110), (9, 9, 4))
    return prediction, reference


def ours_2d(prediction: np.ndarray, reference: np.ndarray) -> tuple[float, ...]:
    """Compute the paper's 2-D measures with this project."""
    box = bounding_box(prediction, reference)
    found = slice_scores(prediction[box], reference[box], SPACING_MM)
    tp = found["kind"] == "TP"
    return (
        dice(prediction[box], reference[box]),
        found["dice_2d"][tp].mean(),
        found["msd_2d_mm"][tp].mean(),
        found["hd95_2d_mm"][tp].mean(),
    )


def ours_3d(prediction: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Compute the paper's 3-D distances with this project."""
    distances = surface_distances(prediction, reference, SPACING_MM)
    return mean_surface_distance(distances), hausdorff_distance(distances)


def summary(directed: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return MSD and 95 % HD (paper, eq. 7 and 9) of two directed sets of distances."""
    means = [distances.mean() for distances in directed]
    percentiles = [np.percentile(distances, 95) for distances in directed]
    return float(np.mean(means)), float(np.mean(percentiles))


def slice_by_slice(
    prediction: np.ndarray, reference: np.ndarray, overlap: Overlap, distances: Distances
) -> tuple[float, ...]:
    """Compute the figures of :func:`ours_2d` with a library's functions of a slice or volume."""
    tp = np.flatnonzero(prediction.any(axis=(0, 1)) & reference.any(axis=(0, 1)))
    rows = [
        (
            overlap(prediction[:, :, k], reference[:, :, k]),
            *distances(prediction[:, :, k], reference[:, :, k], SPACING_MM[:2]),
        )
        for k in tp
    ]
    return (overlap(prediction, reference), *np.mean(rows, axis=0))


def medpy() -> tuple[Overlap, Distances]:
    """Return MedPy's functions."""
    from medpy.metric import binary

    directed = getattr(binary, "__surface_distances")

    def distances(a: np.ndarray, b: np.ndarray, spacing: Sequence[float]) -> tuple[float, float]:
        return summary((directed(a, b, spacing), directed(b, a, spacing)))

    return binary.dc, distances


def monai() -> tuple[Overlap, Distances]:
    """Return MONAI's functions."""
    import torch
    from monai.metrics import compute_dice
    from monai.metrics.utils import get_edge_surface_distance

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        return float(compute_dice(*(torch.from_numpy(mask[None, None]) for mask in (a, b))))

    def distances(a: np.ndarray, b: np.ndarray, spacing: Sequence[float]) -> tuple[float, float]:
        masks = [torch.from_numpy(np.ascontiguousarray(mask)) for mask in (a, b)]
        _, directed, _ = get_edge_surface_distance(*masks, spacing=spacing, symmetric=True)
        return summary([tensor.numpy() for tensor in directed])

    return overlap, distances


def surface_distance() -> tuple[Overlap, Distances]:
    """Return surface-distance's functions."""
    import surface_distance as library

    def distances(a: np.ndarray, b: np.ndarray, spacing: Sequence[float]) -> tuple[float, float]:
        found = library.compute_surface_distances(b, a, spacing)
        return (
            np.mean(library.compute_average_surface_distance(found)),
            library.compute_robust_hausdorff(found, 95),
        )  # the larger, and weighted by area

    return library.compute_dice_coefficient, distances


def alternately(
    functions: dict[Any, Callable[[], Any]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[dict[Any, float], dict[Any, Any]]:
    """Run each function once in every round.

    :param functions: name -> function without arguments
    :param clock: of wall time, or of this process
    :return: least time in seconds of each, and what it returned
    """
    times: dict[Any, list[float]] = {name: [] for name in functions}
    values = {}
    for _ in range(rounds):
        for name, function in functions.items():
            if sum(times[name]) > PATIENCE_S:
                continue
            start = clock()
            values[name] = function()
            times[name].append(clock() - start)
    return {name: min(seconds) for name, seconds in times.items()}, values


def compare(far: bool, rounds: int) -> bool:
    """Print both protocols on a pair.

    :return: whether all limits were kept
    """
    prediction, reference = make_pair(far=far)
    libraries = {"surface-distance": surface_distance(), "MedPy": medpy(), "MONAI": monai()}
    kept = True
    for protocol, ours in (("2-D", ours_2d), ("3-D", ours_3d)):
        functions: dict[Any, Callable[[], Any]] = {
            "ours": lambda ours=ours: ours(prediction, reference)
        }
        for name, (overlap, distances) in libraries.items():
            if protocol == "2-D":
                functions[name] = lambda overlap=overlap, distances=distances: slice_by_slice(
                    prediction, reference, overlap, distances
                )
            else:
                functions[name] = lambda distances=distances: distances(
                    prediction, reference, SPACING_MM
                )
        times, values = alternately(functions, rounds)
        fastest = min(seconds for name, seconds in times.items() if name != "ours")
        share = times["ours"] / fastest
        good = times["ours"] <= LIMITS[protocol] and share <= SHARE
        kept &= good
        print(
            f"\n{protocol}, {'with a false finding' if far else 'tumour only'}: ours in "
            f"{share:.3f} of the fastest other's time (limit {SHARE}), "
            f"{times['ours']:.3f} s (limit {LIMITS[protocol]}): {'kept' if good else 'MISSED'}"
        )
        for name, seconds in times.items():
            print(f"  {name:17} {seconds:8.3f} s   {np.round(values[name], 6).tolist()}")
        for name in ("MedPy", "MONAI"):  # surface-distance has other definitions
            assert np.allclose(values[name], values["ours"], atol=1e-6, rtol=1e-6), name
    return kept


def show_growth(rounds: int) -> None:
    """Print how the time of all measures of a patient depends on the volume and on the tumour.

    Only the search for the bounding box grows with the volume; it takes as long as reading both
    masks once from memory.
    """
    pairs = {
        text: make_pair(shape, scale=scale)
        for text, shape, scale in (
            ("1 x volume", SHAPE, 1.0),
            ("8 x volume", tuple(2 * n for n in SHAPE), 1.0),
            ("1 x volume, 4 x surface", SHAPE, 2.0),
        )
    }
    tasks: dict[str, Callable[[Any], Any]] = {
        "all": lambda pair: score_patient(*pair, SPACING_MM),
        "search": lambda pair: bounding_box(*pair),
        "read": lambda pair: [mask.any(axis=(0, 1)) for mask in pair],
    }
    times, _ = alternately(
        {
            (text, name): lambda pair=pair, task=task: task(pair)
            for text, pair in pairs.items()
            for name, task in tasks.items()
        },
        rounds,
        time.process_time,
    )  # independent of other load on the machine
    print("\nall measures of a patient, CPU time")
    for text in pairs:
        whole, search, read = (times[text, name] for name in tasks)
        measures = whole - search
        print(
            f"  {text:24} {whole:.3f} s, {whole / times['1 x volume', 'all']:.2f} x the first; "
            f"without the search for the box {measures:.3f} s; that search {search:.4f} s, reading "
            f"both masks {read:.4f} s"
        )


def own_memory() -> int:
    """Print the peak memory of this process after ours ran, masks and interpreter included."""
    pair = make_pair(far=True)
    ours_2d(*pair), ours_3d(*pair)
    # not getrusage: its peak is that of the parent process where that is higher
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None
    print(int(peak[1]) // 1024)
    return 0


def main() -> int:
    """Run the comparison; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of which the fastest counts")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        return own_memory()
    warnings.simplefilter("ignore")  # of the libraries
    kept = [compare(far, options.rounds) for far in (False, True)]
    show_growth(options.rounds)
    peak = int(
        subprocess.run(
            [sys.executable, __file__, "--memory"], check=True, text=True, stdout=subprocess.PIPE
        ).stdout
    )
    print(f"\npeak memory of a process with the pair: {peak} MB (limit {MEMORY_MB})")
    return 0 if all(kept) and peak <= MEMORY_MB else 1


if __name__ == "__main__":
    sys.exit(main())
