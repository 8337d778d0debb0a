"""``stop_on_nan``: a training ends where its loss or gradient is no number, and says with what."""

import math

import tensorflow as tf
from niftynet.engine.signal import GRAPH_CREATED, ITER_FINISHED, ITER_STARTED
from niftynet.utilities.util_common import traverse_nested

from niftynet_ext.core import checkpoints
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.training.batch import subject_ids, window_location
from niftynet_ext.training.saver import finite_op

FETCH = "niftynet_ext_nan_guard"


class StopOnNan:
    """Event handler. The parameters are those NiftyNet's driver gives every event handler.

    :param model_dir: NiftyNet's model folder
    """

    def __init__(self, model_dir=None, is_training_action=True, **_unused):
        self.model_dir = model_dir
        self.gradients_finite = self.location = None
        if is_training_action:
            GRAPH_CREATED.connect(self.on_graph)
            ITER_STARTED.connect(self.on_iteration_start)
            ITER_FINISHED.connect(self.on_iteration)

    def on_graph(self, sender, **_unused):
        """The gradient may overflow first: the loss would show it one batch too late."""
        gradients = sender.gradients_collector.gradients
        values = gradients.values() if isinstance(gradients, dict) else gradients
        self.gradients_finite = finite_op(
            [value for value in traverse_nested(list(values)) if isinstance(value, tf.Tensor)]
        )
        self.location = window_location(tf.get_default_graph())

    def on_iteration_start(self, sender, **msg):
        """Ask the session for the loss, and for where the windows of the batch come from."""
        fetches = {}
        if sender.total_loss is not None:  # NiftyNet's GAN has two losses, and their gradients
            fetches["loss"] = sender.total_loss
        if msg["iter_msg"].is_training:
            fetches["finite"] = self.gradients_finite
        if self.location is not None:
            fetches["location"] = self.location
        msg["iter_msg"].ops_to_run[FETCH] = fetches

    def on_iteration(self, sender, **msg):
        """
        :raises RefusedError: the loss or the gradient is infinite or not a number
        """
        message = msg["iter_msg"]
        found = message.current_iter_output[FETCH]
        loss = float(found.get("loss", 0.0))
        if math.isfinite(loss) and found.get("finite", True):
            return
        what = "gradient" if math.isfinite(loss) else "loss"
        value = "not finite" if math.isfinite(loss) else loss
        reader = sender.readers[-1 if message.is_validation else 0]
        subjects = subject_ids(reader, found.get("location"))
        saved = checkpoints.latest(self.model_dir)
        go_back = (
            f"go back to checkpoint {saved} (starting_iter = {saved})"
            if saved is not None
            else "begin anew"
        )
        raise RefusedError(
            f"the {what} of {message.phase} iteration {message.current_iter} is {value}; "
            f"subjects of the batch: {subjects}. Look at their images for values that "
            f"are not finite, or lower lr, and {go_back}"
        )
