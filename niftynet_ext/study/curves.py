"""Learning curves, from the files that NiftyNet's ``tensorboard_logger`` leaves in a model folder.

All rounds of a training share one axis of iterations. TensorFlow is not imported.
"""

import re
import shlex
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from niftynet_ext.core.paper import Stage

LOG_FOLDERS = ("training", "validation")
"""NiftyNet's folders in ``logs/<number>``."""

_LOSS_TAG = re.compile(r"(.*/)?loss")
"""The loss without the weight decay: ``worker_0/loss`` (NiftyNet has ``total_loss`` beside it)."""


class Curve(NamedTuple):
    """Losses (n,) of iterations (n,), in rising order."""

    iterations: np.ndarray
    losses: np.ndarray


class Training(NamedTuple):
    """The curves of a model folder, and the losses that it was trained with, if known."""

    training: Curve
    validation: Curve
    stages: list[Stage]


def read_training(model_dir: str | PathLike[str]) -> Training:
    """Read the curves and the stages of a model folder.

    :param model_dir: NiftyNet's model folder
    """
    training, validation = (read_curve(model_dir, log_folder) for log_folder in LOG_FOLDERS)
    return Training(training, validation, read_stages(model_dir))


def read_curve(model_dir: str | PathLike[str], log_folder: str) -> Curve:
    """Read the losses that a training logged.

    :param model_dir: NiftyNet's model folder
    :param log_folder: one of :data:`LOG_FOLDERS`
    :return: the curve; where a training resumed from an earlier checkpoint, an iteration has the
        loss that was logged last. Empty without events: ``validation_every_n = -1`` leaves none of
        validation
    """
    latest: dict[int, tuple[float, float]] = {}  # time and loss
    for path in Path(model_dir, "logs").glob(f"*/{log_folder}/events.out.tfevents.*"):
        events = EventAccumulator(str(path), size_guidance={"scalars": 0})  # 0: keep all
        events.Reload()
        for tag in filter(_LOSS_TAG.fullmatch, events.Tags()["scalars"]):
            for event in events.Scalars(tag):
                known = latest.get(event.step)
                if known is None or known[0] <= event.wall_time:
                    latest[event.step] = event.wall_time, event.value
    iterations = sorted(latest)
    return Curve(np.array(iterations, int), np.array([latest[i][1] for i in iterations], float))


def read_stages(model_dir: str | PathLike[str]) -> list[Stage]:
    """Read from its log which losses :mod:`niftynet_ext.study.rounds` trained with.

    :param model_dir: NiftyNet's model folder
    :return: the stages in rising order; empty without a log of rounds
    """
    log = Path(model_dir, "rounds.log")
    if not log.is_file():
        return []
    losses: dict[int, str] = {}  # by the last iteration
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("$ net_segment train"):
            words = shlex.split(line)
            flags = dict(zip(words, words[1:], strict=False))
            if "--loss_type" in flags and "--max_iter" in flags:
                losses[int(flags["--max_iter"])] = flags["--loss_type"]
    return [Stage(losses[last], last) for last in sorted(losses)]


def smooth(losses: np.ndarray, width: int) -> np.ndarray:
    """Average over a moving window that is centred on each value.

    :param losses: (n,)
    :param width: number of values of the window, odd; at the ends of the curve it has fewer
    :return: (n,) means
    """
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    places = np.arange(len(losses))
    low = np.maximum(places - width // 2, 0)
    high = np.minimum(places + width // 2 + 1, len(losses))
    return (sums[high] - sums[low]) / (high - low)
