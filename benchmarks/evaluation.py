"""The paper's measures beside surface-distance, MedPy and MONAI, in one process by turns.

``python benchmarks/evaluation.py`` (``make bench``); needs ``pip install .[bench]``.

The pair is of the size of patient LUNG1-001: 512 x 512 x 134 voxels of 0.977 x 0.977 x 3 mm, a
tumour of 160 mL in 21 slices, predicted some millimetres off; once so, and once with a false
finding far away, which widens the box that everybody works in. Every library takes its shortest
way to the same figures: directed distances once, then mean and percentile of both directions.
"""

import argparse
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from data_prep.core.dice import dice
from data_prep.core.masks import bounding_box
from niftynet_ext.evaluation.patient_scores import score_patient
from niftynet_ext.evaluation.slices import slice_scores
from niftynet_ext.evaluation.surface import (
    hausdorff_distance,
    mean_surface_distance,
    surface_distances,
)

SHAPE, SPACING = (512, 512, 134), (0.977, 0.977, 3.0)
LIMITS = {"2-D": 1.0, "3-D": 1.5}  # seconds
SHARE, MEMORY_MB = 0.5, 500
PATIENCE = 5.0  # seconds after which a function has no further round


def ellipsoid(mask, centre, radii):
    """Add an ellipsoid, in voxels, to a mask."""
    low = np.floor(np.subtract(centre, radii)).astype(int)
    size = np.ceil(np.multiply(radii, 2)).astype(int) + 2
    grid = np.ogrid[tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))]
    inside = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1
    mask[tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))] |= inside


def make_pair(shape=SHAPE, far=False, scale=1.0):
    """
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


def ours_2d(prediction, reference):
    box = bounding_box(prediction, reference)
    found = slice_scores(prediction[box], reference[box], SPACING)
    tp = found["kind"] == "TP"
    return (
        dice(prediction[box], reference[box]),
        found["dice_2d"][tp].mean(),
        found["msd_2d_mm"][tp].mean(),
        found["hd95_2d_mm"][tp].mean(),
    )


def ours_3d(prediction, reference):
    distances = surface_distances(prediction, reference, SPACING)
    return mean_surface_distance(distances), hausdorff_distance(distances)


def summary(directed):
    """MSD and 95 % HD (paper, eq. 7 and 9) of two directed sets of distances."""
    return np.mean([one.mean() for one in directed]), np.mean(
        [np.percentile(one, 95) for one in directed]
    )


def slice_by_slice(prediction, reference, overlap, distances):
    """The figures of :func:`ours_2d` by a library's functions of one slice or volume."""
    tp = np.flatnonzero(prediction.any(axis=(0, 1)) & reference.any(axis=(0, 1)))
    rows = [
        (
            overlap(prediction[:, :, k], reference[:, :, k]),
            *distances(prediction[:, :, k], reference[:, :, k], SPACING[:2]),
        )
        for k in tp
    ]
    return (overlap(prediction, reference), *np.mean(rows, axis=0))


def medpy():
    from medpy.metric import binary

    directed = getattr(binary, "__surface_distances")

    def distances(a, b, spacing):
        return summary((directed(a, b, spacing), directed(b, a, spacing)))

    return binary.dc, distances


def monai():
    import torch
    from monai.metrics import compute_dice
    from monai.metrics.utils import get_edge_surface_distance

    def overlap(a, b):
        return float(compute_dice(*(torch.from_numpy(one[None, None]) for one in (a, b))))

    def distances(a, b, spacing):
        a, b = (torch.from_numpy(np.ascontiguousarray(one)) for one in (a, b))
        _, directed, _ = get_edge_surface_distance(a, b, spacing=spacing, symmetric=True)
        return summary([one.numpy() for one in directed])

    return overlap, distances


def surface_distance():
    import surface_distance as library

    def distances(a, b, spacing):
        found = library.compute_surface_distances(b, a, spacing)
        return (
            np.mean(library.compute_average_surface_distance(found)),
            library.compute_robust_hausdorff(found, 95),
        )  # the larger, and weighted by area

    return library.compute_dice_coefficient, distances


def by_turns(functions, rounds, clock=time.perf_counter):
    """
    :param functions: dict of functions without arguments
    :param clock: of wall time, or of this process
    :return: least time in seconds of each, and what it returned
    """
    times, values = {name: [] for name in functions}, {}
    for _ in range(rounds):
        for name, function in functions.items():
            if sum(times[name]) > PATIENCE:
                continue
            start = clock()
            values[name] = function()
            times[name].append(clock() - start)
    return {name: min(one) for name, one in times.items()}, values


def compare(far, rounds):
    """Print both protocols on one pair.

    :return: whether all limits were kept
    """
    prediction, reference = make_pair(far=far)
    libraries = {"surface-distance": surface_distance(), "MedPy": medpy(), "MONAI": monai()}
    kept = True
    for protocol, ours in (("2-D", ours_2d), ("3-D", ours_3d)):
        functions = {"ours": lambda ours=ours: ours(prediction, reference)}
        for name, (overlap, distances) in libraries.items():
            if protocol == "2-D":
                functions[name] = lambda overlap=overlap, distances=distances: slice_by_slice(
                    prediction, reference, overlap, distances
                )
            else:
                functions[name] = lambda distances=distances: distances(
                    prediction, reference, SPACING
                )
        times, values = by_turns(functions, rounds)
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


def show_growth(rounds):
    """Print how the time of all measures of a patient depends on the volume and on the tumour.

    What grows with the volume is the one look for voxels; it takes what reading both masks once
    from memory takes.
    """
    pairs = {
        text: make_pair(shape, scale=scale)
        for text, shape, scale in (
            ("1 x volume", SHAPE, 1.0),
            ("8 x volume", tuple(2 * n for n in SHAPE), 1.0),
            ("1 x volume, 4 x surface", SHAPE, 2.0),
        )
    }
    tasks = {
        "all": lambda pair: score_patient(*pair, SPACING),
        "look": lambda pair: bounding_box(*pair),
        "read": lambda pair: [mask.any(axis=(0, 1)) for mask in pair],
    }
    times, _ = by_turns(
        {
            (text, name): lambda pair=pair, task=task: task(pair)
            for text, pair in pairs.items()
            for name, task in tasks.items()
        },
        rounds,
        time.process_time,
    )  # whatever else the machine does
    print("\nall measures of evaluate, of one patient, CPU time")
    for text in pairs:
        whole, look, read = (times[text, name] for name in tasks)
        measures = whole - look
        print(
            f"  {text:24} {whole:.3f} s, {whole / times['1 x volume', 'all']:.2f} x the first; "
            f"without the look for voxels {measures:.3f} s; that look {look:.4f} s, reading both "
            f"masks {read:.4f} s"
        )


def own_memory():
    """Print the peak memory of this process after ours ran, masks and interpreter included."""
    pair = make_pair(far=True)
    ours_2d(*pair), ours_3d(*pair)
    # not getrusage: its peak is that of the parent process where that is higher
    status = Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) // 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of which the best counts")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        return own_memory()
    warnings.simplefilter("ignore")  # the libraries' own
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
