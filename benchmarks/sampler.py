"""Windows per second of ``uniform_fast`` and NiftyNet's ``uniform``, alternately; memory over time.

    python benchmarks/sampler.py [--windows 1000] [--rounds 2] [--threads 2]

Volumes of 256 x 256 x 110 voxels, windows of 192 x 192 x 48, eight of each volume that is read,
whitening, scaling by -10 to 10 % and B-spline deformation as in config_ini/. Both samplers read the
same subjects from the same random states, in as many threads as NiftyNet would, so that the windows
can be compared as well. Then ours feeds the data set of a training, queue and shuffling included,
for many windows, while the memory of the process is recorded.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import nibabel
import niftynet
import numpy as np
import tensorflow as tf
from niftynet.engine.sampler_uniform_v2 import UniformSampler
from niftynet.io.image_reader import ImageReader
from niftynet.io.image_sets_partitioner import ImageSetsPartitioner
from niftynet.layer.mean_variance_normalisation import MeanVarNormalisationLayer
from niftynet.layer.rand_elastic_deform import RandomElasticDeformationLayer
from niftynet.layer.rand_spatial_scaling import RandomSpatialScalingLayer
from scipy import ndimage

from niftynet_ext.sampler.volumes import GB, VolumeStore
from niftynet_ext.sampler.window_sampler import DeformedWindowSampler
from niftynet_ext.training.seeds import drawing_from, stream

SHAPE, WINDOW, PER_VOLUME, QUEUE = (256, 256, 110), (192, 192, 48), 8, 40
SUBJECTS = 4
RATIO, RATE, GROWTH = 10, 7, 0.05  # limits; windows per second; share of the memory
STRETCH = 200  # windows between two lines of output
SETTLED = 2 * STRETCH  # until every volume has been read, and the queues have been full


def write_cohort(folder: str) -> None:
    """Write volumes with structures and noise like a CT's, and a tumour of some 30 mL."""
    for name in ("image", "label"):
        Path(folder, f"{name}.csv").write_text(
            "".join(f"s{k},{folder}/s{k}_{name}.nii.gz\n" for k in range(SUBJECTS))
        )
    grid = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    for k in range(SUBJECTS):
        rng = np.random.default_rng(k)
        smooth = ndimage.gaussian_filter(rng.standard_normal(SHAPE, np.float32), 4)
        image = smooth / smooth.std() * 400 - 500 + rng.normal(0, 15, SHAPE)
        centre = rng.uniform(0.35, 0.65, 3) * SHAPE
        label = (
            sum(((g - c) * mm) ** 2 for g, c, mm in zip(grid, centre, (2, 2, 3), strict=True))
            < 20**2
        )
        for name, array in (("image", image.astype(np.int16)), ("label", label.astype(np.uint8))):
            nibabel.save(
                nibabel.Nifti1Image(array, np.diag([2.0, 2, 3, 1])),
                Path(folder, f"s{k}_{name}.nii.gz"),
            )


def make_samplers(folder: str) -> tuple[Any, Any]:
    """Return NiftyNet's sampler and ours."""
    sections = {
        name: {
            "csv_file": f"{folder}/{name}.csv",
            "spatial_window_size": WINDOW,
            "axcodes": ("R", "A", "S"),
            "interp_order": order,
        }
        for name, order in (("image", 3), ("label", 0))
    }
    files = ImageSetsPartitioner().initialise(sections).get_file_list()
    reader = ImageReader(["image", "label"]).initialise(
        sections, {"image": ("image",), "label": ("label",)}, files
    )
    reader.add_preprocessing_layers(
        [
            MeanVarNormalisationLayer("image"),
            RandomSpatialScalingLayer(-10.0, 10.0),
            RandomElasticDeformationLayer(4, 10, 1.0, 3),
        ]
    )
    options = {"window_sizes": WINDOW, "windows_per_image": PER_VOLUME, "queue_length": QUEUE}
    return (
        UniformSampler(reader, **options),
        DeformedWindowSampler(reader, VolumeStore(4 * GB, folder), **options),
    )


def rate(sampler: Any, states: Sequence[int], threads: int) -> tuple[float, Any]:
    """Measure a sampler.

    :param sampler: either of the two
    :param states: numbers of the random states, one for each reading of a volume
    :param threads: number of threads that read, as NiftyNet's data set has them
    :return: windows per second, and the windows of the first reading
    """

    def read(state: int) -> Any:
        with drawing_from(stream(state)):
            return sampler(state % SUBJECTS)

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        found = [result if k == 0 else None for k, result in enumerate(pool.map(read, states))]
    return len(states) * PER_VOLUME / (time.perf_counter() - start), found[0]


def compare(stock: Any, ours: Any, rounds: int, threads: int) -> float:
    """Print both rates and how far apart the windows are.

    :return: the ratio of the rates, ours over NiftyNet's
    """
    start = time.perf_counter()
    for subject in range(SUBJECTS):
        ours(subject)
    print(
        f"first reading of a volume, file and compilation included: "
        f"{(time.perf_counter() - start) / SUBJECTS:.2f} s each",
        flush=True,
    )
    ratios = []
    for number in range(rounds):
        first = number * 100
        stock_rate, expected = rate(stock, range(first, first + threads), threads)
        our_rate, found = rate(ours, range(first, first + 8 * threads), threads)
        ratios.append(our_rate / stock_rate)
        apart = np.abs(found["image"] - expected["image"]).mean() / np.ptp(expected["image"])
        a, b = (windows["label"] > 0.5 for windows in (found, expected))
        dice = 2 * (a & b).sum() / max(1, a.sum() + b.sum())
        print(
            f"round {number + 1}: NiftyNet {stock_rate:6.2f} windows/s, ours "
            f"{our_rate:6.2f}: "
            f"{ratios[-1]:.0f} x; image {apart:.4f} of its range apart, label Dice {dice:.4f}",
            flush=True,
        )
    return float(np.median(ratios))


def memory_mb() -> int:
    """Return the memory of this process without the pages of files, in MB."""
    resident = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert resident is not None
    return int(resident[1]) // 1024


class Watch(threading.Thread):
    """Records the memory ten times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._seen, self._lock = [memory_mb()], threading.Lock()
        self.start()

    def run(self) -> None:
        """Record until the process ends."""
        while True:
            time.sleep(0.1)
            with self._lock:
                self._seen.append(memory_mb())

    def since_last_call(self) -> tuple[float, int]:
        """Return mean and highest memory since the last call, in MB."""
        with self._lock:
            seen, self._seen = self._seen, [memory_mb()]
        return statistics.mean(seen), max(seen)


def through_data_set(sampler: Any, windows: int, threads: int) -> tuple[float, float]:
    """Take batches as a training does, and print rate and memory every :data:`STRETCH` windows.

    :return: windows per second after the first SETTLED, and the share by which the memory grew from
        the first stretch after them to the last
    """
    sampler.set_num_threads(threads)
    watch = Watch()
    means: list[float] = []
    times: list[float] = []
    with tf.Session() as session:
        batch = sampler.pop_batch_op()
        for number in range(windows + SETTLED + 1):
            session.run(batch)
            if number % STRETCH == 0:
                times.append(time.perf_counter())
                mean, peak = watch.since_last_call()
                means.append(mean)
                if number:
                    print(
                        f"  {number:5} windows: memory {mean:5.0f} MB, {peak} at most; "
                        f"{STRETCH / (times[-1] - times[-2]):.2f} windows/s",
                        flush=True,
                    )
    settled = SETTLED // STRETCH
    return windows / (times[-1] - times[settled]), means[-1] / means[settled + 1] - 1


def main() -> int:
    """Run both comparisons; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--windows", type=int, default=1000, help="through the data set")
    parser.add_argument("--rounds", type=int, default=2, help="of which the median counts")
    parser.add_argument("--threads", type=int, default=2, help="NiftyNet's num_threads")
    options = parser.parse_args()
    tf.logging.set_verbosity("ERROR")
    print(
        f"{niftynet.__version__}, TensorFlow {tf.__version__}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}; {options.threads} threads"
    )
    with tempfile.TemporaryDirectory() as folder:
        write_cohort(folder)
        stock, ours = make_samplers(folder)
        ratio = compare(stock, ours, options.rounds, options.threads)
        speed, growth = through_data_set(ours, options.windows, options.threads)
    kept = ratio >= RATIO and speed >= RATE and growth <= GROWTH
    print(
        f"ours / NiftyNet {ratio:.0f} (at least {RATIO}); through the data set {speed:.1f} "
        f"windows/s (at least {RATE}); memory {growth:+.1%} over {options.windows} windows "
        f"(at most {GROWTH:.0%}): {'kept' if kept else 'MISSED'}"
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
