"""Networks, losses and checkpoints of this project from one stack to another, TensorFlow 1.15 too.

    python -m tests.support.exchange write FOLDER
    python -m tests.support.exchange read FOLDER

``write`` builds each network with seeded weights, runs it and its losses, and writes checkpoints
and numbers into the folder; ``read``, on another stack, restores the checkpoints and compares. With
``GOLDEN=FILE`` in the environment, both compare with the released network's numbers as well.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Iterable

import niftynet  # noqa: F401  (before TensorFlow, as everywhere)
import numpy as np
import tensorflow as tf
from niftynet.engine.application_factory import ApplicationNetFactory
from niftynet.layer.loss_segmentation import LossFunction

from tests.support.tensorflow_cases import draw, weight

# dotted names, which need no registry: NiftyNet's own way to plugins
NETWORKS = (
    "niftynet_ext.network.dense_highres3dnet.DenseHighRes3DNet",
    "niftynet_ext.network.dense_highres3dnet.DenseHighRes3DNetV2",
    "niftynet_ext.network.highres3dnet_matched.HighRes3DNetMatched",
)
LOSSES = (
    "niftynet_ext.loss.dice.dice_foreground",
    "niftynet_ext.loss.focal.focal_xent",
    "niftynet_ext.loss.focal.focal_released_xent",
    "Dice",
)
SHAPE = (2, 16, 16, 8, 1)


def build(
    name: str, shape: tuple[int, ...], losses: Iterable[str]
) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
    """Build a network and losses.

    :return: placeholders of image and label; name -> tensor: the logits, each loss, the norm of
        the gradient of each loss
    """
    image, label = tf.placeholder(tf.float32, shape), tf.placeholder(tf.float32, shape)
    results = {"logits": ApplicationNetFactory.create(name)(num_classes=2)(image, is_training=True)}
    for loss in losses:
        results[loss] = LossFunction(2, loss)(results["logits"], label)
        results["gradient of " + loss] = tf.global_norm(
            tf.gradients(results[loss], tf.trainable_variables())
        )
    return image, label, results


def compare(what: str, found: Any, expected: Any, tolerance: float) -> None:
    """Compare arrays, with the tolerance as a part of the largest value."""
    error = np.abs(np.asarray(found) - expected).max() / max(1e-6, np.abs(expected).max())
    print(f"{what}: {error:.1e}")
    assert error <= tolerance, f"{what}: relative error {error}, expected at most {tolerance}"


def exchange(name: str, folder: str, write: bool) -> None:
    """Write, or read and compare, the checkpoint and the numbers of a network."""
    path = os.path.join(folder, name.rpartition(".")[2])
    image, label, results = build(name, SHAPE, LOSSES)
    feed = {image: draw("image", SHAPE), label: draw("label", SHAPE) > 0.5}
    saver = tf.train.Saver()
    with tf.Session() as session:
        if write:
            session.run(
                [v.initializer for v in tf.global_variables()],
                {
                    v.initializer.inputs[1]: weight(v.op.name, v.shape.as_list())
                    for v in tf.global_variables()
                },
            )
            saver.save(session, path + ".ckpt")
            np.savez(path + ".npz", **session.run(results, feed))
        else:
            saver.restore(session, path + ".ckpt")
            found = session.run(results, feed)
            with np.load(path + ".npz") as expected:
                for key in sorted(results):
                    compare(path + " " + key, found[key], expected[key], 1e-4)


def golden(file: str) -> None:
    """Compare with logits and losses that the authors' own code computed."""
    with np.load(file) as archive:
        expected = dict(archive)
    losses = {"Dice": "dice_niftynet", LOSSES[2]: "focal_released"}
    image, label, results = build(NETWORKS[0], expected["image"].shape, losses)
    with tf.Session() as session:
        session.run(
            [v.initializer for v in tf.global_variables()],
            {
                v.initializer.inputs[1]: expected["weight:" + v.op.name]
                for v in tf.global_variables()
            },
        )
        found = session.run(results, {image: expected["image"], label: expected["label"]})
    compare("golden logits", found["logits"], expected["logits"], 2e-5)
    for loss, key in losses.items():
        compare("golden " + loss, found[loss], expected["loss:" + key], 1e-6)
        norm = np.sqrt(
            sum(
                np.sum(np.square(value))
                for name, value in expected.items()
                if name.startswith("grad:" + key)
            )
        )
        compare("golden gradient of " + loss, found["gradient of " + loss], norm, 1e-4)


def main(action: str, folder: str) -> None:
    for name in NETWORKS:
        with tf.Graph().as_default():
            exchange(name, folder, action == "write")
    if os.environ.get("GOLDEN"):
        with tf.Graph().as_default():
            golden(os.environ["GOLDEN"])


if __name__ == "__main__":
    main(*sys.argv[1:])
