"""``stop_on_nan``: end a training whose loss or gradient is infinite or not a number (NaN)."""

import math
from typing import Any

import tensorflow as tf
from niftynet.engine.signal import GRAPH_CREATED, ITER_FINISHED, ITER_STARTED
from niftynet.utilities.util_common import traverse_nested

from niftynet_ext.core import checkpoints
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.training.batch import subject_ids, window_location
from niftynet_ext.training.saver import finite_op

# NiftyNet is untyped: its objects (application, iteration message) are Any

FETCH = "niftynet_ext_nan_guard"
"""Key of the guard among the values that NiftyNet fetches from the session."""


class StopOnNan:
    """Event handler: refuse a loss or gradient that is not finite.

    NiftyNet's driver passes the parameters to every event handler.

    :param model_dir: NiftyNet's model folder
    :param is_training_action: whether the action is ``train``
    """

    def __init__(self, model_dir: str, is_training_action: bool = True, **_unused: Any) -> None:
        self.model_dir = model_dir
        self.gradients_finite: tf.Tensor | None = None
        self.location: tf.Tensor | None = None
        if is_training_action:
            GRAPH_CREATED.connect(self.on_graph)
            ITER_STARTED.connect(self.on_iteration_start)
            ITER_FINISHED.connect(self.on_iteration)

    def on_graph(self, sender: Any, **_unused: Any) -> None:
        """Prepare the check of the gradient, which may overflow one batch before the loss does."""
        gradients = sender.gradients_collector.gradients
        values = gradients.values() if isinstance(gradients, dict) else gradients
        self.gradients_finite = finite_op(
            [value for value in traverse_nested(list(values)) if isinstance(value, tf.Tensor)]
        )
        self.location = window_location(tf.get_default_graph())

    def on_iteration_start(self, sender: Any, **msg: Any) -> None:
        """Fetch the loss, and where the windows of the batch come from."""
        fetches = {}
        if sender.total_loss is not None:  # NiftyNet's GAN has two losses, and their gradients
            fetches["loss"] = sender.total_loss
        if msg["iter_msg"].is_training:
            fetches["finite"] = self.gradients_finite
        if self.location is not None:
            fetches["location"] = self.location
        msg["iter_msg"].ops_to_run[FETCH] = fetches

    def on_iteration(self, sender: Any, **msg: Any) -> None:
        """Check the loss and the gradient of this iteration.

        :raises RefusedError: one of them is infinite or not a number
        """
        message = msg["iter_msg"]
        output = message.current_iter_output[FETCH]
        loss = float(output.get("loss", 0.0))
        if math.isfinite(loss) and output.get("finite", True):
            return
        reader = sender.readers[-1 if message.is_validation else 0]
        subjects = subject_ids(reader, output.get("location"))
        saved = checkpoints.latest(self.model_dir)
        resume = (
            f"resume from checkpoint {saved} (starting_iter = {saved})"
            if saved is not None
            else "start again (starting_iter = 0)"
        )
        raise RefusedError(
            f"{faulty(loss)} in {message.phase} iteration {message.current_iter}; subjects of the "
            f"batch: {subjects}. Check their images for values that are not finite, or lower lr, "
            f"and {resume}"
        )


def faulty(loss: float) -> str:
    """Say what is not finite: the loss or, where that is finite, the gradient."""
    if math.isfinite(loss):
        return "the gradient is not finite (infinite or NaN)"
    return (
        "the loss is not a number (NaN)" if math.isnan(loss) else f"the loss is infinite ({loss})"
    )
