"""NiftyNet's two checkpoint handlers with more checks, registered under NiftyNet's own names.

``model_saver`` uses the number of the last iteration that has ended, never saves weights that are
not finite, and never saves the same weights twice. ``model_restorer`` reads only complete
checkpoints of the same network.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
from niftynet.engine.handler_model import ModelRestorer, ModelSaver
from niftynet.engine.signal import ITER_FINISHED

from niftynet_ext.core import checkpoints
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import say, some

# NiftyNet is untyped: its objects (application, iteration message) are Any


class CarefulSaver(ModelSaver):
    """Event handler ``model_saver``: write complete checkpoints of finite weights.

    NiftyNet's own handler uses the number of the iteration that has *begun* when a session breaks
    off: a training that fails at its first step would advance by one at every restart.
    NiftyNet's driver passes the parameters to every event handler.

    :param model_dir: NiftyNet's model folder
    :param initial_iter: iteration of the checkpoint that the action starts from
    :param others: of NiftyNet's handler
    """

    def __init__(self, model_dir: str, initial_iter: int = 0, **others: Any) -> None:
        super().__init__(model_dir=model_dir, **others)
        self.model_dir = model_dir
        self.done = self.saved = initial_iter
        self.all_finite: tf.Tensor | None = None
        ITER_FINISHED.connect(self.count)

    def count(self, _sender: Any, **msg: Any) -> None:
        """Remember the last training iteration whose weights are in the session."""
        if msg["iter_msg"].is_training:
            self.done = msg["iter_msg"].current_iter

    def init_saver(self, sender: Any, **unused: Any) -> None:
        """Make NiftyNet's saver, and a tensor that says whether all variables are finite."""
        super().init_saver(sender, **unused)
        self.all_finite = finite_op(tf.global_variables())

    def save_model(self, _sender: Any, **_msg: Any) -> None:
        """Save at the end of a session, however it ends."""
        if self.done > self.saved:
            self._save_at(self.done)

    def _save_at(self, iter_i: int) -> None:
        """Save the weights of the session, unless they are saved already or not finite.

        :param iter_i: iteration whose weights the session holds
        :raises RefusedError: the file cannot be written, e.g. because the disk is full
        """
        if not self.saver or iter_i == self.saved:
            return
        if not tf.get_default_session().run(self.all_finite):
            say(
                f"iteration {iter_i} is not saved: its weights are not finite; "
                f"{latest_checkpoint(self.model_dir)}"
            )
            return
        # a file of the same number is from an earlier training: new data beside its old index would
        # look complete if the process were killed between the two
        index = f"{self.file_name_prefix}-{iter_i}.index"
        if tf.gfile.Exists(index):
            tf.gfile.Remove(index)
        try:
            super()._save_at(iter_i)
        except (tf.errors.OpError, OSError) as error:
            raise RefusedError(
                f"{self.file_name_prefix}-{iter_i} could not be written: {cause(error)}. Free some "
                f"space on that disk, then run the same command again: "
                f"{latest_checkpoint(self.model_dir)}"
            ) from error
        self.saved = iter_i


class CarefulRestorer(ModelRestorer):
    """Event handler ``model_restorer``: check a checkpoint before TensorFlow reads it.

    NiftyNet's driver passes the parameters to every event handler.

    :param model_dir: NiftyNet's model folder
    :param vars_to_restore: regular expression of the variables to restore; None or empty for all
    :param others: of NiftyNet's handler
    """

    def __init__(self, model_dir: str, vars_to_restore: str | None = None, **others: Any) -> None:
        super().__init__(model_dir=model_dir, vars_to_restore=vars_to_restore, **others)
        self.model_dir = model_dir

    def restore_model(self, sender: Any, **unused: Any) -> None:
        """Restore the weights.

        :raises RefusedError: no complete checkpoint of that number, or one of another network
        """
        prefix = f"{self.file_name_prefix}-{self.initial_iter}"
        if not checkpoints.is_whole(f"{prefix}.index"):
            complete = some(checkpoints.whole(self.model_dir)) or "none"
            raise RefusedError(
                f"{prefix} is missing or incomplete. Complete checkpoints in {self.model_dir}: "
                f"{complete}"
            )
        if not self.vars_to_restore:  # else NiftyNet names what does not match the expression
            graph = {
                variable.op.name: tuple(variable.shape.as_list())
                for variable in tf.global_variables()
            }
            file = {name: tuple(shape) for name, shape in tf.train.list_variables(prefix)}
            problem = differences(graph, file)
            if problem:
                raise RefusedError(
                    f"{prefix} is not of this network: {problem}. Use another model_dir, or the "
                    f"network (and optimiser) that wrote it; to load only some of its variables, "
                    f"set vars_to_restore"
                )
        super().restore_model(sender, **unused)


def latest_checkpoint(model_dir: str) -> str:
    """Say which complete checkpoint of a model folder is the latest."""
    number = checkpoints.latest(model_dir)
    if number is None:
        return f"there is no complete checkpoint in {model_dir}"
    return f"the latest complete checkpoint in {model_dir} is {number}"


def cause(error: Exception) -> str:
    """Return the line of an error that says what happened.

    :param error: of a TensorFlow session, whose text is a page long, or of the operating system
    :return: e.g. ``<path>; No space left on device``
    """
    lines = [line.strip() for line in str(error).splitlines()]
    before_node = [
        line
        for line, after in zip(lines, lines[1:], strict=False)
        if line and after.startswith("[[{{node")
    ]
    return (before_node or lines or [repr(error)])[0]


def finite_op(variables: Iterable[Any]) -> tf.Tensor:
    """Add a tensor to the graph that says whether every floating-point value is finite.

    :param variables: TensorFlow variables or tensors of any type
    :return: boolean scalar tensor
    """
    with tf.name_scope("AllFinite"):
        return tf.reduce_all(
            [
                tf.reduce_all(tf.is_finite(variable))
                for variable in variables
                if variable.dtype.base_dtype.is_floating
            ]
            or [True]
        )


def differences(
    graph: Mapping[str, tuple[int, ...]], file: Mapping[str, tuple[int, ...]]
) -> str | None:
    """Name what a checkpoint cannot give to the graph.

    :param graph: shape of each variable of the graph, by name
    :param file: the same for the checkpoint
    :return: None where the checkpoint has every variable of the graph
    """
    missing = sorted(set(graph) - set(file))
    unknown = sorted(set(file) - set(graph))
    reshaped = [
        f"{name} has shape {file[name]}, expected {graph[name]}"
        for name in sorted(set(graph) & set(file))
        if graph[name] != file[name]
    ]
    if not missing and not reshaped:
        return None
    parts = []
    if missing:
        parts.append(f"it lacks {some(missing, 3)}")
    if unknown:
        parts.append(f"it has {some(unknown, 3)}, which this network has not")
    if reshaped:
        parts.append(some(reshaped, 3))
    return "; ".join(parts)
