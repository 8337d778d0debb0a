"""Train step and inference of the networks, beside a PyTorch twin and the physical floor.

    python benchmarks/network.py [--window 192,192,48] [--rounds 3]

Each network has its own process and works alternately with the others, one step at a time: other
load on the machine slows all of them alike. A train step is the paper's: float32, batch 1, Dice
loss of eq. 1, Adam, L2 decay as in NiftyNet. The floor is the time that the convolutions of a
train step of v1, computed directly, take at the rate of the matrix product, measured in the same
rounds (Winograd's algorithm needs fewer multiplications: a step can take less).
"""

from __future__ import annotations

import argparse
import collections
import gc
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

NETWORKS = ("densehighres3dnet_v1", "densehighres3dnet_v2", "highres3dnet_matched")
TWIN, PRODUCT = "torch_twin", "matrix_product"  # names of the other two processes
GFLOP_PER_VOXEL = 443 / (192 * 192 * 48)  # convolutions of a train step of v1
SIDE = 2048  # of the matrices of the product
LR, DECAY = 3e-4, 2e-4


def example(window: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return a window and its label, (1, X, Y, Z, 1), the same in every process."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((1, *window, 1), np.float32)
    label = np.zeros_like(image)
    label[(0, *(slice(n // 3, n // 2) for n in window))] = 1
    return image, label


def tensorflow_steps(name: str, window: tuple[int, ...]) -> dict[str, Any]:
    """Build a network in TensorFlow.

    :param name: short name of a network
    :param window: (X, Y, Z)
    :return: kind of step -> function that does it; and what the building took
    """
    import niftynet  # noqa: F401
    import tensorflow as tf
    from niftynet.engine.application_factory import ApplicationNetFactory
    from niftynet.layer.loss_segmentation import LossFunction
    from tensorflow.contrib.layers.python.layers import regularizers

    image, label = example(window)
    gc.freeze()  # as in net_segment
    start = time.perf_counter()
    images, labels = (tf.placeholder(tf.float32, array.shape) for array in (image, label))
    network = ApplicationNetFactory.create(name)(
        num_classes=2, w_regularizer=regularizers.l2_regularizer(DECAY), acti_func="prelu"
    )
    logits = network(images, is_training=True)
    loss = LossFunction(2, "DiceForeground")(logits, labels)
    penalties = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    loss += tf.reduce_mean([tf.reduce_mean(penalty) for penalty in penalties])
    optimiser = tf.train.AdamOptimizer(LR)
    gradients = optimiser.compute_gradients(loss)
    built = time.perf_counter()
    step = optimiser.apply_gradients(gradients)
    with_adam = time.perf_counter()
    probability = tf.nn.softmax(network(images, is_training=False))
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    feed = {images: image, labels: label}
    return {
        "train": lambda: session.run(step, feed),
        "infer": lambda: session.run(probability, {images: image}),
        "profile": lambda: by_operation(tf, session, step, feed),
        "build_s": built - start,
        "adam_s": with_adam - built,
        "version": tf.version.VERSION,
    }


def by_operation(tf: Any, session: Any, step: Any, feed: dict[Any, Any]) -> dict[str, float]:
    """Return the seconds of each kind of operation in a step, the longest first."""
    metadata = tf.RunMetadata()
    session.run(step, feed, tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), metadata)
    seconds: collections.Counter[str] = collections.Counter()
    for device in metadata.step_stats.dev_stats:
        for node in device.node_stats:
            kind = re.search(r"= (\w+)", node.timeline_label)
            seconds[kind[1] if kind else node.node_name] += node.all_end_rel_micros / 1e6
    return dict(seconds.most_common(12))


def torch_steps(window: tuple[int, ...]) -> dict[str, Any]:
    """Build the twin in PyTorch; return the same two steps."""
    import torch
    from torch_twin import Twin

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    image, label = (torch.from_numpy(np.moveaxis(array, -1, 1).copy()) for array in example(window))
    network = Twin()
    optimiser = torch.optim.Adam(network.parameters(), lr=LR)

    def train() -> None:
        optimiser.zero_grad(set_to_none=True)
        p = torch.softmax(network(image), 1)[:, 1:]
        dice = 2 * (p * label).sum() / (p.square().sum() + label.sum())
        decay = torch.stack([w.square().sum() / 2 for w in network.parameters()]).mean()
        (1 - dice + DECAY * decay).backward()
        optimiser.step()

    def infer() -> None:
        with torch.inference_mode():
            torch.softmax(network(image), 1)

    return {"train": train, "infer": infer, "version": torch.__version__}


def product_steps() -> dict[str, Any]:
    """Return a product of two square matrices in TensorFlow as the only step."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        factor = tf.compat.v1.placeholder(tf.float32, (SIDE, SIDE))  # a constant would be folded
        product = tf.reduce_sum(tf.matmul(factor, factor))
    session = tf.compat.v1.Session(graph=graph)
    values = np.random.default_rng(0).standard_normal((SIDE, SIDE), np.float32)
    return {"train": lambda: session.run(product, {factor: values})}


def work(name: str, window: tuple[int, ...]) -> int:
    """Run as a worker: build, then do a step for each line read, and write its seconds."""
    steps = {TWIN: lambda: torch_steps(window), PRODUCT: product_steps}.get(
        name, lambda: tensorflow_steps(name, window)
    )()
    answer = {key: value for key, value in steps.items() if not callable(value)}
    print(json.dumps(answer), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        result = steps[line.strip()]()
        seconds = time.perf_counter() - start
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answer = {"s": seconds, "peak_mb": peak_mb}
        if line.strip() == "profile":
            answer["profile"] = result
        print(json.dumps(answer), flush=True)
    return 0


class Worker:
    """The process of a network, seen from outside."""

    def __init__(self, name: str, window: tuple[int, ...], python: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [python, __file__, "--work", name, "--window", ",".join(map(str, window))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self.seconds: dict[str, list[float]] = {"train": [], "infer": []}
        self.peak_mb: dict[str, float] = {}
        self.start = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        sys.exit(f"{self.name} ended with exit code {self.process.wait()}")

    def step(self, kind: str, counted: bool) -> dict[str, Any]:
        """Do a step; the first of a kind is for warming up. Return the worker's answer."""
        print(kind, file=self.process.stdin, flush=True)
        answer = self._answer()
        if counted:
            self.seconds[kind].append(answer["s"])
            self.peak_mb[kind] = answer["peak_mb"]
        return answer

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def median(self, kind: str) -> float:
        """Return the median of the seconds of a kind of step."""
        return statistics.median(self.seconds[kind])


def main() -> int:
    """Run all processes; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--window", default="192,192,48", help="X,Y,Z; default %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default %(default)s")
    parser.add_argument(
        "--torch",
        default=sys.executable,
        metavar="PYTHON",
        help="Python of an environment with PyTorch, if this one has none",
    )
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    window = tuple(int(side) for side in args.window.split(","))
    if args.work:
        return work(args.work, window)
    names = [*NETWORKS, PRODUCT]
    has_torch = [args.torch, "-c", "import torch"]
    if subprocess.run(has_torch, stderr=subprocess.DEVNULL, check=False).returncode:
        print("no PyTorch here: pip install torch, or give --torch PYTHON; the twin is left out")
    else:
        names.append(TWIN)
    # a process for each kind of step: the peak of a training would hide that of an inference
    workers = {}
    for kind in ("build", "infer", "train"):
        for name in NETWORKS if kind == "build" else names:
            python = args.torch if name == TWIN else sys.executable
            workers[kind, name] = Worker(name, window, python)
            if kind == "build":
                workers[kind, name].close()
    for kind in ("infer", "train"):
        for round_ in range(args.rounds + 1):
            for name in names:
                if kind == "train" or name != PRODUCT:
                    workers[kind, name].step(kind, counted=round_ > 0)
        if kind == "train":
            profile = workers[kind, NETWORKS[0]].step("profile", counted=False)["profile"]
        for name in names:
            workers[kind, name].close()
    report(workers, names, window)
    print(f"a train step of {NETWORKS[0]} by operation (they overlap):")
    for operation, seconds in profile.items():
        print(f"  {operation:36}{seconds:7.3f} s")
    return 0


def report(
    workers: dict[tuple[str, str], Worker], names: list[str], window: tuple[int, ...]
) -> None:
    """Print the table: medians, peaks and ratios to v1.

    The last columns are how long TensorFlow's Python takes to build network, loss and gradients,
    and to add Adam's state and updates (medians of processes).
    """
    rate = 2 * SIDE**3 / workers["train", PRODUCT].median("train") / 1e9
    floor = GFLOP_PER_VOXEL * np.prod(window) / rate
    ours = {kind: workers[kind, NETWORKS[0]].median(kind) for kind in ("train", "infer")}
    versions = [
        f"{stack} {workers['train', name].start['version']}"
        for stack, name in (("TensorFlow", NETWORKS[0]), ("PyTorch", TWIN))
        if name in names
    ]
    print(
        f"window {window}, {os.cpu_count()} cores, {', '.join(versions)}, matrix product "
        f"{rate:.0f} GFLOP/s"
    )
    print(
        f"{'':24}{'train s':>9}{'v1 / it':>9}{'infer s':>9}{'v1 / it':>9}{'peak GB':>9}"
        f"{'infer GB':>9}{'build s':>9}{'Adam s':>9}"
    )
    for name in names:
        if name == PRODUCT:
            continue
        train, infer = workers["train", name], workers["infer", name]
        values = [
            train.median("train"),
            ours["train"] / train.median("train"),
            infer.median("infer"),
            ours["infer"] / infer.median("infer"),
            train.peak_mb["train"] / 1024,
            infer.peak_mb["infer"] / 1024,
            *(
                statistics.median(
                    worker.start.get(key, float("nan"))
                    for (_, own), worker in workers.items()
                    if own == name
                )
                for key in ("build_s", "adam_s")
            ),
        ]
        print(f"{name:24}" + "".join(f"{value:9.2f}" for value in values))
    print(f"{'floor of a train step':24}{floor:9.2f}{ours['train'] / floor:9.2f}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main())
