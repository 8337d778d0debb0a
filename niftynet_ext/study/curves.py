"""Learning curves, from the files that NiftyNet's ``tensorboard_logger`` leaves in a model folder.

All rounds of a training lie on one axis of iterations. TensorFlow is not imported.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from niftynet_ext.core.paper import Stage

LOG_FOLDERS = ("training", "validation")
"""NiftyNet's folders in ``logs/<number>``."""

_LOSS = re.compile(r"(.*/)?loss")
"""The loss without the weight decay: ``worker_0/loss`` (NiftyNet has ``total_loss`` beside it)."""


class Curve(NamedTuple):
    """Losses (n,) of iterations (n,), in rising order."""

    iterations: np.ndarray
    losses: np.ndarray


def read_curve(model_dir, phase):
    """
    :param model_dir: NiftyNet's model folder
    :param phase: one of :data:`LOG_FOLDERS`
    :return: :class:`Curve`; where a training went on from an earlier checkpoint, an iteration has
        the loss that was logged last. Empty without events: with ``validation_every_n = -1`` there
        are none of validation
    """
    latest = {}
    for path in Path(model_dir, "logs").glob(f"*/{phase}/events.out.tfevents.*"):
        events = EventAccumulator(str(path), size_guidance={"scalars": 0})  # 0: keep all
        events.Reload()
        for tag in filter(_LOSS.fullmatch, events.Tags()["scalars"]):
            for event in events.Scalars(tag):
                known = latest.get(event.step)
                if known is None or known[0] <= event.wall_time:
                    latest[event.step] = event.wall_time, event.value
    iterations = sorted(latest)
    return Curve(np.array(iterations, int), np.array([latest[i][1] for i in iterations], float))


def read_stages(model_dir):
    """The losses that ``niftynet_ext.study.rounds`` trained with, from its log.

    :param model_dir: NiftyNet's model folder
    :return: list of :class:`~.rounds.Stage`, in rising order; empty without a log of rounds
    """
    log = Path(model_dir, "rounds.log")
    if not log.is_file():
        return []
    stages = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("$ net_segment train"):
            words = shlex.split(line)
            flags = dict(zip(words, words[1:], strict=False))
            if "--loss_type" in flags and "--max_iter" in flags:
                stages[int(flags["--max_iter"])] = flags["--loss_type"]
    return [Stage(stages[last], last) for last in sorted(stages)]


def smooth(losses, width):
    """
    :param losses: (n,)
    :param width: of a window centred on a value, odd; at the ends it is what there is of it
    :return: (n,) means over the windows
    """
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    places = np.arange(len(losses))
    low = np.maximum(places - width // 2, 0)
    high = np.minimum(places + width // 2 + 1, len(losses))
    return (sums[high] - sums[low]) / (high - low)
