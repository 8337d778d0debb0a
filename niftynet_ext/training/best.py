"""``best_checkpoint``: validate on whole volumes during training, and keep the best network.

Every ``whole_volume_validation_every_n`` iterations ([TRAINING]) each volume of the validation set
is segmented as ``net_segment inference`` with ``batch_size = 1`` does it, in windows of
[INFERENCE], and compared with its label. The best network so far is in ``<model_dir>/best``,
itself a model folder: ``net_segment inference --model_dir <model_dir>/best``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from niftynet.engine.handler_model import FILE_PREFIX
from niftynet.engine.signal import GRAPH_CREATED, ITER_FINISHED, SESS_STARTED, VALID
from niftynet.io.misc_io import get_latest_subfolder

from data_prep.core.console import count_of
from data_prep.core.overlap import dice
from niftynet_ext.core import checkpoints
from niftynet_ext.core.choices import GRID, WHOLE
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import say
from niftynet_ext.inference.windows import infer_volume
from niftynet_ext.network.window_checks import window_multiple
from niftynet_ext.training.overlay import draw_overlay
from niftynet_ext.training.saver import cause

if TYPE_CHECKING:  # pydantic takes time to import, and inference does not need it
    from niftynet_ext.training.best_record import BestRecord

# NiftyNet is untyped: its objects (driver, application, reader, parameters) are Any

SUBJECTS_SHOWN = 4
"""Number of subjects whose slice is shown in TensorBoard."""


class BestCheckpoint:
    """Event handler: validate on whole volumes and keep the best network.

    NiftyNet's driver passes the parameters to every event handler.

    :param model_dir: NiftyNet's model folder
    :param initial_iter: 0 begins a new record; otherwise the earlier one has to be beaten
    :param is_training_action: whether the action is ``train``
    :param inference_param: parameters of [INFERENCE]: window and border
    :param whole_volume_validation_every_n: 0 or less: never
    :raises RefusedError: a newer version of this software wrote the earlier record
    """

    def __init__(
        self,
        model_dir: str,
        initial_iter: int = 0,
        is_training_action: bool = True,
        inference_param: Any = None,
        whole_volume_validation_every_n: int = -1,
        **_unused: Any,
    ) -> None:
        self.folder = Path(model_dir, "best")
        self.logs = os.path.join(model_dir, "logs")
        self.every_n = whole_volume_validation_every_n
        self.inference = inference_param
        self.kind = getattr(inference_param, "inference_windows", GRID)
        self.window: tuple[int, ...] = ()
        self.multiple = 1
        self.best: BestRecord | None = None
        # TensorFlow's objects, made when NiftyNet has built its graph
        self.saver: Any = None
        self.images: Any = None
        self.probability: Any = None
        self.writer: Any = None
        self.picture: Any = None
        self.pictures: Any = None
        if is_training_action and self.every_n > 0:
            if initial_iter:
                self.best = earlier_best(self.folder)
            GRAPH_CREATED.connect(self.on_graph)
            SESS_STARTED.connect(self.on_session)
            ITER_FINISHED.connect(self.on_iteration)

    def on_graph(self, sender: Any, **_unused: Any) -> None:
        """Add a second input to the same network: the layers of NiftyNet share their variables."""
        if len(sender.readers) < 2 or not hasattr(sender, "segmentation_param"):
            say("best_checkpoint does nothing: it needs a segmentation with a validation set")
            return
        reader = sender.readers[-1]
        with tf.name_scope("WholeVolume"):
            self.images = tf.placeholder(tf.float32, [1, None, None, None, channels(reader)])
            window = tuple(self.inference.spatial_window_size) if self.inference else ()
            window = window or tuple(sender.sampler[0][0].window.shapes["image"][1:4])
            window = (0, 0, 0) if self.kind == WHOLE else window
            self.images.set_shape([1, *(side if side > 0 else None for side in window), None])
            logits = sender.net(self.images, is_training=False, keep_prob=1.0)
            self.probability = tf.nn.softmax(logits)
        self.window, self.multiple = window, window_multiple(sender.net_param.name)
        # all handlers exist by now: tensorboard_logger may have begun a new folder
        self.writer = tf.summary.FileWriter(
            os.path.join(get_latest_subfolder(self.logs), f"{VALID}_whole_volume")
        )
        self.picture = tf.placeholder(tf.uint8, [None, None, None, 3])
        self.pictures = tf.summary.image("validation", self.picture, SUBJECTS_SHOWN, collections=[])

    def on_session(self, _sender: Any, **_unused: Any) -> None:
        """Make a saver of its own for the best network; it keeps the newest only."""
        self.saver = tf.train.Saver(max_to_keep=1, save_relative_paths=True)

    def on_iteration(self, sender: Any, **msg: Any) -> None:
        """Validate, if it is time."""
        message = msg["iter_msg"]
        if self.images is None or not message.is_training or message.current_iter % self.every_n:
            return
        scores, overlays = self.validate(sender.readers[-1])
        mean = float(np.mean(list(scores.values())))
        improved = self.best is None or mean > self.best.dice
        say(
            f"iteration {message.current_iter}: Dice {mean:.4f} on the validation set "
            f"({count_of(len(scores), 'whole volume')}){', the best so far' if improved else ''}"
        )
        if improved:
            self.keep(mean, scores, message.current_iter)
        self.log(mean, overlays, message.current_iter)

    def validate(self, reader: Any) -> tuple[dict[str, float], list[np.ndarray]]:
        """Segment every volume of the validation set.

        :param reader: NiftyNet's reader of the validation set
        :return: foreground Dice by subject; the overlays of the first few, uint8 (Y, X, 3)
        """
        scores: dict[str, float] = {}
        overlays: list[np.ndarray] = []
        for index in range(len(reader.output_list)):
            _, data, _ = reader(idx=index, shuffle=False)
            image, label = data["image"][:, :, :, 0, :], data["label"][:, :, :, 0, 0]
            prediction = self.segment(image)
            scores[str(reader.get_subject_id(index))] = dice(prediction, label > 0)
            if len(overlays) < SUBJECTS_SHOWN:
                overlays.append(draw_overlay(image[..., 0], label > 0, prediction))
        return scores, overlays

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one volume with the network of the current session.

        :param image: (X, Y, Z, channels)
        :return: boolean (X, Y, Z): voxels whose most probable class is not the background
        """
        session = tf.get_default_session()

        def infer(window: np.ndarray) -> np.ndarray:
            return session.run(self.probability, {self.images: window[np.newaxis]})[0]

        border = getattr(self.inference, "border", (0, 0, 0))
        probability = infer_volume(self.kind, image, self.window, border, self.multiple, infer)
        return probability.argmax(-1) > 0

    def log(self, mean: float, overlays: list[np.ndarray], iteration: int) -> None:
        """Write Dice and overlays for TensorBoard.

        :param mean: Dice over the validation set
        :param overlays: uint8 (Y, X, 3), of any sizes
        :param iteration: number of the training iteration
        :raises RefusedError: they cannot be written
        """
        sides = np.max([overlay.shape for overlay in overlays], axis=0)
        stack = np.stack(
            [
                np.pad(
                    overlay,
                    [(0, most - side) for most, side in zip(sides, overlay.shape, strict=True)],
                )
                for overlay in overlays
            ]
        )
        summary = tf.get_default_session().run(self.pictures, {self.picture: stack})
        scalar = tf.Summary(value=[tf.Summary.Value(tag="dice_whole_volume", simple_value=mean)])
        try:
            self.writer.add_summary(summary, iteration)
            self.writer.add_summary(scalar, iteration)
            self.writer.flush()
        except Exception as error:  # on a full disk, TensorFlow's writer raises an IndexError
            raise not_written(self.writer.get_logdir(), error) from error

    def keep(self, mean: float, scores: dict[str, float], iteration: int) -> None:
        """Save the network, then the record that names it; then remove the earlier network.

        :param mean: Dice over the validation set
        :param scores: foreground Dice by subject
        :param iteration: number of the training iteration
        :raises RefusedError: a file cannot be written
        """
        from niftynet_ext.training.best_record import BestRecord, write_best

        models = self.folder / "models"
        name = f"{FILE_PREFIX}-{iteration}"
        self.best = BestRecord(
            iteration=iteration, dice=mean, subjects=scores, checkpoint=f"models/{name}"
        )
        try:
            models.mkdir(parents=True, exist_ok=True)
            self.saver.save(
                tf.get_default_session(), str(models / FILE_PREFIX), global_step=iteration
            )
            write_best(self.folder, self.best)
        except (tf.errors.OpError, OSError) as error:
            raise not_written(models / name, error) from error
        for path in models.glob(f"{FILE_PREFIX}-*"):
            if not path.name.startswith(f"{name}."):
                path.unlink()
        checkpoints.tidy(self.folder)


def channels(reader: Any) -> int:
    """Return the number of modalities of the image.

    :param reader: NiftyNet's image reader
    """
    return int(reader.shapes["image"][-1])


def not_written(path: str | Path, error: Exception) -> RefusedError:
    """Return the refusal for a file or folder that could not be written.

    :param path: the file or folder
    :param error: what TensorFlow or the operating system raised
    """
    return RefusedError(
        f"{path} could not be written: {cause(error)}. Free some space on that disk, then run the "
        f"same command again"
    )


def earlier_best(folder: Path) -> BestRecord | None:
    """Return the record of an earlier training in this folder.

    :param folder: model folder of the best network
    :return: None where there is no record with a complete checkpoint
    :raises RefusedError: a newer version of this software wrote the record
    """
    from data_prep.core.contracts import NewerSchemaError
    from niftynet_ext.training.best_record import best_so_far

    try:
        return best_so_far(folder)
    except NewerSchemaError as error:
        raise RefusedError(
            f"{error} To train without it, remove best_checkpoint from event_handler in [SYSTEM], "
            f"or change model_dir"
        ) from error
