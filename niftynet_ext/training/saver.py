"""NiftyNet's two checkpoint handlers, made careful; registered under NiftyNet's own names.

``model_saver`` writes under the number of the last iteration that has ended, never weights that
are not finite, and never twice the same; ``model_restorer`` reads whole checkpoints of this very
network only.
"""

import tensorflow as tf
from niftynet.engine.handler_model import ModelRestorer, ModelSaver
from niftynet.engine.signal import ITER_FINISHED

from niftynet_ext.core import checkpoints
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import say, some


class CarefulSaver(ModelSaver):
    """``model_saver``. The parameters are those NiftyNet's driver gives every event handler.

    NiftyNet's own writes the iteration *begun* when a session breaks off, so that a training
    which fails at its first step moves on by one at every restart.
    """

    def __init__(self, model_dir, initial_iter=0, **others):
        super().__init__(model_dir=model_dir, **others)
        self.model_dir = model_dir
        self.done = self.saved = initial_iter
        self.all_finite = None
        ITER_FINISHED.connect(self.count)

    def count(self, _sender, **msg):
        """Remember the last training iteration whose weights are in the session."""
        if msg["iter_msg"].is_training:
            self.done = msg["iter_msg"].current_iter

    def init_saver(self, sender, **unused):
        """NiftyNet's saver, and the question whether all variables are finite."""
        super().init_saver(sender, **unused)
        self.all_finite = finite_op(tf.global_variables())

    def save_model(self, _sender, **_msg):
        """At the end of a session, however it ends."""
        if self.done > self.saved:
            self._save_at(self.done)

    def _save_at(self, iter_i):
        """
        :param iter_i: iteration whose weights the session holds
        :raises RefusedError: the file cannot be written, e.g. because the disk is full
        """
        if not self.saver or iter_i == self.saved:
            return
        if not tf.get_default_session().run(self.all_finite):
            say(
                f"iteration {iter_i} is not saved: its weights are not finite; the last whole "
                f"checkpoint in {self.model_dir} is {checkpoints.latest(self.model_dir)}"
            )
            return
        # one of the same number is from an earlier training: new data beside an old index would
        # pass for whole if the process were killed between the two
        index = f"{self.file_name_prefix}-{iter_i}.index"
        if tf.gfile.Exists(index):
            tf.gfile.Remove(index)
        try:
            super()._save_at(iter_i)
        except (tf.errors.OpError, OSError) as error:
            raise RefusedError(
                f"{self.file_name_prefix}-{iter_i} could not be written: {cause(error)}. Make "
                f"room on that disk and run the same command again: the last whole checkpoint is "
                f"{checkpoints.latest(self.model_dir)}"
            ) from error
        self.saved = iter_i


class CarefulRestorer(ModelRestorer):
    """``model_restorer``: says what is wrong with a checkpoint before TensorFlow reads it."""

    def __init__(self, model_dir, vars_to_restore=None, **others):
        super().__init__(model_dir=model_dir, vars_to_restore=vars_to_restore, **others)
        self.model_dir = model_dir

    def restore_model(self, sender, **unused):
        """
        :raises RefusedError: no whole checkpoint of that number, or one of another network
        """
        prefix = f"{self.file_name_prefix}-{self.initial_iter}"
        if not checkpoints.is_whole(f"{prefix}.index"):
            there = some(checkpoints.whole(self.model_dir)) or "none"
            raise RefusedError(
                f"{prefix} is missing or not whole. Whole checkpoints of {self.model_dir}: {there}"
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
                    f"{prefix} is not of this network: {problem}. Use another model_dir "
                    f"or the network (and optimiser) that wrote it; to load a part of "
                    f"it, set vars_to_restore"
                )
        super().restore_model(sender, **unused)


def cause(error):
    """
    :param error: of a TensorFlow session, whose text is a page, or of the operating system
    :return: the line that says what happened, e.g. ``<path>; No space left on device``
    """
    lines = [line.strip() for line in str(error).splitlines()]
    before_node = [
        line
        for line, after in zip(lines, lines[1:], strict=False)
        if line and after.startswith("[[{{node")
    ]
    return (before_node or lines or [repr(error)])[0]


def finite_op(variables):
    """
    :param variables: TensorFlow variables or tensors of any type
    :return: boolean scalar tensor: every floating-point value is finite
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


def differences(graph, file):
    """
    :param graph: dict of a variable's name to its shape in the graph
    :param file: the same in a checkpoint
    :return: text that names what the checkpoint cannot give to the graph, or None
    """
    missing = sorted(set(graph) - set(file))
    unknown = sorted(set(file) - set(graph))
    reshaped = [
        f"{name} is {file[name]} there and {graph[name]} here"
        for name in sorted(set(graph) & set(file))
        if graph[name] != file[name]
    ]
    if not missing and not reshaped:
        return None
    parts = []
    if missing:
        parts.append(f"it lacks {some(missing, 3)}")
    if unknown:
        parts.append(f"it has {some(unknown, 3)}")
    if reshaped:
        parts.append(some(reshaped, 3))
    return "; ".join(parts)
