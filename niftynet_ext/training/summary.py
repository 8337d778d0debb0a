"""``train_summary``: write what a training did to ``<model_dir>/train_summary.json`` at its end."""

from __future__ import annotations

import math
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import tensorflow as tf
from niftynet.engine.signal import GRAPH_CREATED, ITER_FINISHED, ITER_STARTED

from data_prep.core.errors import DataError
from data_prep.core.identity import VERSION
from niftynet_ext.core import checkpoints
from niftynet_ext.core.messages import say
from niftynet_ext.training.meter import Meter
from niftynet_ext.training.signals import RUN_ENDED

if TYPE_CHECKING:  # pydantic takes time to import, and inference does not need it
    from niftynet_ext.training.training_summary import BestCheckpointSummary, TrainingSummary

# NiftyNet is untyped: its objects (application, iteration message) are Any


class TrainSummary:
    """Event handler: write a summary when the training ends.

    NiftyNet's driver passes the parameters to every event handler.

    :param model_dir: NiftyNet's model folder
    :param initial_iter: iteration of the checkpoint that the training starts from
    :param final_iter: last iteration asked for
    :param seed: ``seed`` of [SYSTEM]; -1 for none
    :param meter: shared with other handlers, or None
    :param is_training_action: whether the action is ``train``
    """

    def __init__(
        self,
        model_dir: str,
        initial_iter: int = 0,
        final_iter: int = 0,
        seed: int = -1,
        meter: Meter | None = None,
        is_training_action: bool = True,
        **_unused: Any,
    ) -> None:
        self.model_dir = Path(model_dir)
        self.first, self.last, self.seed = initial_iter, final_iter, seed
        self.started = time.time()
        self.meter = meter or Meter()
        if is_training_action:
            GRAPH_CREATED.connect(self.on_graph)
            ITER_STARTED.connect(self.on_iteration_start)
            ITER_FINISHED.connect(self.on_iteration)
            RUN_ENDED.connect(self.on_end)

    def on_graph(self, _sender: Any, **_unused: Any) -> None:
        """See :meth:`.Meter.on_graph`."""
        self.meter.on_graph()

    def on_iteration_start(self, sender: Any, **msg: Any) -> None:
        """See :meth:`.Meter.start`."""
        self.meter.start(sender, msg["iter_msg"])

    def on_iteration(self, _sender: Any, **msg: Any) -> None:
        """See :meth:`.Meter.finish`."""
        if msg["iter_msg"].is_training:
            self.meter.finish(msg["iter_msg"])

    def on_end(self, sender: Any, **_unused: Any) -> None:
        """Write the file, however the training ended."""
        from niftynet_ext.training.training_summary import SUMMARY_FILE

        path = self.model_dir / SUMMARY_FILE
        try:
            self.summary(sender).write(path)
        except OSError as error:  # a full disk, which has already ended the training with an error
            say(f"{path} could not be written: {error.strerror}")

    def summary(self, application: Any) -> TrainingSummary:
        """Return what the training has done up to now.

        :param application: NiftyNet's application
        """
        from niftynet_ext.training.training_summary import TrainingSummary

        meter, reached = self.meter, self.first + self.meter.iterations
        share = meter.waiting_share
        return TrainingSummary(
            network=application.net_param.name,
            loss_type=getattr(application.action_param, "loss_type", None),
            first_iteration=self.first + 1,
            last_iteration=reached,
            finished=reached == self.last,
            seconds=round(time.time() - self.started, 1),
            seconds_per_iteration=round(meter.seconds / max(meter.iterations, 1), 4),
            data_wait_share=None if share is None else round(share, 3),
            loss=finite(meter.loss),
            loss_mean=finite(meter.average),
            loss_mean_lowest=finite(meter.lowest),
            checkpoint=checkpoints.latest(self.model_dir),
            best_checkpoint=best_checkpoint(self.model_dir / "best"),
            seed=self.seed if self.seed >= 0 else None,
            versions={
                "niftynet_ext": VERSION,
                "niftynet": metadata.version("niftynet"),
                "tensorflow": tf.__version__,
                "numpy": numpy.__version__,
                "python": platform.python_version(),
            },
        )


def finite(value: float | None) -> float | None:
    """Return the value, or None where it is unknown, infinite or not a number."""
    return value if value is not None and math.isfinite(value) else None


def best_checkpoint(folder: Path) -> BestCheckpointSummary | None:
    """Summarise the record of the best network.

    :param folder: model folder of the best network
    :return: None where there is no record that can be read, with a complete checkpoint
    """
    from niftynet_ext.training.best_record import read_best
    from niftynet_ext.training.training_summary import BestCheckpointSummary

    try:
        record = read_best(folder)
    except DataError:
        return None
    return BestCheckpointSummary(iteration=record.iteration, dice=record.dice)
