"""``best_checkpoint``: whole-volume validation while training, and the best network kept.

Every ``whole_volume_validation_every_n`` iterations ([TRAINING]) each volume of the validation set
is segmented as ``net_segment inference`` with ``batch_size = 1`` does it, in windows of
[INFERENCE], and compared with its label. The best network so far is in ``<model_dir>/best``,
itself a model folder: ``net_segment inference --model_dir <model_dir>/best``.
"""

import json
import os
from pathlib import Path

import numpy as np
import tensorflow as tf
from niftynet.engine.signal import GRAPH_CREATED, ITER_FINISHED, SESS_STARTED, VALID
from niftynet.io.misc_io import get_latest_subfolder

from data_prep.core import files
from data_prep.core.dice import dice
from niftynet_ext.core import checkpoints
from niftynet_ext.core.choices import GRID, WHOLE
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import say
from niftynet_ext.inference.windows import infer_volume
from niftynet_ext.network.window_checks import window_multiple
from niftynet_ext.training.overlay import draw_overlay
from niftynet_ext.training.saver import cause

RECORD = "best.json"
PICTURES = 4  # subjects whose middle slice is shown in TensorBoard
NAME = "model.ckpt"


class BestCheckpoint:
    """Event handler. The parameters are those NiftyNet's driver gives every event handler.

    :param model_dir: NiftyNet's model folder
    :param initial_iter: 0 begins a new record, else the old one is kept
    :param inference_param: parameters of [INFERENCE]: window and border
    :param whole_volume_validation_every_n: 0 or less: never
    """

    def __init__(
        self,
        model_dir=None,
        initial_iter=0,
        is_training_action=True,
        inference_param=None,
        whole_volume_validation_every_n=-1,
        **_unused,
    ):
        self.folder = Path(model_dir, "best")
        self.logs = os.path.join(model_dir, "logs")
        self.every_n = whole_volume_validation_every_n
        self.inference = inference_param
        self.kind = getattr(inference_param, "inference_windows", GRID)
        self.best = read_record(self.folder) if initial_iter else None
        self.saver = self.images = self.probability = self.writer = None
        if is_training_action and self.every_n > 0:
            GRAPH_CREATED.connect(self.on_graph)
            SESS_STARTED.connect(self.on_session)
            ITER_FINISHED.connect(self.on_iteration)

    def on_graph(self, sender, **_unused):
        """A second way into the same network: the layers of NiftyNet share their variables."""
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
        # after every handler has been made: tensorboard_logger may have begun a new folder
        self.writer = tf.summary.FileWriter(
            os.path.join(get_latest_subfolder(self.logs), f"{VALID}_whole_volume")
        )
        self.picture = tf.placeholder(tf.uint8, [None, None, None, 3])
        self.pictures = tf.summary.image("validation", self.picture, PICTURES, collections=[])

    def on_session(self, _sender, **_unused):
        """One saver for the best: it keeps the newest only."""
        self.saver = tf.train.Saver(max_to_keep=1, save_relative_paths=True)

    def on_iteration(self, sender, **msg):
        """Validate, if it is time."""
        message = msg["iter_msg"]
        if self.images is None or not message.is_training or message.current_iter % self.every_n:
            return
        scores, pictures = self.validate(sender.readers[-1])
        mean = float(np.mean(list(scores.values())))
        best = self.best is None or mean > self.best["dice"]
        say(
            f"iteration {message.current_iter}: Dice {mean:.4f} over {len(scores)} whole volumes "
            f"of validation{', the best so far' if best else ''}"
        )
        if best:
            self.keep(mean, scores, message.current_iter)
        self.log(mean, pictures, message.current_iter)

    def validate(self, reader):
        """
        :param reader: NiftyNet's reader of the validation set
        :return: dict of subject to foreground Dice, and the overlays of the first few
        """
        session = tf.get_default_session()
        border = getattr(self.inference, "border", (0, 0, 0))
        scores, pictures = {}, []
        for index in range(len(reader.output_list)):
            _, data, _ = reader(idx=index, shuffle=False)
            image, label = data["image"][:, :, :, 0, :], data["label"][:, :, :, 0, 0]

            def infer(window):
                return session.run(self.probability, {self.images: window[np.newaxis]})[0]

            found = (
                infer_volume(self.kind, image, self.window, border, self.multiple, infer).argmax(-1)
                > 0
            )
            scores[str(reader.get_subject_id(index))] = dice(found, label > 0)
            if len(pictures) < PICTURES:
                pictures.append(draw_overlay(image[..., 0], label > 0, found))
        return scores, pictures

    def log(self, mean, pictures, iteration):
        """Dice and overlays for TensorBoard.

        :raises RefusedError: they cannot be written
        """
        sides = np.max([picture.shape for picture in pictures], axis=0)
        stack = np.stack(
            [
                np.pad(
                    picture,
                    [(0, most - side) for most, side in zip(sides, picture.shape, strict=True)],
                )
                for picture in pictures
            ]
        )
        summary = tf.get_default_session().run(self.pictures, {self.picture: stack})
        scalar = tf.Summary(value=[tf.Summary.Value(tag="dice_whole_volume", simple_value=mean)])
        try:
            self.writer.add_summary(summary, iteration)
            self.writer.add_summary(scalar, iteration)
            self.writer.flush()
        except Exception as error:  # on a full disk, TensorFlow's writer raises an IndexError
            raise RefusedError(
                f"{self.writer.get_logdir()} could not be written: {cause(error)}. Make room on "
                f"that disk and run the same command again"
            ) from error

    def keep(self, mean, scores, iteration):
        """The network first, then the record that names it, then the old network goes."""
        models = self.folder / "models"
        self.best = {
            "iteration": iteration,
            "dice": mean,
            "subjects": scores,
            "checkpoint": f"models/{NAME}-{iteration}",
        }
        try:
            models.mkdir(parents=True, exist_ok=True)
            self.saver.save(tf.get_default_session(), str(models / NAME), global_step=iteration)
            files.write_json(self.folder / RECORD, self.best)
        except (tf.errors.OpError, OSError) as error:
            raise RefusedError(
                f"{models / NAME}-{iteration} could not be written: {cause(error)}. Make room on "
                f"that disk and run the same command again"
            ) from error
        for path in models.glob(f"{NAME}-*"):
            if not path.name.startswith(f"{NAME}-{iteration}."):
                path.unlink()
        checkpoints.tidy(self.folder)


def channels(reader):
    """
    :param reader: NiftyNet's image reader
    :return: number of modalities of its image
    """
    return int(reader.shapes["image"][-1])


def read_record(folder):
    """
    :param folder: the model folder of the best network
    :return: the record of an earlier training whose checkpoint is still whole, or None
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return record if record["iteration"] in checkpoints.whole(folder) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
