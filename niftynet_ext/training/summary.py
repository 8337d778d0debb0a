"""``train_summary``: what a training did, in ``<model_dir>/train_summary.json`` at its end."""

import math
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy
import tensorflow as tf
from niftynet.engine.signal import GRAPH_CREATED, ITER_FINISHED, ITER_STARTED

from data_prep.core import files
from data_prep.core.identity import VERSION
from niftynet_ext.core import checkpoints
from niftynet_ext.core.messages import say
from niftynet_ext.training.best import read_record
from niftynet_ext.training.meter import Meter
from niftynet_ext.training.signals import RUN_ENDED

NAME = "train_summary.json"


class TrainSummary:
    """Event handler. The parameters are those NiftyNet's driver gives every event handler."""

    def __init__(
        self,
        model_dir=None,
        initial_iter=0,
        final_iter=0,
        seed=-1,
        meter=None,
        is_training_action=True,
        **_unused,
    ):
        self.model_dir = Path(model_dir)
        self.first, self.last, self.seed = initial_iter, final_iter, seed
        self.started = time.time()
        self.meter = meter or Meter()
        if is_training_action:
            GRAPH_CREATED.connect(self.on_graph)
            ITER_STARTED.connect(self.on_iteration_start)
            ITER_FINISHED.connect(self.on_iteration)
            RUN_ENDED.connect(self.on_end)

    def on_graph(self, _sender, **_unused):
        """See :meth:`Meter.on_graph`."""
        self.meter.on_graph()

    def on_iteration_start(self, sender, **msg):
        """See :meth:`Meter.ask`."""
        self.meter.ask(sender, msg["iter_msg"])

    def on_iteration(self, _sender, **msg):
        """See :meth:`Meter.tell`."""
        if msg["iter_msg"].is_training:
            self.meter.tell(msg["iter_msg"])

    def on_end(self, sender, **_unused):
        """Write the file, however the training ended."""
        meter, reached = self.meter, self.first + self.meter.iterations
        best = read_record(self.model_dir / "best")
        share = meter.waiting_share
        content = {
            "network": sender.net_param.name,
            "loss_type": getattr(sender.action_param, "loss_type", None),
            "first_iteration": self.first + 1,
            "last_iteration": reached,
            "finished": reached == self.last,
            "seconds": round(time.time() - self.started, 1),
            "seconds_per_iteration": round(meter.seconds / max(meter.iterations, 1), 4),
            "data_wait_share": None if share is None else round(share, 3),
            **{
                name: value if value is not None and math.isfinite(value) else None
                for name, value in (
                    ("loss", meter.loss),
                    ("loss_mean", meter.average),
                    ("loss_mean_lowest", meter.lowest),
                )
            },
            "checkpoint": checkpoints.latest(self.model_dir),
            "best_checkpoint": best and {key: best[key] for key in ("iteration", "dice")},
            "seed": self.seed if self.seed >= 0 else None,
            "versions": {
                "niftynet_ext": VERSION,
                "niftynet": metadata.version("niftynet"),
                "tensorflow": tf.__version__,
                "numpy": numpy.__version__,
                "python": platform.python_version(),
            },
        }
        try:
            files.write_json(self.model_dir / NAME, content)
        except OSError as error:  # a full disk, which has ended the training with a line of its own
            say(f"{self.model_dir / NAME} could not be written: {error.strerror}")
